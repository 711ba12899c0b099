package dev.logratio.internal.check;

import dev.logratio.DType;
import dev.logratio.Frozen;
import dev.logratio.LinearOptions;
import dev.logratio.TokenOptions;
import dev.logratio.internal.tensor.StridedTensor;

import java.util.Locale;

/**
 * The rules of an operation on hidden states and a head's weight: those of the head, and then those
 * of the rest, which are its twin's on logits.
 *
 * @param gradients the gradients of the head's parts
 * @param reference the head of the reference model; null where the operation has none
 */
record LinearRules(Head head, Head gradients, Head reference, Rules rest) implements Rules {
    /** What logits are made of, {@code hidden * weight + bias}, or something of each of these. */
    record Head(Operand hidden, Operand weight, Operand bias) {}

    @Override
    public void options(Call call) {
        rest.options(call);
    }

    @Override
    public void together(Call call) {
        if (reference != null) {
            Values.bothOrNone(call, reference.hidden, reference.weight);
        }
    }

    @Override
    public void presence(Call call) {
        rest.presence(call);
        if (reference != null && call.has(reference.bias) && !call.has(reference.hidden)) {
            throw call.missing(reference.hidden, ", as " + reference.bias.id() + " is given");
        }
        switch (call.option(LinearOptions.class).frozen()) {
            case NONE -> {}
            case WEIGHT -> {
                requireAbsent(call, gradients.weight);
                requireAbsent(call, gradients.bias);
            }
            case HIDDEN -> requireAbsent(call, gradients.hidden);
        }
        if (call.has(gradients.bias) && !call.has(head.bias)) {
            throw call.missing(head.bias, ", as " + gradients.bias.id() + " is wanted");
        }
    }

    private static void requireAbsent(Call call, Operand gradient) {
        if (call.has(gradient)) {
            Frozen frozen = call.option(LinearOptions.class).frozen();
            throw new IllegalArgumentException(
                    gradient.id()
                            + " is there, expected it absent as frozen is "
                            + frozen.name().toLowerCase(Locale.ROOT));
        }
    }

    @Override
    public void shapes(Call call) {
        rest.shapes(call);
        long columns = Values.columns(call, call.option(TokenOptions.class).vocab());
        if (columns < 1) {
            throw call.mismatch(head.weight, "a vocabulary of at least 1");
        }
        requireTypeOfHidden(call, head.weight);
        requireTypeOf(call, gradients.hidden, head.hidden);
        requireTypeOf(call, gradients.weight, head.weight);
        requireTypeOf(call, gradients.bias, head.bias);
        requireBudget(call, columns);
        if (reference != null) {
            requireTypeOfHidden(call, reference.hidden);
            requireTypeOfHidden(call, reference.weight);
        }
    }

    private void requireTypeOfHidden(Call call, Operand operand) {
        DType dtype = call.get(head.hidden).dtype();
        if (call.has(operand) && call.get(operand).dtype() != dtype) {
            throw call.mismatch(operand, dtype + " as " + head.hidden.id());
        }
    }

    /** A gradient has the dtype of what it is of, or F32. */
    private static void requireTypeOf(Call call, Operand gradient, Operand of) {
        StridedTensor tensor = call.get(gradient);
        if (tensor == null || tensor.dtype() == DType.F32) {
            return;
        }
        DType dtype = call.get(of).dtype();
        if (tensor.dtype() != dtype) {
            String either = dtype == DType.F32 ? "F32" : "F32 or " + dtype;
            throw call.mismatch(gradient, either + " as " + of.id());
        }
    }

    /** The columns that take part, of one row, fit. */
    private static void requireBudget(Call call, long columns) {
        long row = columns * Float.BYTES;
        long budget = call.option(LinearOptions.class).budgetBytes();
        if (budget < row) {
            throw new IllegalArgumentException(
                    "budget_bytes is "
                            + budget
                            + ", expected at least "
                            + row
                            + ", the logits of a row");
        }
    }

    @Override
    public void values(Call call) {
        rest.values(call);
    }

    @Override
    public void warn(Call call) {
        rest.warn(call);
    }
}
