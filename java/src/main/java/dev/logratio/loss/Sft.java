package dev.logratio.loss;

/**
 * Supervised fine-tuning on the chosen sequences: the sum of {@code -logp} over their counted
 * tokens, divided by the number of those in the whole batch; each pair has this value. Weights of
 * the mask and of the tail do not bear on it, nor does a pair's WPO weight; a pair's own weight
 * multiplies its part of the sum.
 *
 * @since 0.1.0
 */
public record Sft() implements Loss.Auxiliary {
    @Override
    public String id() {
        return "sft";
    }

    @Override
    public boolean dividesByLength() {
        return true;
    }
}
