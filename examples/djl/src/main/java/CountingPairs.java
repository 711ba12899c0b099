import ai.djl.ndarray.NDManager;
import ai.djl.training.dataset.RandomAccessDataset;
import ai.djl.training.dataset.Record;
import ai.djl.util.Progress;

import dev.logratio.TokenOptions;
import dev.logratio.trainers.djl.ChosenFirstBatchifier;
import dev.logratio.trainers.djl.TokenizedPair;

import java.util.ArrayList;
import java.util.List;

/** Sequences that count up are preferred to sequences that count down. */
final class CountingPairs extends RandomAccessDataset {
    static final int VOCABULARY = 12;
    private static final int PADDING = 0;

    private final List<TokenizedPair> pairs;

    private CountingPairs(List<TokenizedPair> pairs, int batchSize) {
        super(
                new Builder()
                        .setSampling(batchSize, false)
                        .optDataBatchifier(new ChosenFirstBatchifier(PADDING))
                        .optLabelBatchifier(
                                new ChosenFirstBatchifier(TokenOptions.DEFAULT.ignoreIndex())));
        this.pairs = pairs;
    }

    /** Pairs that start with the tokens from {@code first} on: the prompt is the first token. */
    static CountingPairs startingWith(int first, int count, int batchSize) {
        List<TokenizedPair> pairs = new ArrayList<>();
        for (int start = first; start < first + count; start++) {
            long[] chosen = sequence(start, 1, 4 + start % 3);
            long[] rejected = sequence(start, -1, 4 + start % 2);
            pairs.add(TokenizedPair.of(chosen, rejected, 1));
        }
        return new CountingPairs(pairs, batchSize);
    }

    private static long[] sequence(int start, int step, int length) {
        long[] tokens = new long[length];
        for (int t = 0; t < length; t++) {
            tokens[t] = Math.floorMod(start + step * t, VOCABULARY);
        }
        return tokens;
    }

    /** The same pairs with a reference's log-probs, the chosen and the rejected one of each. */
    CountingPairs withReference(List<double[]> logps, int batchSize) {
        List<TokenizedPair> scored = new ArrayList<>();
        for (int i = 0; i < pairs.size(); i++) {
            scored.add(pairs.get(i).withReference(logps.get(i)[0], logps.get(i)[1]));
        }
        return new CountingPairs(scored, batchSize);
    }

    @Override
    public Record get(NDManager manager, long index) {
        return pairs.get(Math.toIntExact(index)).toRecord(manager);
    }

    @Override
    protected long availableSize() {
        return pairs.size();
    }

    @Override
    public void prepare(Progress progress) {
        // The pairs are made in memory.
    }

    private static final class Builder extends BaseBuilder<Builder> {
        @Override
        protected Builder self() {
            return this;
        }
    }
}
