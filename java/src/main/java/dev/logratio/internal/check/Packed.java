package dev.logratio.internal.check;

import java.util.List;

/** Whether an operation's tensors are packed: they are where the operand that says so is there. */
final class Packed {
    private Packed() {}

    /** Checks the first operand, whose form is that of packed tensors or another. */
    static void check(Call call, boolean isPacked) {
        List<Operand> operands = call.signature().operands();
        for (Operand operand : operands) {
            boolean saysSo = operand.declaration().presence() == Operand.Presence.PACKED;
            if (!saysSo || call.has(operand) == isPacked) {
                continue;
            }
            Operand first = operands.getFirst();
            List<Shape> forms = first.declaration().forms();
            throw call.mismatch(
                    first,
                    isPacked
                            ? "shape %s, or %s with %s"
                                    .formatted(forms.getFirst(), operand.id(), forms.getLast())
                            : "shape %s as %s is given".formatted(forms.getLast(), operand.id()));
        }
    }
}
