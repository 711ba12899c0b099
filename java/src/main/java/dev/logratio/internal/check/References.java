package dev.logratio.internal.check;

import dev.logratio.internal.check.Operand.Presence;
import dev.logratio.loss.Loss;

import java.util.List;

/**
 * Whether the reference's log-probs are there: they must be where a loss has a reference, unless
 * the call is said to have none. Where no loss has one, they may be there for the rewards of a
 * step, and must not be otherwise.
 */
final class References {
    private References() {}

    static void check(Call call) {
        List<Operand> all = with(Presence.REFERENCE, call);
        List<Operand> choices = with(Presence.ONE_REFERENCE, call);
        if (all.isEmpty() && choices.isEmpty()) {
            return;
        }
        boolean takesReference = takesReference(call);
        if (call.isReferenceFree() || !takesReference && choices.isEmpty()) {
            all.forEach(operand -> requireAbsent(operand, call));
            choices.forEach(operand -> requireAbsent(operand, call));
            return;
        }
        Operand given = all.stream().filter(call::has).findFirst().orElse(null);
        for (Operand operand : all) {
            if (!call.has(operand)) {
                throw call.missing(
                        operand,
                        given == null
                                ? ", or referenceFree()"
                                : ", as " + given.id() + " is given");
            }
        }
        List<String> names = choices.stream().map(Operand::id).toList();
        List<String> namesGiven = choices.stream().filter(call::has).map(Operand::id).toList();
        if (namesGiven.size() > 1) {
            throw new IllegalArgumentException(
                    namesGiven.get(0)
                            + " and "
                            + namesGiven.get(1)
                            + " are both given, expected one of them");
        }
        if (namesGiven.isEmpty() && !choices.isEmpty() && takesReference) {
            throw new IllegalArgumentException(
                    Types.alternatives(names)
                            + " is missing, expected one of them, or referenceFree()");
        }
    }

    private static List<Operand> with(Presence presence, Call call) {
        return call.signature().operands().stream()
                .filter(operand -> operand.declaration().presence() == presence)
                .toList();
    }

    private static void requireAbsent(Operand operand, Call call) {
        if (call.has(operand)) {
            throw new IllegalArgumentException(
                    operand.id()
                            + " is given, expected it absent as "
                            + (call.isReferenceFree()
                                    ? "the call is reference-free"
                                    : "loss "
                                            + call.option(Loss.class).id()
                                            + " has no reference"));
        }
    }

    private static boolean takesReference(Call call) {
        return call.signature().options().contains(StepOptions.class)
                ? call.option(StepOptions.class).takesReference()
                : StepOptions.takesReference(call.option(Loss.class));
    }
}
