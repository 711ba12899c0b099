package dev.logratio.trainers.quickstart;

import dev.logratio.trainers.quickstart.Message.Role;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Tells the prompt from the answers where both answers start with it. */
final class SharedPrompt {
    /** Full-width punctuation behind which a sentence or a part of it has ended. */
    private static final String WIDE_ENDS = "。！？：；，、」』）】》";

    private SharedPrompt() {}

    /**
     * Two whole texts: the prompt is their common start. It is cut back to the end of a word, so
     * that no word is split.
     */
    static PreferencePair ofTexts(String chosen, String rejected) {
        int end = 0;
        while (end < Math.min(chosen.length(), rejected.length())
                && chosen.charAt(end) == rejected.charAt(end)) {
            end++;
        }
        while (end > 0 && !endsWord(chosen, end)) {
            end--;
        }
        String prompt = chosen.substring(0, end).stripTrailing();
        return new PreferencePair(
                prompt.isEmpty() ? List.of() : List.of(new Message(Role.USER, prompt)),
                answer(chosen.substring(end).stripLeading()),
                answer(rejected.substring(end).stripLeading()));
    }

    /** Two texts behind a given prompt, which is taken off if both repeat it as a whole. */
    static PreferencePair ofTexts(List<Message> prompt, String chosen, String rejected) {
        String repeated = prompt.size() == 1 ? prompt.getFirst().text().strip() : "";
        int end =
                isRepeated(repeated, chosen) && isRepeated(repeated, rejected)
                        ? repeated.length()
                        : 0;
        return new PreferencePair(
                prompt,
                answer(end == 0 ? chosen : behind(end, chosen)),
                answer(end == 0 ? rejected : behind(end, rejected)));
    }

    /** Two conversations: the prompt is the turns that they start with. */
    static PreferencePair ofMessages(List<Message> chosen, List<Message> rejected) {
        int common = common(chosen, rejected);
        return behind(common, chosen.subList(0, common), chosen, rejected);
    }

    /**
     * Two conversations that repeat a given prompt: if the turns that both start with hold it, or
     * its end, then they are the prompt, together with what only the given one has before them.
     * Empty if they do not repeat it.
     */
    static Optional<PreferencePair> ofMessages(
            List<Message> prompt, List<Message> chosen, List<Message> rejected) {
        List<Message> start = chosen.subList(0, common(chosen, rejected));
        for (int turn = start.size() - 1; turn >= 0; turn--) {
            int overlap = Math.min(turn + 1, prompt.size());
            List<Message> end = prompt.subList(prompt.size() - overlap, prompt.size());
            if (overlap > 0 && isSame(end, start.subList(turn + 1 - overlap, turn + 1))) {
                List<Message> whole = new ArrayList<>(prompt.subList(0, prompt.size() - overlap));
                whole.addAll(start);
                return Optional.of(behind(start.size(), whole, chosen, rejected));
            }
        }
        return Optional.empty();
    }

    private static PreferencePair behind(
            int turns, List<Message> prompt, List<Message> chosen, List<Message> rejected) {
        return new PreferencePair(
                prompt,
                chosen.subList(turns, chosen.size()),
                rejected.subList(turns, rejected.size()));
    }

    private static int common(List<Message> chosen, List<Message> rejected) {
        int common = 0;
        while (common < Math.min(chosen.size(), rejected.size())
                && chosen.get(common).equals(rejected.get(common))) {
            common++;
        }
        return common;
    }

    /** Data sets differ in the white space around a turn that they repeat. */
    private static boolean isSame(List<Message> some, List<Message> others) {
        for (int i = 0; i < some.size(); i++) {
            Message one = some.get(i);
            Message other = others.get(i);
            if (one.role() != other.role() || !one.text().strip().equals(other.text().strip())) {
                return false;
            }
        }
        return true;
    }

    /**
     * A word ends at white space, at a colon behind a speaker, and with each Chinese or Japanese
     * character.
     */
    private static boolean endsWord(String text, int end) {
        int last = text.codePointBefore(end);
        return Character.isWhitespace(last)
                || isWordOfItsOwn(last)
                || Transcript.endsWithSpeaker(text.substring(0, end));
    }

    private static boolean isWordOfItsOwn(int character) {
        return switch (Character.UnicodeScript.of(character)) {
            case HAN, HIRAGANA, KATAKANA -> true;
            default -> WIDE_ENDS.indexOf(character) >= 0;
        };
    }

    /** An answer may start with the words of its prompt, but not with a whole sentence of it. */
    private static boolean isRepeated(String prompt, String text) {
        String start = text.stripLeading();
        if (prompt.isEmpty() || !start.startsWith(prompt)) {
            return false;
        }
        String rest = start.substring(prompt.length());
        return !Character.isLetterOrDigit(prompt.codePointBefore(prompt.length()))
                || rest.startsWith("\n")
                || rest.startsWith("\r");
    }

    private static String behind(int end, String text) {
        return text.substring(text.length() - text.stripLeading().length() + end).stripLeading();
    }

    private static List<Message> answer(String text) {
        return text.isEmpty() ? List.of() : List.of(new Message(Role.ASSISTANT, text));
    }
}
