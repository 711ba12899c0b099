package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

import java.util.List;
import java.util.Set;

/**
 * DiscoPOP, the log-ratio-modulated loss LRML of arXiv 2406.08414: {@code (1-m)(-LS(z)) + m
 * exp(-z)} with {@code z = beta * D} and {@code m = S(z / tau)}. Rewards are {@code beta} times the
 * log-ratio.
 *
 * @param beta scales the margin; finite and &gt; 0, default .05
 * @param tau temperature of the gate; finite and &gt; 0, default .05
 * @param variant which form of the gate; default the trainer's current one
 * @param fDivergence the score of a log-ratio; default reverse KL
 * @since 0.1.0
 */
public record DiscoPop(
        @Range(above = 0) double beta,
        @Range(above = 0) double tau,
        Variant variant,
        FDivergence fDivergence)
        implements Loss.OfMargin {

    private static final Set<String> GRADIENT_OPTIONS = Set.of("beta", "tau");

    /** Every option at its default. */
    public DiscoPop() {
        this(.05, .05, Variant.REPO, new FDivergence.ReverseKl());
    }

    /**
     * Checks the ranges.
     *
     * @throws IllegalArgumentException if a number is out of its range
     */
    public DiscoPop {
        Options.check(DiscoPop.class, beta, tau, variant, fDivergence);
    }

    /**
     * This loss with another beta.
     *
     * @param beta finite and &gt; 0
     * @return the new loss
     */
    public DiscoPop withBeta(double beta) {
        return new DiscoPop(beta, tau, variant, fDivergence);
    }

    /**
     * This loss with another tau.
     *
     * @param tau finite and &gt; 0
     * @return the new loss
     */
    public DiscoPop withTau(double tau) {
        return new DiscoPop(beta, tau, variant, fDivergence);
    }

    /**
     * This loss in another form.
     *
     * @param variant which form of the gate
     * @return the new loss
     */
    public DiscoPop withVariant(Variant variant) {
        return new DiscoPop(beta, tau, variant, fDivergence);
    }

    /**
     * This loss with another score.
     *
     * @param fDivergence the score of a log-ratio
     * @return the new loss
     */
    public DiscoPop withFDivergence(FDivergence fDivergence) {
        return new DiscoPop(beta, tau, variant, fDivergence);
    }

    @Override
    public String id() {
        return "discopop";
    }

    @Override
    public List<String> aliases() {
        return List.of("lrml");
    }

    @Override
    public Set<String> gradientOptions() {
        return GRADIENT_OPTIONS;
    }
}
