package dev.logratio.property;

import dev.logratio.Tensor;

import java.util.Arrays;

/**
 * Packs padded sequences: each is cut to a length of its own. What it is cut off from must not
 * count in the padded call, whose results the packed one has.
 */
record Packing(Draw draw, int[] lengths) {
    static Packing drawn(Draw draw, int sequences, int tokens) {
        int[] lengths = new int[sequences];
        Arrays.setAll(lengths, b -> draw.chance(.2) ? tokens : draw.below(tokens + 1));
        return new Packing(draw, lengths);
    }

    /** Sets the tokens of a tensor [B,T] that are cut off. */
    void setCutOff(Tensor padded, double value) {
        for (int b = 0; b < lengths.length; b++) {
            for (long t = lengths[b]; t < padded.size(1); t++) {
                if (padded.dtype().isFloat()) {
                    padded.setDouble(value, b, t);
                } else {
                    padded.setLong((long) value, b, t);
                }
            }
        }
    }

    Tensor cuSeqlens() {
        Tensor ends = draw.zeros(draw.integer(), lengths.length + 1);
        long end = 0;
        for (int b = 0; b < lengths.length; b++) {
            end += lengths[b];
            ends.setLong(end, b + 1);
        }
        return ends;
    }

    /** A tensor [B,T] or [B,T,V] as [N] or [N,V]. */
    Tensor packed(Tensor padded) {
        long[] shape = Arrays.copyOfRange(padded.shape(), 1, padded.rank());
        shape[0] = Arrays.stream(lengths).sum();
        Tensor packed = draw.zeros(padded.dtype(), shape);
        forSequences(padded, packed, (ofPadded, ofPacked) -> ofPacked.copyFrom(ofPadded));
        return packed;
    }

    /** The way back, with zeros where tokens were cut off. */
    Tensor unpacked(Tensor packed, long... shape) {
        Tensor padded = draw.zeros(packed.dtype(), shape);
        forSequences(padded, packed, (ofPadded, ofPacked) -> ofPadded.copyFrom(ofPacked));
        return padded;
    }

    private interface Body {
        void accept(Tensor ofPadded, Tensor ofPacked);
    }

    private void forSequences(Tensor padded, Tensor packed, Body body) {
        long start = 0;
        for (int b = 0; b < lengths.length; b++) {
            long end = start + lengths[b];
            if (end > start) {
                body.accept(
                        padded.select(0, b).slice(0, 0, lengths[b]), packed.slice(0, start, end));
            }
            start = end;
        }
    }
}
