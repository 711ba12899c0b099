package dev.logratio.internal.check;

import dev.logratio.internal.check.Operand.Presence;
import dev.logratio.loss.Loss;

import java.util.ArrayList;
import java.util.List;

/**
 * Whether the reference's log-probs are there: they must be where a loss has a reference, unless
 * the call is said to have none, and must not be otherwise.
 */
final class References {
    private References() {}

    static void check(Call call) {
        List<Operand> operands = call.signature().operands();
        boolean expected = false;
        boolean one = false;
        boolean known = false;
        boolean choice = false;
        for (int i = 0; i < operands.size(); i++) {
            Presence presence = operands.get(i).declaration().presence();
            if (presence != Presence.REFERENCE && presence != Presence.ONE_REFERENCE) {
                continue;
            }
            if (!known) {
                known = true;
                expected = takesReference(call) && !call.isReferenceFree();
            }
            choice |= presence == Presence.ONE_REFERENCE;
            boolean given = call.has(operands.get(i));
            if (given && !expected) {
                throw new IllegalArgumentException(
                        operands.get(i).id()
                                + " is given, expected it absent as "
                                + (call.isReferenceFree()
                                        ? "the call is reference-free"
                                        : "loss " + firstLoss(call).id() + " has no reference"));
            }
            if (presence == Presence.REFERENCE && expected && !given) {
                throw call.missing(operands.get(i), ", or referenceFree()");
            }
            if (given && one) {
                throw new IllegalArgumentException(
                        String.join(" and ", choices(operands))
                                + " are both given, expected one of them");
            }
            one |= given && presence == Presence.ONE_REFERENCE;
        }
        if (choice && expected && !one) {
            throw new IllegalArgumentException(
                    Types.alternatives(choices(operands))
                            + " is missing, expected one of them, or referenceFree()");
        }
    }

    private static List<String> choices(List<Operand> operands) {
        List<String> choices = new ArrayList<>();
        for (Operand operand : operands) {
            if (operand.declaration().presence() == Presence.ONE_REFERENCE) {
                choices.add(operand.id());
            }
        }
        return choices;
    }

    private static boolean takesReference(Call call) {
        return call.signature() == Signature.PREFERENCE_STEP
                ? call.option(StepOptions.class).takesReference()
                : StepOptions.takesReference(call.option(Loss.class));
    }

    private static Loss firstLoss(Call call) {
        return call.signature() == Signature.PREFERENCE_STEP
                ? call.option(StepOptions.class).losses().getFirst().loss()
                : call.option(Loss.class);
    }
}
