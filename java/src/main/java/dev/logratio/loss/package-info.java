/**
 * The losses as immutable records of their options, with {@link dev.logratio.loss.Losses} to make them from text.
 *
 * <p>Notation in this package: {@code dw} and {@code dl} are the log-ratios policy/reference of the chosen and the rejected
 * sequence, {@code D = f(dw) - f(dl)} with the score {@code f} of an {@link dev.logratio.loss.FDivergence} (the identity by
 * default), {@code S} the logistic function and {@code LS} its logarithm.
 */
package dev.logratio.loss;
