package dev.logratio.cli;

import dev.logratio.StepMetrics;
import dev.logratio.internal.Options;
import dev.logratio.internal.check.Operand;
import dev.logratio.internal.check.Operand.Presence;
import dev.logratio.internal.check.Signature;
import dev.logratio.internal.check.StepOptions;
import dev.logratio.loss.Loss;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;

/**
 * An operation that {@code eval} knows. Its inputs, settings and outputs are those that the library
 * declares; what a file may or must have beyond that, {@link Operations} adds.
 */
final class Operation {
    private final List<Signature> parts;
    private final LinkedHashMap<String, Input> inputs = new LinkedHashMap<>();
    private final LinkedHashMap<String, Output> outputs = new LinkedHashMap<>();
    private final List<Setting> settings = new ArrayList<>();
    private final List<List<String>> needs = new ArrayList<>();
    private Class<? extends Loss> lossKind;
    private boolean takesSeveralLosses;
    private boolean hasMetrics;
    private List<String> alternatives = List.of();
    private List<String> ofSeveralLabels = List.of();
    private String choice = "";

    /**
     * Reads the declarations.
     *
     * @param parts the calls that it consists of; a call takes what those before it give
     */
    Operation(Signature... parts) {
        this.parts = List.of(parts);
        List<Operand> given = new ArrayList<>();
        for (Signature part : parts) {
            for (Operand operand : part.operands()) {
                boolean isGiven = given.stream().anyMatch(o -> o.id().equals(operand.id()));
                if (operand.declaration().isOutput()) {
                    given.add(operand);
                } else if (!isGiven) {
                    inputs.putIfAbsent(operand.id(), Input.of(operand));
                }
            }
        }
        given.forEach(o -> outputs.put(o.id(), Output.of(o, List.copyOf(inputs.values()))));
        parts[0].options().forEach(this::addOptions);
        if (inputs.values().stream().anyMatch(Input::isReference)) {
            settings.add(Setting.REFERENCE_FREE);
        }
        if (takesSeveralLosses) {
            settings.addAll(List.of(Setting.LOSS_WEIGHTS, Setting.WPO, Setting.TOKEN_COUNT));
        }
    }

    private void addOptions(Class<?> type) {
        if (type == StepOptions.class) {
            lossKind = Loss.OfStep.class;
            takesSeveralLosses = true;
            measuring(StepMetrics.class);
        } else if (Loss.class.isAssignableFrom(type)) {
            lossKind = type.asSubclass(Loss.class);
        } else {
            Options.of(type.asSubclass(Record.class)).forEach(o -> settings.add(Setting.of(o)));
        }
    }

    // ---- What files add ----

    /** This operation with an option that has no default, as it says what is computed. */
    Operation choosing(String option) {
        choice = option;
        return this;
    }

    /** This operation with an input that has to be there, and comes first. */
    Operation requiring(String input) {
        inputs.putFirst(input, inputs.get(input).required());
        return this;
    }

    /** This operation without an input. */
    Operation without(String input) {
        inputs.remove(input);
        return this;
    }

    /** This operation without an option. */
    Operation withoutOption(String option) {
        settings.removeIf(setting -> setting.name().equals(option));
        return this;
    }

    /** This operation with metrics, whose loss comes first. */
    Operation measuring(Class<? extends Record> metrics) {
        hasMetrics = true;
        Output.metrics(metrics).forEach(metric -> outputs.put(metric.name(), metric));
        outputs.putFirst(Settings.LOSS, outputs.get(Settings.LOSS));
        return this;
    }

    /** This operation with inputs of which exactly one is there. */
    Operation oneOf(String... names) {
        alternatives = List.of(names);
        return this;
    }

    /** This operation with tensors that are there with several labels per row alone. */
    Operation ofSeveralLabels(String... names) {
        ofSeveralLabels = List.of(names);
        return this;
    }

    /** This operation with two inputs that are both there or both absent. */
    Operation bothOrNone(String first, String second) {
        return needing(first, second).needing(second, first);
    }

    /** This operation with an input that is there beside another alone. */
    Operation needing(String input, String other) {
        needs.add(List.of(input, other));
        return this;
    }

    /** This operation with an output that is there with an input alone. */
    Operation giving(String output, String with) {
        outputs.computeIfPresent(output, (name, given) -> given.with(with));
        return this;
    }

    /** This operation on rows alone, not on sequences of rows. */
    Operation ofRows() {
        inputs.replaceAll((name, input) -> input.firstForm());
        outputs.replaceAll((name, output) -> output.firstForm());
        return this;
    }

    // ---- The tables ----

    String name() {
        return parts.getFirst().id();
    }

    List<Signature> parts() {
        return parts;
    }

    List<Input> inputs() {
        return List.copyOf(inputs.values());
    }

    List<Output> outputs() {
        return List.copyOf(outputs.values());
    }

    /** Outputs of a part that a later part takes. */
    List<String> handedOn() {
        return parts.stream()
                .flatMap(part -> part.operands().stream())
                .filter(operand -> !operand.declaration().isOutput())
                .map(Operand::id)
                .filter(outputs::containsKey)
                .toList();
    }

    boolean hasMetrics() {
        return hasMetrics;
    }

    /** Those beside the loss and its own. */
    List<Setting> settings() {
        return settings;
    }

    /** Inputs of which exactly one is there; none where there are no such. */
    List<String> alternatives() {
        return alternatives;
    }

    /** The same, of a reference, which may be left out with it. */
    List<String> references() {
        return inputs.values().stream()
                .filter(input -> input.presence() == Presence.ONE_REFERENCE)
                .map(Input::name)
                .toList();
    }

    /** Tensors that are there with several labels per row alone. */
    List<String> ofSeveralLabels() {
        return ofSeveralLabels;
    }

    /** Inputs, each with one that must be there where it is. */
    List<List<String>> needs() {
        return needs;
    }

    boolean isRequired(Setting setting) {
        return setting.name().equals(choice);
    }

    /** The losses to choose from, where there is a loss. */
    Optional<Class<? extends Loss>> lossKind() {
        return Optional.ofNullable(lossKind);
    }

    /** Whether the option {@code loss} may name several, with commas between them. */
    boolean takesSeveralLosses() {
        return takesSeveralLosses;
    }
}
