package dev.logratio.trainers.djl;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.nn.Activation;
import ai.djl.nn.Block;
import ai.djl.nn.SequentialBlock;
import ai.djl.nn.core.Linear;
import ai.djl.training.Trainer;
import ai.djl.training.dataset.Batch;

import java.util.ArrayList;
import java.util.List;

/** Pairs and a model that DJL's training loop fits in moments. */
final class SmallTraining {
    private static final int VOCABULARY = 12;

    /** Chosen completions count up, rejected ones down; each has a length of its own. */
    static List<TokenizedPair> pairs(int first, int count) {
        List<TokenizedPair> pairs = new ArrayList<>();
        for (int i = first; i < first + count; i++) {
            pairs.add(TokenizedPair.of(walk(i, 1, 3 + i % 4), walk(i, -1, 3 + (i + 1) % 4), 1));
        }
        return pairs;
    }

    private static long[] walk(int start, int step, int length) {
        long[] tokens = new long[length];
        for (int t = 0; t < length; t++) {
            tokens[t] = Math.floorMod(start + step * t, VOCABULARY);
        }
        return tokens;
    }

    /** The pairs with the log-probs that the model gives them now. */
    static List<TokenizedPair> withReference(
            Trainer trainer, PreferenceLoss loss, List<TokenizedPair> pairs) throws Exception {
        List<TokenizedPair> scored = new ArrayList<>();
        for (Batch batch : trainer.iterateDataset(new PairDataset(pairs, 4))) {
            NDArray logits = trainer.evaluate(batch.getData()).singletonOrThrow();
            double[] logps = loss.sequenceLogps(logits, batch.getLabels().head());
            for (int i = 0; i < batch.getSize(); i++) {
                scored.add(
                        pairs.get(scored.size())
                                .withReference(logps[i], logps[batch.getSize() + i]));
            }
            batch.close();
        }
        return scored;
    }

    private SmallTraining() {}

    /** Tokens [B,T] to logits [B,T,V], each from the one token before. */
    static Block model() {
        return new SequentialBlock()
                .add(ids -> new NDList(ids.head().oneHot(VOCABULARY)))
                .add(Linear.builder().setUnits(16).build())
                .add(Activation::tanh)
                .add(Linear.builder().setUnits(VOCABULARY).build());
    }
}
