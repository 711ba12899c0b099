/**
 * Losses of papers that compare a model with itself on another input, on {@link
 * dev.logratio.Divergence}: long-short output alignment and feature misalignment.
 */
package dev.logratio.misalignment;
