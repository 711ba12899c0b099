package dev.logratio.trainers.quickstart;

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
    static List<Message> of(Json value, String column, Role roleOfText) throws BadRecordException {
        return switch (value) {
            case Json.Text(String text) ->
                    text.isEmpty() ? List.of() : List.of(new Message(roleOfText, text));
            case Json.Fields message -> List.of(message(message, column));
            case Json.Array(List<Json> elements) -> {
                List<Message> messages = new ArrayList<>();
                for (Json element : elements) {
                    messages.add(message(element, column));
                }
                yield messages;
            }
            case Json.Other _ ->
                    throw new BadRecordException(
                            column + " must be a string or a list of messages");
        };
    }

    private static Message message(Json value, String column) throws BadRecordException {
        if (value instanceof Json.Fields message
                && field(message, "role", "from") instanceof Json.Text(String role)
                && field(message, "content", "value") instanceof Json.Text(String content)) {
            return new Message(role(role, column), content);
        }
        throw new BadRecordException(
                column + " holds a message without a role and a content that are strings");
    }

    private static Json field(Json.Fields message, String name, String otherName) {
        return message.get(message.values().containsKey(name) ? name : otherName);
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
