package dev.logratio;

/**
 * What a run of a linear operation chose to do: with M rows that count, V columns of logits and H
 * the size of a hidden state.
 *
 * @param method how the gradients were come by
 * @param rows M
 * @param keptRows rows whose logits the backward found kept
 * @param recomputedRows rows whose logits it multiplied again
 * @param blockRows rows of a product's tile
 * @param blockColumns columns of it
 * @param operations multiplications and additions of all products, over M*H*V: 2 for the forward
 *     alone, 4 with the weight frozen, 6 with logits that were kept, up to 8
 * @param keptBytes bytes of logits that were kept, at most at one time
 * @param accumulatorBytes bytes of the float32 sums of gradients whose tensors are narrower
 * @param scratchBytes bytes of tiles and buffers, of all threads
 * @param gemm what made the products, as {@link GemmInfo#library} has it
 * @since 0.1.0
 */
public record LinearPlan(
        Method method,
        long rows,
        long keptRows,
        long recomputedRows,
        long blockRows,
        long blockColumns,
        double operations,
        long keptBytes,
        long accumulatorBytes,
        long scratchBytes,
        String gemm) {
    /**
     * How the gradients are come by.
     *
     * @since 0.1.0
     */
    public enum Method {
        /** No gradient is wanted. */
        FORWARD,
        /**
         * The weight has no gradient: sums of its rows by their probabilities follow the forward
         * tile by tile, and are scaled when the upstream is known.
         */
        ONLINE,
        /**
         * The backward follows the forward as soon as a block's upstream is known, on logits that
         * were kept or are multiplied again.
         */
        SWEEP
    }
}
