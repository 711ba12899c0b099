package dev.logratio;

import dev.logratio.internal.Options;

/**
 * How an operation on hidden states and a head's weight goes about its matrix products.
 *
 * @param budgetBytes memory for logits that are kept from the forward to the backward, and for the
 *     threads' tiles; at least {@code 4*vocab}, the logits of one row, default 268435456. Results
 *     do not depend on it, to the bit
 * @param frozen the part of the head whose gradient must not be asked for, default none
 * @param accumulate whether the gradients of weight and bias are added to what their tensors hold,
 *     as a trainer does that accumulates over batches, default false: they are written
 * @since 0.1.0
 */
public record LinearOptions(long budgetBytes, Frozen frozen, boolean accumulate) {
    /** A budget of 256 MiB, everything trained, gradients written. */
    public static final LinearOptions DEFAULT = new LinearOptions(268435456, Frozen.NONE, false);

    /**
     * Checks the budget; whether it is enough for a row is seen when the operation runs.
     *
     * @throws IllegalArgumentException if {@code budgetBytes} is below 1
     */
    public LinearOptions {
        Options.check(LinearOptions.class, budgetBytes, frozen, accumulate);
        if (budgetBytes < 1) {
            throw new IllegalArgumentException(
                    "budget_bytes is " + budgetBytes + ", expected a number >= 1");
        }
    }

    /**
     * These options with another budget.
     *
     * @param budgetBytes at least {@code 4*vocab}
     * @return the new options
     * @throws IllegalArgumentException if it is below 1
     */
    public LinearOptions withBudgetBytes(long budgetBytes) {
        return new LinearOptions(budgetBytes, frozen, accumulate);
    }

    /**
     * These options with another part of the head frozen.
     *
     * @param frozen the part that has no gradient
     * @return the new options
     */
    public LinearOptions withFrozen(Frozen frozen) {
        return new LinearOptions(budgetBytes, frozen, accumulate);
    }

    /**
     * These options with gradients of weight and bias added or written.
     *
     * @param accumulate whether they are added to what is there
     * @return the new options
     */
    public LinearOptions withAccumulate(boolean accumulate) {
        return new LinearOptions(budgetBytes, frozen, accumulate);
    }
}
