package dev.logratio.internal.reference;

import dev.logratio.internal.tensor.StridedTensor;

import java.util.Arrays;

/**
 * Where each token of a batch lies in a tensor: sequence {@code b}'s token {@code t} is element
 * {@code starts[b] + t}.
 *
 * @param starts of each sequence, and where the last one ends
 */
record Spans(int[] starts) {
    /** The spans of sequences [B,T], or of packed ones, whose ends are given. */
    static Spans of(StridedTensor tokens, StridedTensor cuSeqlens) {
        if (cuSeqlens == null) {
            int[] starts = new int[Math.toIntExact(tokens.size(0)) + 1];
            for (int b = 0; b < starts.length; b++) {
                starts[b] = Math.toIntExact(b * tokens.size(1));
            }
            return new Spans(starts);
        }
        int[] starts = new int[Math.toIntExact(cuSeqlens.size(0))];
        for (int b = 0; b < starts.length; b++) {
            starts[b] = Math.toIntExact(Numbers.loadLong(cuSeqlens, b));
        }
        return new Spans(starts);
    }

    int sequences() {
        return starts.length - 1;
    }

    /** How many tokens a sequence has. */
    int length(int b) {
        return starts[b + 1] - starts[b];
    }

    /** The row-major number of a token. */
    long number(int b, int t) {
        return (long) starts[b] + t;
    }

    /** A number for each token of each sequence, all 1. */
    double[][] ones() {
        double[][] ones = new double[sequences()][];
        for (int b = 0; b < ones.length; b++) {
            ones[b] = new double[length(b)];
            Arrays.fill(ones[b], 1);
        }
        return ones;
    }
}
