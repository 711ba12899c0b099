/**
 * The oracle: plain float64 loops that anyone can read, written from the papers. It shares no
 * formula with the native code; its files are named as those of native/src/math that compute the
 * same.
 */
package dev.logratio.internal.reference;
