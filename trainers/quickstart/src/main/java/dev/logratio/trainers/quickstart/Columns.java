package dev.logratio.trainers.quickstart;

import java.util.List;
import java.util.Optional;

/**
 * Which columns of a record hold what. Public data sets call the same things by different names.
 *
 * @param prompt the columns that make up the prompt, in its order; empty if it stands in the
 *     answers
 * @param system the column with the system's message, if there is one
 * @param answers {@code chosen} and {@code rejected}, or the columns in their place
 */
record Columns(List<String> prompt, Optional<String> system, List<String> answers) {
    /** The first of these that a record has are its prompt. */
    private static final List<List<String>> PROMPTS =
            List.of(
                    List.of("prompt"),
                    List.of("conversations"),
                    List.of("question"),
                    List.of("instruction", "input"),
                    List.of("input"));

    /** Finds the columns of a record; one whose value is null counts as absent. */
    static Columns of(Json.Fields record) throws BadRecordException {
        List<String> prompt =
                PROMPTS.stream()
                        .filter(columns -> isThere(record, columns.getFirst()))
                        .findFirst()
                        .orElse(List.of())
                        .stream()
                        .filter(column -> isThere(record, column))
                        .toList();
        Optional<String> system =
                record.get("system") instanceof Json.Text
                        ? Optional.of("system")
                        : Optional.empty();
        return new Columns(prompt, system, answers(record));
    }

    /** The answers, the better one first. */
    List<Json> answersOf(Json.Fields record) {
        return answers.size() == 1 && record.get(answers.getFirst()) instanceof Json.Array both
                ? both.elements()
                : answers.stream().map(record::get).toList();
    }

    /** Whether a column is read at all. */
    boolean uses(String column) {
        return prompt.contains(column)
                || system.filter(column::equals).isPresent()
                || answers.contains(column);
    }

    private static boolean isThere(Json.Fields record, String column) {
        return record.get(column) != Json.Other.NULL;
    }

    private static List<String> answers(Json.Fields record) throws BadRecordException {
        boolean chosen = isThere(record, "chosen");
        boolean rejected = isThere(record, "rejected");
        if (chosen && rejected) {
            return List.of("chosen", "rejected");
        }
        Json output = record.get("output");
        if (!chosen
                && !rejected
                && output instanceof Json.Array both
                && both.elements().size() == 2) {
            return List.of("output");
        }
        if (!chosen && rejected && output instanceof Json.Text) {
            return List.of("output", "rejected");
        }
        throw new BadRecordException(
                "the field " + (chosen ? "rejected" : "chosen") + " is missing" + present(record));
    }

    private static String present(Json.Fields record) {
        return record.values().isEmpty()
                ? ""
                : "; the record has " + Printable.list(record.values().keySet());
    }
}
