package dev.logratio.cli;

import dev.logratio.DType;
import dev.logratio.StepMetrics;
import dev.logratio.Tensor;
import dev.logratio.internal.Options;
import dev.logratio.internal.check.Operand;
import dev.logratio.internal.check.Operand.Presence;
import dev.logratio.internal.check.Shape;
import dev.logratio.internal.check.Types;
import dev.logratio.loss.Loss;

import java.lang.reflect.RecordComponent;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * An output tensor of an operation: one row of the table that both the calculation and {@code
 * --list} read.
 *
 * @param source the input, or the option, that a gradient is of; "" for other outputs
 * @param upstream inputs of which one must be there for the gradient to be asked for; empty where
 *     it always is
 */
record Output(
        String name,
        Kind kind,
        String source,
        List<String> upstream,
        Types types,
        List<Shape> shapes) {
    enum Kind {
        VALUE,
        /** The gradient of an input, of its shape and dtype. */
        GRADIENT,
        OPTION_GRADIENT,
        /** A number of the metrics of a step. */
        METRIC
    }

    private static final String GRADIENT_PREFIX = "grad_";

    static Output of(Operand operand, List<Input> inputs) {
        String name = operand.id();
        String source = name.startsWith(GRADIENT_PREFIX) ? name.substring(5) : "";
        boolean isOfOption = operand.declaration().presence() == Presence.OPTION_GRADIENT;
        Kind kind =
                isOfOption
                        ? Kind.OPTION_GRADIENT
                        : inputs.stream().anyMatch(input -> input.name().equals(source))
                                ? Kind.GRADIENT
                                : Kind.VALUE;
        List<String> upstream =
                inputs.stream()
                        .filter(input -> input.isUpstreamGradient() && input.absent().isEmpty())
                        .map(Input::name)
                        .toList();
        Operand.Declaration declared = operand.declaration();
        return new Output(name, kind, source, upstream, declared.types(), declared.forms());
    }

    /** The metrics of a step, by the record that has them. */
    static List<Output> metrics(Class<? extends Record> record) {
        return Arrays.stream(record.getRecordComponents()).map(Output::metric).toList();
    }

    private static Output metric(RecordComponent component) {
        List<Shape> one = List.of(Shape.of("1"));
        String name = Options.snakeCase(component.getName());
        return new Output(name, Kind.METRIC, "", List.of(), Types.FLOAT, one);
    }

    /** Writes the metrics to the outputs of their names, where there are such. */
    static void fill(Map<String, Tensor> outputs, StepMetrics metrics) {
        for (RecordComponent component : StepMetrics.class.getRecordComponents()) {
            Tensor output = outputs.get(Options.snakeCase(component.getName()));
            try {
                Number value = (Number) component.getAccessor().invoke(metrics);
                if (output != null) {
                    output.fill(value.doubleValue());
                }
            } catch (ReflectiveOperationException e) {
                throw new IllegalStateException(component + " cannot be read", e);
            }
        }
    }

    Output firstForm() {
        return new Output(name, kind, source, upstream, types, List.of(shapes.getFirst()));
    }

    /** Whether a case with these inputs and losses has this output. */
    boolean isWanted(Map<String, Tensor> inputs, List<Loss> losses) {
        return switch (kind) {
            case VALUE, METRIC -> true;
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
        if (inputs.containsKey(source)) {
            return inputs.get(source).dtype();
        }
        return types == Types.INT ? DType.I64 : values;
    }
}
