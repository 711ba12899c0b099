package dev.logratio.trainers.djl;

import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.training.dataset.Record;

import dev.logratio.TokenOptions;

import java.util.Arrays;
import java.util.Objects;

/**
 * A preference pair in tokens: the same prompt, then the chosen or the rejected completion. It
 * makes the record of a {@link ai.djl.training.dataset.RandomAccessDataset} whose data and labels
 * go through a {@link ChosenFirstBatchifier}.
 *
 * @since 0.1.0
 */
public final class TokenizedPair {
    private final long[] chosen;
    private final long[] rejected;
    private final int promptLength;
    private final double[] referenceLogps;

    private TokenizedPair(
            long[] chosen, long[] rejected, int promptLength, double[] referenceLogps) {
        this.chosen = chosen;
        this.rejected = rejected;
        this.promptLength = promptLength;
        this.referenceLogps = referenceLogps;
    }

    /**
     * A pair without the reference model's log-probs, which serves to compute them, and losses that
     * need no reference.
     *
     * @param chosen the prompt's tokens and those of the chosen completion; at least one
     * @param rejected the prompt's tokens and those of the rejected completion; at least one
     * @param promptLength how many tokens at the start of both are the prompt and do not count; a
     *     completion may be empty
     * @return the pair
     * @throws IllegalArgumentException if a sequence is empty or shorter than its prompt; the
     *     message names it
     * @throws NullPointerException if a sequence is null; the message names it
     */
    public static TokenizedPair of(long[] chosen, long[] rejected, int promptLength) {
        if (promptLength < 0) {
            throw new IllegalArgumentException(
                    "promptLength is " + promptLength + "; expected 0 or more");
        }
        check("chosen", chosen, promptLength);
        check("rejected", rejected, promptLength);
        return new TokenizedPair(chosen.clone(), rejected.clone(), promptLength, null);
    }

    private static void check(String name, long[] tokens, int promptLength) {
        int least = Math.max(1, promptLength);
        if (Objects.requireNonNull(tokens, name).length < least) {
            throw new IllegalArgumentException(
                    name + " has " + tokens.length + " tokens; expected at least " + least);
        }
    }

    /**
     * The same pair with the reference model's log-probs of both sequences, as {@link
     * PreferenceLoss#sequenceLogps} gives them.
     *
     * @param chosenLogp log-prob of the chosen sequence, in nats
     * @param rejectedLogp log-prob of the rejected sequence, in nats
     * @return a new pair
     */
    public TokenizedPair withReference(double chosenLogp, double rejectedLogp) {
        return new TokenizedPair(
                chosen, rejected, promptLength, new double[] {chosenLogp, rejectedLogp});
    }

    /**
     * The pair shifted for training. Its data are {@code chosen} [C-1] and {@code rejected},
     * the tokens without the last one of each sequence; its labels are of the same shapes, the
     * token after each, with the default {@linkplain TokenOptions#ignoreIndex ignore index} for
     * those of the prompt, and the reference's log-probs [2] (FLOAT64) where the pair has them.
     *
     * @param manager owns the arrays
     * @return the record
     * @throws NullPointerException if the manager is null; the message names it
     */
    public Record toRecord(NDManager manager) {
        Objects.requireNonNull(manager, "manager");
        NDList data = new NDList(manager.create(inputs(chosen)), manager.create(inputs(rejected)));
        NDList labels =
                new NDList(manager.create(labels(chosen)), manager.create(labels(rejected)));
        if (referenceLogps != null) {
            labels.add(manager.create(referenceLogps));
        }
        return new Record(data, labels);
    }

    private static long[] inputs(long[] tokens) {
        return Arrays.copyOf(tokens, tokens.length - 1);
    }

    private long[] labels(long[] tokens) {
        long[] labels = Arrays.copyOfRange(tokens, 1, tokens.length);
        Arrays.fill(labels, 0, Math.max(0, promptLength - 1), TokenOptions.DEFAULT.ignoreIndex());
        return labels;
    }
}
