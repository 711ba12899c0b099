package dev.logratio.trainers.quickstart;

import dev.logratio.trainers.quickstart.Message.Role;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A conversation written as one text, each turn behind the name of its speaker and a colon: {@code
 * "\n\nHuman: Why?\n\nAssistant: Because."}.
 */
final class Transcript {
    private static final Map<String, Role> SPEAKERS = new HashMap<>();

    static {
        add(Role.SYSTEM, "System", "系统", "系統");
        add(Role.USER, "Human", "User", "人类", "人類", "用户", "用戶", "问", "問");
        add(Role.ASSISTANT, "Assistant", "助手", "助理", "答");
    }

    private static final String NAME_AND_COLON =
            "(?<speaker>" + String.join("|", SPEAKERS.keySet()) + ")\\h*[:：]";
    private static final Pattern AT_LINE_START =
            Pattern.compile("^\\h*" + NAME_AND_COLON, Pattern.MULTILINE);

    /**
     * Text without white space goes on to the next speaker behind a Chinese character or its
     * punctuation.
     */
    private static final Pattern WITHIN_LINE =
            Pattern.compile(
                    "(?:^\\h*|(?<=[\\p{IsHan}\\p{InCJK_Symbols_and_Punctuation}"
                            + "\\p{InHalfwidth_and_Fullwidth_Forms}]))"
                            + NAME_AND_COLON,
                    Pattern.MULTILINE);

    private static final Pattern AT_END =
            Pattern.compile("(?<!\\p{IsLatin})" + NAME_AND_COLON + "$");

    private Transcript() {}

    private static void add(Role role, String... names) {
        for (String name : names) {
            SPEAKERS.put(name, role);
        }
    }

    /**
     * The turns of a text that starts with a speaker, each without the white space around it; none
     * if it starts with anything else.
     */
    static List<Message> turns(String text) {
        List<Message> turns = turns(text, AT_LINE_START);
        if (turns.isEmpty() || isConversation(turns)) {
            return turns;
        }
        List<Message> closer = turns(text, WITHIN_LINE);
        return isConversation(closer) ? closer : turns;
    }

    /** Whether both the user and the assistant speak. */
    static boolean isConversation(List<Message> turns) {
        return speaks(turns, Role.USER) && speaks(turns, Role.ASSISTANT);
    }

    /**
     * A prompt's turns, without one at the end that is left open for the answer; empty if it is no
     * conversation.
     */
    static Optional<List<Message>> ofPrompt(String text) {
        List<Message> turns = turns(text);
        if (!isConversation(turns)) {
            return Optional.empty();
        }
        boolean open = turns.getLast().role() == Role.ASSISTANT && turns.getLast().text().isEmpty();
        return Optional.of(open ? turns.subList(0, turns.size() - 1) : turns);
    }

    /** Whether the text ends with a speaker who has not said anything yet. */
    static boolean endsWithSpeaker(String text) {
        return (text.endsWith(":") || text.endsWith("：")) && AT_END.matcher(text).find();
    }

    private static List<Message> turns(String text, Pattern mark) {
        List<Message> turns = new ArrayList<>();
        Matcher matcher =
                mark.matcher(text)
                        .region(text.length() - text.stripLeading().length(), text.length());
        boolean more = matcher.lookingAt();
        while (more) {
            Role role = SPEAKERS.get(matcher.group("speaker"));
            int start = matcher.end();
            more = matcher.find();
            turns.add(
                    new Message(
                            role,
                            text.substring(start, more ? matcher.start() : text.length()).strip()));
        }
        return turns;
    }

    private static boolean speaks(List<Message> turns, Role role) {
        return turns.stream().anyMatch(turn -> turn.role() == role);
    }
}
