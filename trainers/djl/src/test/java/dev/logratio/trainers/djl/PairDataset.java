package dev.logratio.trainers.djl;

import ai.djl.ndarray.NDManager;
import ai.djl.training.dataset.RandomAccessDataset;
import ai.djl.training.dataset.Record;
import ai.djl.util.Progress;

import dev.logratio.TokenOptions;

import java.util.List;

/** Pairs in their order, as a user's data set gives them. */
final class PairDataset extends RandomAccessDataset {
    static final int PADDING = 0;

    private final List<TokenizedPair> pairs;

    PairDataset(List<TokenizedPair> pairs, int batchSize) {
        super(
                new Builder()
                        .setSampling(batchSize, false)
                        .optDataBatchifier(new ChosenFirstBatchifier(PADDING))
                        .optLabelBatchifier(
                                new ChosenFirstBatchifier(TokenOptions.DEFAULT.ignoreIndex())));
        this.pairs = pairs;
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
    public void prepare(Progress progress) {}

    private static final class Builder extends BaseBuilder<Builder> {
        @Override
        protected Builder self() {
            return this;
        }
    }
}
