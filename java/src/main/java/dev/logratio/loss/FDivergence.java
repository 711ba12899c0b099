package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

/**
 * Which f-divergence regularises: it gives the score {@code f'(exp(x))} of a log-ratio {@code x} =
 * log policy/reference. Each score is 0 at {@code x = 0}; its constant cancels in the difference of
 * two scores, but not where each is divided by a length.
 *
 * <p>Exponents are clamped at 80; beyond, the gradient of the score is 0.
 *
 * @since 0.1.0
 */
public sealed interface FDivergence {
    /** Reverse KL: {@code x}. The default of every loss. */
    record ReverseKl() implements FDivergence {}

    /** Forward KL: {@code 1 - exp(-x)}. */
    record ForwardKl() implements FDivergence {}

    /** Jensen-Shannon: {@code log(2) + LS(x)}. */
    record Js() implements FDivergence {}

    /**
     * Alpha divergence: {@code (exp((a-1)x) - 1) / (a-1)} with a the {@code fAlpha}, and {@code x}
     * where {@code |a-1| < 1e-6}.
     *
     * @param fAlpha finite, default .5
     */
    record Alpha(@Range double fAlpha) implements FDivergence {
        /** Alpha .5. */
        public Alpha() {
            this(.5);
        }

        /**
         * Checks the range.
         *
         * @throws IllegalArgumentException if it is not finite
         */
        public Alpha {
            Options.check(Alpha.class, fAlpha);
        }
    }
}
