package dev.logratio.internal.check;

import dev.logratio.internal.Option;
import dev.logratio.internal.Options;
import dev.logratio.internal.check.Operand.Presence;
import dev.logratio.internal.tensor.StridedTensor;
import dev.logratio.loss.Loss;

import java.util.Arrays;

/**
 * Tensors that take the place of the numbers of a loss that it has gradients by, and the tensors of
 * these gradients: what the operations on pairs share. {@code native/src/abi/parameters.cpp} does
 * the same, in the same words.
 */
public final class ParameterTensors {
    private static final String GRADIENT = "grad_";

    private ParameterTensors() {}

    /** The loss has the options that tensors are given for, and the gradients that are wanted. */
    static void presence(Call call, Loss.OfStep loss) {
        for (Operand operand : call.signature().operands()) {
            if (isParameter(operand) && call.has(operand)) {
                requireOption(call, operand, loss);
            }
        }
    }

    /** Parameters are of one loss. */
    static void requireOneLoss(Call call, int losses) {
        for (Operand operand : call.signature().operands()) {
            if (losses > 1 && isParameter(operand) && call.has(operand)) {
                throw new IllegalArgumentException(
                        given(operand) + ", expected a single loss with it, not " + losses);
            }
        }
    }

    private static boolean isParameter(Operand operand) {
        Presence presence = operand.declaration().presence();
        return presence == Presence.OPTION || presence == Presence.OPTION_GRADIENT;
    }

    private static String given(Operand operand) {
        return operand.id()
                + (operand.declaration().isOutput() ? " is wanted" : " is given as a tensor");
    }

    private static void requireOption(Call call, Operand operand, Loss.OfStep loss) {
        String name = option(operand);
        if (!(loss instanceof Loss.Paired) || option(loss, name) == null) {
            throw new IllegalArgumentException(
                    given(operand)
                            + ", expected a loss with the option "
                            + name
                            + ", not "
                            + loss.id());
        }
        if (operand.declaration().isOutput()
                && !((Loss.Paired) loss).gradientOptions().contains(name)
                && parameter(call, name) == null) {
            throw new IllegalArgumentException(
                    given(operand)
                            + ", expected "
                            + name
                            + " as a tensor with it, as loss "
                            + loss.id()
                            + " has no gradient by options");
        }
    }

    private static String option(Operand operand) {
        boolean isOutput = operand.declaration().isOutput();
        return isOutput ? operand.id().substring(GRADIENT.length()) : operand.id();
    }

    private static Option option(Loss loss, String name) {
        for (Option option : Options.of(loss.getClass().asSubclass(Record.class))) {
            if (option.name().equals(name)) {
                return option;
            }
        }
        return null;
    }

    /** The operand of a parameter's name, if there is a tensor for it. */
    private static Operand parameter(Call call, String name) {
        for (Operand operand : call.signature().operands()) {
            if (operand.declaration().presence() == Presence.OPTION
                    && operand.id().equals(name)
                    && call.has(operand)) {
                return operand;
            }
        }
        return null;
    }

    /** A gradient has its parameter's shape, or [1] where that is no tensor. */
    static void shapes(Call call) {
        for (Operand operand : call.signature().operands()) {
            if (operand.declaration().presence() != Presence.OPTION_GRADIENT
                    || !call.has(operand)) {
                continue;
            }
            Operand of = parameter(call, option(operand));
            long size = of == null ? 1 : call.get(of).size(0);
            if (call.get(operand).size(0) != size) {
                throw call.mismatch(
                        operand,
                        "shape ["
                                + size
                                + "], as "
                                + (of == null
                                        ? option(operand) + " is not given as a tensor"
                                        : of.id() + " is " + call.get(of)));
            }
        }
    }

    /** Checks the elements of parameters that the host can read. */
    static void values(Call call, Loss loss) {
        for (Operand operand : call.signature().operands()) {
            if (operand.declaration().presence() != Presence.OPTION
                    || Values.isUnread(call.get(operand))) {
                continue;
            }
            StridedTensor tensor = call.get(operand);
            var range = option(loss, operand.id()).range();
            for (long k = 0; k < tensor.elementCount(); k++) {
                String name =
                        tensor.elementCount() == 1 ? operand.id() : operand.id() + "[" + k + "]";
                range.require(name, tensor.loadDouble(tensor.offsetOf(k)));
            }
        }
    }

    /**
     * The values of a parameter, one for each pair, where the host can read them.
     *
     * @param name of the option
     * @param option the value where no tensor stands for it
     */
    public static double[] of(Call call, String name, double option, int pairs) {
        double[] values = new double[pairs];
        Operand operand = parameter(call, name);
        if (operand == null || Values.isUnread(call.get(operand))) {
            Arrays.fill(values, option);
            return values;
        }
        StridedTensor tensor = call.get(operand);
        boolean isOne = tensor.elementCount() == 1;
        Arrays.setAll(values, i -> tensor.loadDouble(tensor.offsetOf(isOne ? 0 : i)));
        return values;
    }

    /** Whether a tensor stands for an option. */
    static boolean any(Call call) {
        for (Operand operand : call.signature().operands()) {
            if (operand.declaration().presence() == Presence.OPTION && call.has(operand)) {
                return true;
            }
        }
        return false;
    }
}
