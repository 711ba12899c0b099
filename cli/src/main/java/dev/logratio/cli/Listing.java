package dev.logratio.cli;

import dev.logratio.loss.Losses;
import dev.logratio.loss.OptionInfo;

import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;

/** Prints the table of operations: what {@code --list} shows is what the checks use. */
final class Listing {
    private final PrintWriter out;

    Listing(PrintWriter out) {
        this.out = out;
    }

    void print() {
        out.println(
                "N rows, V >= 1 vocabulary, B sequences of T tokens, P pairs: row 0..P-1 of a batch"
                    + " of 2P is chosen, the rest rejected.");
        out.println(
                "The operation is the value of \"op\" in the file's __metadata__, its options are"
                    + " further keys.");
        for (Operation operation : Operations.ALL) {
            out.println();
            out.println(operation.name());
            operation
                    .inputs()
                    .forEach(input -> line("in", input.name(), input.shapeNames(), notes(input)));
            if (operation.hasLoss()) {
                line("option", Settings.LOSS, Option.REQUIRED, losses(operation));
            }
            operation
                    .options()
                    .forEach(
                            o ->
                                    line(
                                            "option",
                                            o.name(),
                                            o.defaultText(),
                                            o.values().description()));
            operation
                    .outputs()
                    .forEach(
                            output ->
                                    line("out", output.name(), output.shapeNames(), notes(output)));
        }
        for (String loss : Losses.ids()) {
            out.println();
            out.println("loss " + loss + aliases(loss));
            for (OptionInfo option : Losses.options(loss)) {
                line("option", option.name(), option.defaultValue(), option.range());
            }
        }
    }

    private static String losses(Operation operation) {
        return String.join("|", Losses.ids(operation.lossKind()))
                + ", and its options below"
                + (operation.takesSeveralLosses()
                        ? "; several with commas between them, an option goes to each that has it"
                        : "");
    }

    private static String aliases(String loss) {
        List<String> aliases = Losses.aliases(loss);
        return aliases.isEmpty() ? "" : ", also named " + String.join(", ", aliases);
    }

    private void line(String kind, String name, String shapeOrDefault, String notes) {
        out.println(
                String.format("  %-7s %-23s %-18s %s", kind, name, shapeOrDefault, notes)
                        .stripTrailing());
    }

    private static String notes(Input input) {
        List<String> notes = new ArrayList<>();
        notes.add(input.elements().dtypeNames(true));
        notes.add(input.elements().note());
        notes.add(input.presence().note());
        notes.add(input.fallback().isEmpty() ? "" : "default " + input.fallback());
        return joined(notes);
    }

    private static String notes(Output output) {
        return switch (output.kind()) {
            case VALUE -> joined(List.of("F32; F64 from the reference", output.note()));
            case INDEX -> "I64";
            case GRADIENT ->
                    joined(
                            List.of(
                                    "dtype of " + output.source() + "; F64 from the reference",
                                    output.upstream().isEmpty()
                                            ? ""
                                            : "with " + Text.alternatives(output.upstream())));
            case OPTION_GRADIENT -> "where the loss has it";
        };
    }

    private static String joined(List<String> notes) {
        return notes.stream().filter(note -> !note.isEmpty()).collect(Collectors.joining("; "));
    }
}
