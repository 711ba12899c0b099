package dev.logratio.trainers.quickstart;

import com.fasterxml.jackson.databind.JsonNode;

import java.util.List;
import java.util.Map;
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
    static Columns of(JsonNode record) throws BadRecordException {
        List<String> prompt =
                PROMPTS.stream()
                        .filter(columns -> record.hasNonNull(columns.getFirst()))
                        .findFirst()
                        .orElse(List.of())
                        .stream()
                        .filter(record::hasNonNull)
                        .toList();
        Optional<String> system =
                record.path("system").isTextual() ? Optional.of("system") : Optional.empty();
        return new Columns(prompt, system, answers(record));
    }

    /** The answers, the better one first. */
    List<JsonNode> answersOf(JsonNode record) {
        if (answers.size() == 1) {
            JsonNode both = record.get(answers.getFirst());
            return List.of(both.get(0), both.get(1));
        }
        return answers.stream().map(record::get).toList();
    }

    /** Whether a column is read at all. */
    boolean uses(String column) {
        return prompt.contains(column)
                || system.filter(column::equals).isPresent()
                || answers.contains(column);
    }

    private static List<String> answers(JsonNode record) throws BadRecordException {
        boolean chosen = record.hasNonNull("chosen");
        boolean rejected = record.hasNonNull("rejected");
        if (chosen && rejected) {
            return List.of("chosen", "rejected");
        }
        JsonNode output = record.path("output");
        if (!chosen && !rejected && output.isArray() && output.size() == 2) {
            return List.of("output");
        }
        if (!chosen && rejected && output.isTextual()) {
            return List.of("output", "rejected");
        }
        throw new BadRecordException(
                "the field " + (chosen ? "rejected" : "chosen") + " is missing" + present(record));
    }

    private static String present(JsonNode record) {
        return record.isEmpty()
                ? ""
                : "; the record has "
                        + Printable.list(
                                record.properties().stream().map(Map.Entry::getKey).toList());
    }
}
