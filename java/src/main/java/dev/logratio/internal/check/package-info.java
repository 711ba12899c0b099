/**
 * What operations take and give, and the checks of it. Each operation has an enum of its operands,
 * {@link dev.logratio.internal.check.Signature} lists the operations, and a {@link
 * dev.logratio.internal.check.Call} holds the arguments of one: it keeps the tensors open, checks
 * them against the declarations, and hands itself to the {@link dev.logratio.internal.check.Engine}
 * behind a backend.
 *
 * <p>To add an operand, add its constant to the enum: leases, checks, the C struct and the command
 * line follow from it. What remains is the setter in the operation's class, the oracle's branch in
 * {@code internal.reference}, and the native side.
 */
package dev.logratio.internal.check;
