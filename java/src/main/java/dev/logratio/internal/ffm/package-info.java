/**
 * The backends of the native library: a call is written into the C interface's argument struct, at
 * offsets that come from the struct's layout by the operands' names, and its function is called.
 */
package dev.logratio.internal.ffm;
