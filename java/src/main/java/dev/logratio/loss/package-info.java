/**
 * The losses as immutable records of their options, with {@link dev.logratio.loss.Losses} to make
 * them from text.
 *
 * <p>Notation in this package: {@code lw} and {@code ll} are the policy's log-probs of the chosen
 * and the rejected sequence, {@code rw} and {@code rl} the reference's, {@code nw} and {@code nl}
 * the token counts (at least 1); {@code dw = lw - rw} and {@code dl = ll - rl} are the log-ratios
 * policy/reference, {@code D = f(dw) - f(dl)} with the score {@code f} of an {@link
 * dev.logratio.loss.FDivergence} (the identity by default, and for losses that do not have one).
 * {@code S} is the logistic function, {@code LS} its logarithm and {@code softplus(x)} is {@code
 * -LS(-x)}.
 */
@NullMarked
package dev.logratio.loss;

import org.jspecify.annotations.NullMarked;
