package dev.logratio.trainers.quickstart;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;

import dev.logratio.TokenOptions;
import dev.logratio.trainers.quickstart.EncodedPair.Sequence;

import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

/**
 * Sequences, padded on the right and shifted: {@code labels[t]} is the token after {@code
 * tokens[t]}, or the ignore index where it does not count.
 *
 * @param tokens [B,T] INT64
 * @param labels [B,T] INT64
 */
record TokenBatch(NDArray tokens, NDArray labels) {
    /** Chosen answers, then rejected ones. */
    static TokenBatch ofPairs(NDManager manager, List<EncodedPair> pairs) {
        return of(
                manager,
                Stream.concat(
                                pairs.stream().map(EncodedPair::chosen),
                                pairs.stream().map(EncodedPair::rejected))
                        .toList());
    }

    static TokenBatch ofChosen(NDManager manager, List<EncodedPair> pairs) {
        return of(manager, pairs.stream().map(EncodedPair::chosen).toList());
    }

    private static TokenBatch of(NDManager manager, List<Sequence> sequences) {
        int length = sequences.stream().mapToInt(Sequence::length).max().orElseThrow() - 1;
        long[] tokens = new long[sequences.size() * length];
        long[] labels = new long[sequences.size() * length];
        Arrays.fill(tokens, Tokenizer.PADDING);
        Arrays.fill(labels, TokenOptions.DEFAULT.ignoreIndex());
        for (int row = 0; row < sequences.size(); row++) {
            Sequence sequence = sequences.get(row);
            for (int t = 0; t + 1 < sequence.length(); t++) {
                tokens[row * length + t] = sequence.tokens().get(t);
                if (sequence.counted().get(t + 1)) {
                    labels[row * length + t] = sequence.tokens().get(t + 1);
                }
            }
        }
        Shape shape = new Shape(sequences.size(), length);
        return new TokenBatch(manager.create(tokens, shape), manager.create(labels, shape));
    }
}
