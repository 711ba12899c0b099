/**
 * The command line: {@code logratio eval} runs one operation on the tensors of a file, {@code
 * logratio info} says what this build can do.
 */
package dev.logratio.cli;
