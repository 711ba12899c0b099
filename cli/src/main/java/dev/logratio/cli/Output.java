package dev.logratio.cli;

import dev.logratio.DType;
import dev.logratio.Tensor;
import dev.logratio.loss.Loss;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * An output tensor of an operation: one row of the table that both the calculation and {@code
 * --list} read.
 *
 * @param source the input, or the option, that a gradient is of; null for other outputs
 * @param upstream inputs of which one must be there for the gradient to be asked for; empty where
 *     it always is
 * @param note what else there is to say of it; "" if nothing
 */
record Output(
        String name,
        Kind kind,
        String source,
        List<String> upstream,
        List<Shape> shapes,
        String note) {
    enum Kind {
        VALUE,
        INDEX,
        GRADIENT,
        OPTION_GRADIENT
    }

    /** Real numbers in the backend's dtype of outputs. */
    static Output value(String name, String... shapes) {
        return new Output(name, Kind.VALUE, null, List.of(), parse(shapes), "");
    }

    /** Indices, I64. */
    static Output index(String name, String... shapes) {
        return new Output(name, Kind.INDEX, null, List.of(), parse(shapes), "");
    }

    /**
     * The gradient of an input, of its shape and dtype; there if the input is, and one of the
     * upstream gradients, if any are named.
     */
    static Output gradient(Input of, String... upstream) {
        return new Output(
                "grad_" + of.name(), Kind.GRADIENT, of.name(), List.of(upstream), of.shapes(), "");
    }

    /** The gradient of a loss's option, there if the loss has it. */
    static Output optionGradient(String option) {
        return new Output(
                "grad_" + option, Kind.OPTION_GRADIENT, option, List.of(), parse("1"), "");
    }

    /** This output with a note. */
    Output noting(String note) {
        return new Output(name, kind, source, upstream, shapes, note);
    }

    /** Whether a case with these inputs and losses has this output. */
    boolean isWanted(Map<String, Tensor> inputs, List<Loss> losses) {
        return switch (kind) {
            case VALUE, INDEX -> true;
            case GRADIENT ->
                    inputs.containsKey(source)
                            && (upstream.isEmpty()
                                    || upstream.stream().anyMatch(inputs::containsKey));
            case OPTION_GRADIENT ->
                    losses.getFirst() instanceof Loss.Paired paired
                            && paired.gradientOptions().contains(source);
        };
    }

    /** The dtype, where {@code values} is that of real numbers which are no input's gradient. */
    DType dtype(Map<String, Tensor> inputs, DType values) {
        return switch (kind) {
            case VALUE -> values;
            case INDEX -> DType.I64;
            case GRADIENT -> inputs.get(source).dtype();
            case OPTION_GRADIENT ->
                    inputs.containsKey(source) ? inputs.get(source).dtype() : values;
        };
    }

    /** "[N] or [B,T]". */
    String shapeNames() {
        return shapes.stream().map(Shape::toString).collect(Collectors.joining(" or "));
    }

    private static List<Shape> parse(String... shapes) {
        return Arrays.stream(shapes).map(Shape::parse).toList();
    }
}
