package dev.logratio.cli;

import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * An operation that {@code eval} knows. Its constructor is a table of inputs, options and outputs, from which come the checks of a case,
 * its output tensors and {@code --list}; a subclass adds what only it checks, and the call.
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
     * @param hasLoss whether the option {@code loss}, and the options of the loss it names, belong to it
     */
    Operation(String name, boolean hasLoss, List<Input> inputs, List<Option> options, List<Output> outputs) {
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

    final Optional<Option> option(String name) {
        return options.stream().filter(option -> option.name().equals(name)).findFirst();
    }

    /** Checks options against each other, once each by itself is right. */
    void checkOptions(Settings settings) throws CaseException {}

    /** Checks which tensors are there, beyond the table. */
    void checkPresent(Set<String> names) throws CaseException {}

    /** Whether an output that the table wants is wanted with these options. */
    boolean wants(Output output, Settings settings) {
        return true;
    }

    /** Checks shapes beyond the table, once they match it. */
    void checkShapes(Settings settings, Dimensions dimensions) throws CaseException {}

    /** Computes the outputs of a checked case. */
    abstract void run(Call call);
}
