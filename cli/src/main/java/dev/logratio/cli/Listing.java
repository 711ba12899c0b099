package dev.logratio.cli;

import dev.logratio.internal.check.Shape;
import dev.logratio.internal.check.Types;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Losses;
import dev.logratio.loss.OptionInfo;

import java.io.PrintWriter;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Prints the table of operations: what {@code --list} shows is what the checks use. */
final class Listing {
    private static final String REQUIRED = "required";

    private final PrintWriter out;

    Listing(PrintWriter out) {
        this.out = out;
    }

    void print() {
        out.println(
                "N rows, V >= 1 vocabulary, H size of a hidden state, B sequences of T tokens, P"
                    + " pairs: row 0..P-1 of a batch of 2P is chosen, the rest rejected. L losses:"
                    + " P, or 2P with "
                        + withTwoLosses()
                        + ", chosen first.");
        out.println(
                "The operation is the value of \"op\" in the file's __metadata__, its options are"
                        + " further keys.");
        for (Operation operation : Operations.ALL) {
            out.println();
            out.println(operation.name());
            for (Input input : operation.inputs()) {
                line("in", input.name(), Shape.names(input.shapes()), notes(operation, input));
            }
            operation
                    .lossKind()
                    .ifPresent(kind -> line("option", Settings.LOSS, REQUIRED, losses(operation)));
            for (Setting setting : operation.settings()) {
                String value = operation.isRequired(setting) ? REQUIRED : setting.defaultText();
                line("option", setting.name(), value, setting.expected());
            }
            for (Output output : operation.outputs()) {
                line("out", output.name(), Shape.names(output.shapes()), notes(operation, output));
            }
        }
        for (String loss : Losses.ids()) {
            out.println();
            out.println("loss " + loss + aliases(loss));
            for (OptionInfo option : Losses.options(loss)) {
                line("option", option.name(), option.defaultValue(), option.range());
            }
        }
    }

    private static String withTwoLosses() {
        return Losses.ids(Loss.Paired.class).stream()
                .filter(id -> Losses.of(Loss.Paired.class, id, Map.of()).lossesPerPair() == 2)
                .collect(Collectors.joining(", "));
    }

    private static String losses(Operation operation) {
        return String.join("|", Losses.ids(operation.lossKind().orElseThrow()))
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
        String value = shapeOrDefault.replaceFirst("\\.0$", "");
        out.println(
                String.format("  %-7s %-23s %-18s %s", kind, name, value, notes).stripTrailing());
    }

    private static String notes(Operation operation, Input input) {
        return joined(
                input.dtypeNames(true),
                input.valueNote(),
                presence(operation, input),
                ofSeveralLabels(operation, input.name()),
                input.absent().isEmpty() ? "" : "default " + input.absent());
    }

    private static String presence(Operation operation, Input input) {
        return operation.alternatives().contains(input.name())
                ? "exactly one of " + String.join(", ", operation.alternatives())
                : input.presenceNote();
    }

    private static String notes(Operation operation, Output output) {
        return joined(kindNotes(operation, output), ofSeveralLabels(operation, output.name()));
    }

    private static String ofSeveralLabels(Operation operation, String name) {
        return operation.ofSeveralLabels().contains(name) ? "with K labels per row" : "";
    }

    /** The losses that have a gradient by an option even where it is a number. */
    private static String withoutTensor(Operation operation, Output output) {
        List<String> losses =
                Losses.ids(Loss.Paired.class).stream()
                        .filter(
                                id ->
                                        Losses.of(Loss.Paired.class, id, Map.of())
                                                .gradientOptions()
                                                .contains(output.source()))
                        .toList();
        return operation.hasMetrics() || losses.isEmpty()
                ? ""
                : "; without it [1], of " + Text.alternatives(losses).replace(" or ", " and ");
    }

    private static String kindNotes(Operation operation, Output output) {
        return switch (output.kind()) {
            case VALUE, METRIC ->
                    joined(
                            output.types() == Types.INT || output.types() == Types.LONG
                                    ? "I64"
                                    : "F32; F64 from the reference",
                            output.with().isEmpty() ? "" : "with " + output.with());
            case GRADIENT ->
                    joined(
                            "dtype of " + output.source() + "; F64 from the reference",
                            output.upstream().isEmpty()
                                    ? ""
                                    : "with " + Text.alternatives(output.upstream()));
            case OPTION_GRADIENT ->
                    "with tensor "
                            + output.source()
                            + ", of its shape and dtype"
                            + withoutTensor(operation, output);
        };
    }

    private static String joined(String... notes) {
        return Stream.of(notes).filter(note -> !note.isEmpty()).collect(Collectors.joining("; "));
    }
}
