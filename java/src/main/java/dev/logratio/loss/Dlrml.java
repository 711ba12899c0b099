package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

import java.util.Set;

/**
 * dLRML: {@code (1-m)(-LS(z)) + m exp(-z)} with {@code z = betaKl * D} and {@code m = S(betaMix * D
 * / tau)}; the discovered log-ratio-modulated loss (arXiv 2406.08414) with separate strengths for
 * the penalty and for the mixture.
 *
 * <p>It is safe where {@code betaMix > tau * betaKl}: below, the loss of a bad pair grows
 * exponentially (see {@link Guard}). Rewards are {@code betaKl} times the log-ratio.
 *
 * @param betaKl scales the margin inside both branches; finite and &gt; 0, default .05
 * @param betaMix scales the margin inside the mixture's gate; finite, default .20
 * @param tau temperature of the gate; finite and &gt; 0, default .05
 * @param guard what is done about {@code betaMix < tau * betaKl}; default nothing
 * @param fDivergence the score of a log-ratio; default reverse KL
 * @since 0.1.0
 */
public record Dlrml(
        @Range(above = 0) double betaKl,
        @Range double betaMix,
        @Range(above = 0) double tau,
        Guard guard,
        FDivergence fDivergence)
        implements Loss.OfMargin {

    private static final Set<String> GRADIENT_OPTIONS = Set.of("beta_kl", "beta_mix", "tau");

    /** Every option at its default. */
    public Dlrml() {
        this(.05, .20, .05);
    }

    /**
     * No guard, reverse KL.
     *
     * @param betaKl finite and &gt; 0
     * @param betaMix finite
     * @param tau finite and &gt; 0
     * @throws IllegalArgumentException if a number is out of its range
     */
    public Dlrml(double betaKl, double betaMix, double tau) {
        this(betaKl, betaMix, tau, Guard.NONE, new FDivergence.ReverseKl());
    }

    /**
     * Checks the ranges.
     *
     * @throws IllegalArgumentException if a number is out of its range
     */
    public Dlrml {
        Options.check(Dlrml.class, betaKl, betaMix, tau, guard, fDivergence);
    }

    /**
     * This loss with another betaKl.
     *
     * @param betaKl finite and &gt; 0
     * @return the new loss
     */
    public Dlrml withBetaKl(double betaKl) {
        return new Dlrml(betaKl, betaMix, tau, guard, fDivergence);
    }

    /**
     * This loss with another betaMix.
     *
     * @param betaMix finite
     * @return the new loss
     */
    public Dlrml withBetaMix(double betaMix) {
        return new Dlrml(betaKl, betaMix, tau, guard, fDivergence);
    }

    /**
     * This loss with another tau.
     *
     * @param tau finite and &gt; 0
     * @return the new loss
     */
    public Dlrml withTau(double tau) {
        return new Dlrml(betaKl, betaMix, tau, guard, fDivergence);
    }

    /**
     * This loss with another guard.
     *
     * @param guard what is done about {@code betaMix < tau * betaKl}
     * @return the new loss
     */
    public Dlrml withGuard(Guard guard) {
        return new Dlrml(betaKl, betaMix, tau, guard, fDivergence);
    }

    /**
     * This loss with another score.
     *
     * @param fDivergence the score of a log-ratio
     * @return the new loss
     */
    public Dlrml withFDivergence(FDivergence fDivergence) {
        return new Dlrml(betaKl, betaMix, tau, guard, fDivergence);
    }

    @Override
    public String id() {
        return "dlrml";
    }

    @Override
    public double beta() {
        return betaKl;
    }

    @Override
    public Set<String> gradientOptions() {
        return GRADIENT_OPTIONS;
    }
}
