package dev.logratio.trainers.quickstart;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/** Remembers which columns of a file were used and which were not, to tell it once. */
final class ColumnNotes {
    private final Set<String> prompts = new LinkedHashSet<>();
    private final Set<String> answers = new LinkedHashSet<>();
    private final Set<String> leftOut = new LinkedHashSet<>();

    /** Adds the columns of a record that is a pair. */
    void add(Json.Fields record, Columns columns) {
        columns.system().ifPresent(prompts::add);
        prompts.addAll(columns.prompt());
        answers.addAll(columns.answers());
        record.values().keySet().stream()
                .filter(column -> !columns.uses(column))
                .forEach(leftOut::add);
    }

    /** The notes, a sentence each; none where all columns have their usual names. */
    List<String> toTell() {
        List<String> notes = new ArrayList<>();
        if (!Set.of("prompt").containsAll(prompts)) {
            notes.add("columns used as the prompt: " + Printable.list(prompts));
        }
        if (!Set.of("chosen", "rejected").containsAll(answers)) {
            notes.add("columns used as the answers: " + Printable.list(answers));
        }
        if (!leftOut.isEmpty()) {
            notes.add("columns left out: " + Printable.list(leftOut));
        }
        return notes;
    }
}
