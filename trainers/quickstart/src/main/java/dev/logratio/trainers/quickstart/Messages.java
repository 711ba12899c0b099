package dev.logratio.trainers.quickstart;

import com.fasterxml.jackson.databind.JsonNode;

import dev.logratio.trainers.quickstart.Message.Role;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * Reads a column that holds a text, one message or a list of messages. A message is {@code {"role",
 * "content"}} or, in share-GPT lists, {@code {"from", "value"}}.
 */
final class Messages {
    private Messages() {}

    /**
     * The messages of a column; none for an empty text.
     *
     * @param column to be named in errors
     * @param roleOfText who says a text without a role
     */
    static List<Message> of(JsonNode value, String column, Role roleOfText)
            throws BadRecordException {
        if (value.isTextual()) {
            String text = value.textValue();
            return text.isEmpty() ? List.of() : List.of(new Message(roleOfText, text));
        }
        if (value.isObject()) {
            return List.of(message(value, column));
        }
        if (!value.isArray()) {
            throw new BadRecordException(column + " must be a string or a list of messages");
        }
        List<Message> messages = new ArrayList<>();
        for (JsonNode message : value) {
            messages.add(message(message, column));
        }
        return messages;
    }

    private static Message message(JsonNode message, String column) throws BadRecordException {
        JsonNode role = message.has("role") ? message.get("role") : message.get("from");
        JsonNode content = message.has("content") ? message.get("content") : message.get("value");
        if (role == null || !role.isTextual() || content == null || !content.isTextual()) {
            throw new BadRecordException(
                    column + " holds a message without a role and a content that are strings");
        }
        return new Message(role(role.textValue(), column), content.textValue());
    }

    private static Role role(String name, String column) throws BadRecordException {
        return switch (name.toLowerCase(Locale.ROOT)) {
            case "system", "developer" -> Role.SYSTEM;
            case "user", "human" -> Role.USER;
            case "assistant", "gpt", "bot", "model" -> Role.ASSISTANT;
            default ->
                    throw new BadRecordException(
                            column
                                    + " holds the role "
                                    + Printable.quote(name)
                                    + "; expected system, user or assistant");
        };
    }
}
