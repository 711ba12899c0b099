/**
 * Losses that compare a model with itself on another input, on top of {@link
 * dev.logratio.Divergence}: {@link dev.logratio.misalignment.LongShort} between two lengths of the
 * context (arXiv 2506.11769), {@link dev.logratio.misalignment.Feature} between the features of a
 * whole and of a masked input (arXiv 2507.04788).
 */
@NullMarked
package dev.logratio.misalignment;

import org.jspecify.annotations.NullMarked;
