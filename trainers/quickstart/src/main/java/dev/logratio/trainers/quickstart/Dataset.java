package dev.logratio.trainers.quickstart;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;

/**
 * Pairs for training and pairs held out, in tokens.
 *
 * @param tokenizer made from the training pairs alone
 * @param training what the model learns from
 * @param heldOut what it is measured on
 * @param heldOutPairs the same as text
 * @param leftOut how many pairs are in neither: cut to the longest length, an answer of theirs has
 *     no token that counts
 */
record Dataset(
        Tokenizer tokenizer,
        List<EncodedPair> training,
        List<EncodedPair> heldOut,
        List<PreferencePair> heldOutPairs,
        int leftOut) {
    /** Fewer leave nothing to learn from or to measure on. */
    static final int LEAST_PAIRS = 10;

    private static final int MAX_WORDS = 4096;
    private static final double HELD_OUT_SHARE = 0.2;
    private static final int MAX_HELD_OUT = 200;

    /** Splits the pairs at random, as the seed decides. */
    static Dataset split(List<PreferencePair> pairs, int maxTokens, long seed) {
        List<PreferencePair> order = new ArrayList<>(pairs);
        Collections.shuffle(order, new Random(seed));
        int held = Math.min(MAX_HELD_OUT, (int) Math.ceil(HELD_OUT_SHARE * order.size()));
        List<PreferencePair> training = order.subList(held, order.size());
        Tokenizer tokenizer = Tokenizer.train(training.stream().flatMap(Dataset::texts), MAX_WORDS);
        List<PreferencePair> heldOut =
                order.subList(0, held).stream()
                        .filter(pair -> EncodedPair.of(pair, tokenizer, maxTokens).counts())
                        .toList();
        List<EncodedPair> encoded = encode(training, tokenizer, maxTokens);
        return new Dataset(
                tokenizer,
                encoded,
                encode(heldOut, tokenizer, maxTokens),
                heldOut,
                order.size() - encoded.size() - heldOut.size());
    }

    /** Whether enough is left to learn from and to measure on. */
    boolean isEnough() {
        return training.size() + heldOut.size() >= LEAST_PAIRS
                && !training.isEmpty()
                && !heldOut.isEmpty();
    }

    private static Stream<String> texts(PreferencePair pair) {
        return Stream.of(pair.prompt(), pair.chosen(), pair.rejected())
                .flatMap(List::stream)
                .map(Message::text);
    }

    private static List<EncodedPair> encode(
            List<PreferencePair> pairs, Tokenizer tokenizer, int maxTokens) {
        return pairs.stream()
                .map(pair -> EncodedPair.of(pair, tokenizer, maxTokens))
                .filter(EncodedPair::counts)
                .toList();
    }

    long truncated() {
        return Stream.concat(training.stream(), heldOut.stream())
                .filter(EncodedPair::truncated)
                .count();
    }
}
