package dev.logratio.internal.check;

import dev.logratio.internal.tensor.Overlap;
import dev.logratio.internal.tensor.StridedTensor;

import java.util.List;

/**
 * The check that no output shares memory with another argument, except a gradient with the input
 * that it is the gradient of.
 */
final class DistinctOutputs {
    private DistinctOutputs() {}

    /** Checks the tensors of a call, null where an operand is absent. */
    static void requireApart(List<Operand> operands, StridedTensor[] tensors) {
        if (extentsAreApart(tensors)) {
            return;
        }
        for (int i = 0; i < tensors.length; i++) {
            boolean isOutput = tensors[i] != null && operands.get(i).declaration().isOutput();
            for (int j = 0; isOutput && j < tensors.length; j++) {
                boolean isCheckedAlready = j < i && operands.get(j).declaration().isOutput();
                if (i != j && tensors[j] != null && !isCheckedAlready) {
                    requireApart(operands.get(i), tensors[i], operands.get(j), tensors[j]);
                }
            }
        }
    }

    private static void requireApart(
            Operand output, StridedTensor written, Operand operand, StridedTensor other) {
        boolean mayBeSame = output.declaration().gradientOf() == operand;
        if (Overlap.between(written, other) && !(mayBeSame && Overlap.isSameView(written, other))) {
            throw new IllegalArgumentException(
                    output.id()
                            + " "
                            + written
                            + " overlaps "
                            + operand.id()
                            + " "
                            + other
                            + ", expected "
                            + (mayBeSame ? "exactly that tensor or " : "")
                            + "memory of its own");
        }
    }

    /**
     * Whether no two of the tensors reach into each other's memory, which is so in all but a few
     * calls and quick to see.
     */
    private static boolean extentsAreApart(StridedTensor[] tensors) {
        long[] starts = new long[tensors.length];
        long[] ends = new long[tensors.length];
        int count = 0;
        for (StridedTensor tensor : tensors) {
            if (tensor == null) {
                continue;
            }
            // Sorted by insertion: there are few, and often they come in order.
            int at = count++;
            for (; at > 0 && starts[at - 1] > tensor.start(); at--) {
                starts[at] = starts[at - 1];
                ends[at] = ends[at - 1];
            }
            starts[at] = tensor.start();
            ends[at] = tensor.end();
        }
        for (int i = 1; i < count; i++) {
            if (starts[i] < ends[i - 1]) {
                return false;
            }
        }
        return true;
    }
}
