package dev.logratio.cli;

import dev.logratio.loss.Loss;

import java.util.Collection;
import java.util.List;

/**
 * An operation that {@code eval} knows. Its constructor is a table of inputs, options and outputs,
 * from which come the checks of a case, its output tensors and {@code --list}; a subclass adds what
 * only it checks, and the call.
 */
abstract class Operation {
    private final String name;
    private final boolean hasLoss;
    private final List<Input> inputs;
    private final List<Option> options;
    private final List<Output> outputs;

    /**
     * Sets up the table.
     *
     * @param hasLoss whether the option {@code loss}, and the options of the loss it names, belong
     *     to it
     */
    Operation(
            String name,
            boolean hasLoss,
            List<Input> inputs,
            List<Option> options,
            List<Output> outputs) {
        this.name = name;
        this.hasLoss = hasLoss;
        this.inputs = inputs;
        this.options = options;
        this.outputs = outputs;
    }

    final String name() {
        return name;
    }

    final boolean hasLoss() {
        return hasLoss;
    }

    final List<Input> inputs() {
        return inputs;
    }

    final List<Option> options() {
        return options;
    }

    final List<Output> outputs() {
        return outputs;
    }

    /** The losses to choose from, where there is a loss. */
    Class<? extends Loss> lossKind() {
        return Loss.Paired.class;
    }

    /** Whether the option {@code loss} may name several, with commas between them. */
    boolean takesSeveralLosses() {
        return false;
    }

    /** The shapes of an input or output in a case, where its options change those of the table. */
    List<Shape> shapes(String tensor, List<Shape> ofTable, Settings settings) {
        return ofTable;
    }

    /** Checks inputs against each other, once each by itself may be there or absent. */
    void checkInputs(Collection<String> given) throws CaseException {}

    /** Checks options against each other, once each by itself is right. */
    void checkOptions(Settings settings) throws CaseException {}

    /** Whether an output that the table wants is wanted with these options. */
    boolean wants(Output output, Settings settings) {
        return true;
    }

    /** Checks shapes beyond the table, once they match it. */
    void checkShapes(Settings settings, Dimensions dimensions) throws CaseException {}

    /** Computes the outputs of a checked case. */
    abstract void run(Call call);
}
