package dev.logratio.loss;

import dev.logratio.internal.Functions;
import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

/**
 * A learned beta_mix of {@link Dlrml} that stays where the loss is safe, above {@code tau *
 * beta_kl}: it is {@code tau * beta_kl + softplus(theta)} of a parameter theta that may be any
 * number.
 *
 * <p>Left alone, descent drives beta_mix down on pairs whose log-ratio is positive and up on the
 * others, always towards the cheaper branch; this form gives it a floor, not an optimum. A step of
 * plain gradient descent:
 *
 * {@snippet file="Examples.java" region="beta-mix"}
 *
 * <p>Where beta_kl or tau are learned too, their gradients gain {@code tau} and {@code betaKl}
 * times that of beta_mix.
 *
 * @param theta the parameter; finite
 * @param betaKl the loss's beta_kl; finite and &gt; 0
 * @param tau the loss's tau; finite and &gt; 0
 * @since 0.1.0
 */
public record LearnableBetaMix(
        @Range double theta, @Range(above = 0) double betaKl, @Range(above = 0) double tau) {
    /**
     * Checks the ranges.
     *
     * @throws IllegalArgumentException if a number is out of its range
     */
    public LearnableBetaMix {
        Options.check(LearnableBetaMix.class, theta, betaKl, tau);
    }

    /**
     * The parameter that stands for a beta_mix.
     *
     * @param betaMix finite and &gt; {@code tau * betaKl}
     * @param betaKl finite and &gt; 0
     * @param tau finite and &gt; 0
     * @return theta is the inverse of softplus
     * @throws IllegalArgumentException if a number is out of its range
     */
    public static LearnableBetaMix of(double betaMix, double betaKl, double tau) {
        double above = betaMix - tau * betaKl;
        if (!(above > 0 && above < Double.POSITIVE_INFINITY)) {
            throw new IllegalArgumentException(
                    "beta_mix is "
                            + betaMix
                            + ", expected a finite number > tau*beta_kl = "
                            + tau * betaKl);
        }
        return new LearnableBetaMix(above + Math.log(-Math.expm1(-above)), betaKl, tau);
    }

    /**
     * The value to compute with.
     *
     * @return {@code tau * betaKl + softplus(theta)}
     */
    public double betaMix() {
        return tau * betaKl + Functions.softplus(theta);
    }

    /**
     * The chain rule.
     *
     * @param gradBetaMix gradient of the loss with respect to beta_mix, from {@link
     *     dev.logratio.PairLoss#gradBetaMix}
     * @return its gradient with respect to theta
     */
    public double gradTheta(double gradBetaMix) {
        return gradBetaMix * Functions.logistic(theta);
    }

    /**
     * This parameter after a step.
     *
     * @param theta finite
     * @return the new parameter
     */
    public LearnableBetaMix withTheta(double theta) {
        return new LearnableBetaMix(theta, betaKl, tau);
    }
}
