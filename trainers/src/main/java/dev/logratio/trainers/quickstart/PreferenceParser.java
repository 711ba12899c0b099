package dev.logratio.trainers.quickstart;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.logratio.trainers.quickstart.Message.Role;
import java.util.ArrayList;
import java.util.List;

/**
 * Turns one line of a JSONL preference file into a pair. The fields {@code prompt}, {@code chosen} and {@code rejected} are strings or
 * lists of {@code {"role", "content"}}. A prompt that is absent is what the two answers have in common at their start, and a prompt that
 * the answers repeat is taken off them: public data sets have all of these forms.
 */
final class PreferenceParser {
    private final ObjectMapper json = new ObjectMapper().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

    /** Says in one sentence why a line is not a preference pair. */
    static final class BadLineException extends Exception {
        private static final long serialVersionUID = 1;

        BadLineException(String reason) {
            super(reason);
        }
    }

    PreferencePair parse(String line) throws BadLineException {
        JsonNode row;
        try {
            row = json.readTree(line);
        } catch (JsonProcessingException e) {
            throw new BadLineException("not valid JSON: " + e.getOriginalMessage().lines().findFirst().orElse("unreadable"));
        }
        if (!row.isObject()) {
            throw new BadLineException("expected a JSON object with prompt, chosen and rejected");
        }
        JsonNode chosen = required(row, "chosen");
        JsonNode rejected = required(row, "rejected");
        if (chosen.isTextual() != rejected.isTextual()) {
            throw new BadLineException("chosen and rejected must both be strings or both be message lists");
        }
        boolean explicit = row.hasNonNull("prompt");
        PreferencePair pair;
        if (chosen.isTextual() && !explicit) {
            pair = splitTexts(chosen.textValue(), rejected.textValue());
        } else {
            pair = splitMessages(explicit ? messages(row.get("prompt"), "prompt", Role.USER) : List.of(), explicit,
                    messages(chosen, "chosen", Role.ASSISTANT), messages(rejected, "rejected", Role.ASSISTANT));
        }
        check(pair);
        return pair;
    }

    private static JsonNode required(JsonNode row, String field) throws BadLineException {
        if (!row.hasNonNull(field)) {
            throw new BadLineException("the field " + field + " is missing");
        }
        return row.get(field);
    }

    private static List<Message> messages(JsonNode value, String field, Role roleOfText) throws BadLineException {
        if (value.isTextual()) {
            return value.textValue().isEmpty() ? List.of() : List.of(new Message(roleOfText, value.textValue()));
        }
        if (!value.isArray()) {
            throw new BadLineException(field + " must be a string or a list of messages");
        }
        List<Message> messages = new ArrayList<>();
        for (JsonNode message : value) {
            JsonNode role = message.get("role");
            JsonNode content = message.get("content");
            if (role == null || !role.isTextual() || content == null || !content.isTextual()) {
                throw new BadLineException(field + " holds a message without a role and a content that are strings");
            }
            messages.add(new Message(switch (role.textValue()) {
                case "system" -> Role.SYSTEM;
                case "user" -> Role.USER;
                case "assistant" -> Role.ASSISTANT;
                default -> throw new BadLineException(
                        field + " holds the role \"" + role.textValue() + "\"; expected system, user or assistant");
            }, content.textValue()));
        }
        return messages;
    }

    /** Two whole transcripts: the prompt is their common start, cut back to the last white space so that no word is split. */
    private static PreferencePair splitTexts(String chosen, String rejected) {
        int common = 0;
        while (common < Math.min(chosen.length(), rejected.length()) && chosen.charAt(common) == rejected.charAt(common)) {
            common++;
        }
        while (common > 0 && !Character.isWhitespace(chosen.charAt(common - 1))) {
            common--;
        }
        String prompt = chosen.substring(0, common).stripTrailing();
        return new PreferencePair(prompt.isEmpty() ? List.of() : List.of(new Message(Role.USER, prompt)),
                List.of(new Message(Role.ASSISTANT, chosen.substring(common))), List.of(new Message(Role.ASSISTANT, rejected.substring(common))));
    }

    private static PreferencePair splitMessages(List<Message> prompt, boolean explicit, List<Message> chosen, List<Message> rejected) {
        int common = 0;
        if (!explicit) {
            while (common < Math.min(chosen.size(), rejected.size()) && chosen.get(common).equals(rejected.get(common))) {
                common++;
            }
            prompt = chosen.subList(0, common);
        } else if (!prompt.isEmpty() && startsWith(chosen, prompt) && startsWith(rejected, prompt)) {
            common = prompt.size();
        }
        return new PreferencePair(prompt, chosen.subList(common, chosen.size()), rejected.subList(common, rejected.size()));
    }

    private static boolean startsWith(List<Message> messages, List<Message> start) {
        return messages.size() > start.size() && messages.subList(0, start.size()).equals(start);
    }

    private static void check(PreferencePair pair) throws BadLineException {
        if (pair.chosen().equals(pair.rejected())) {
            throw new BadLineException("chosen and rejected are the same");
        }
        checkAnswer(pair.chosen(), "chosen");
        checkAnswer(pair.rejected(), "rejected");
    }

    private static void checkAnswer(List<Message> answer, String field) throws BadLineException {
        if (answer.isEmpty() || answer.stream().allMatch(message -> message.text().isBlank())) {
            throw new BadLineException(field + " has no answer");
        }
        if (answer.getLast().role() != Role.ASSISTANT) {
            throw new BadLineException(field + " must end with a message of the assistant");
        }
    }
}
