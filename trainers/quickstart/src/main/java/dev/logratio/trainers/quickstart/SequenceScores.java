package dev.logratio.trainers.quickstart;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.SequenceLogps;
import dev.logratio.Tensor;
import dev.logratio.TokenLogprobs;
import dev.logratio.TokenOptions;
import dev.logratio.trainers.djl.DjlTensors;

import java.util.ArrayList;
import java.util.List;

/** Log-probs that a model gives to both answers of pairs. */
final class SequenceScores {
    /**
     * Sequence log-probs of a pair, in nats.
     *
     * @param chosen of the chosen answer
     * @param rejected of the rejected answer
     */
    record Score(double chosen, double rejected) {}

    private SequenceScores() {}

    /** Scores pairs, {@code batchSize} at a time. */
    static List<Score> of(
            LanguageModel model, List<EncodedPair> pairs, int batchSize, Backend backend) {
        List<Score> scores = new ArrayList<>();
        for (int from = 0; from < pairs.size(); from += batchSize) {
            List<EncodedPair> batch = pairs.subList(from, Math.min(pairs.size(), from + batchSize));
            try (NDManager scope = model.newScope()) {
                TokenBatch tokens = TokenBatch.ofPairs(scope, batch);
                double[] logps =
                        logps(model.forward(tokens.tokens(), false), tokens.labels(), backend);
                for (int i = 0; i < batch.size(); i++) {
                    scores.add(new Score(logps[i], logps[batch.size() + i]));
                }
            }
        }
        return scores;
    }

    private static double[] logps(NDArray logits, NDArray labels, Backend backend) {
        long[] shape = labels.getShape().getShape();
        NDArray counted = labels.neq(TokenOptions.DEFAULT.ignoreIndex());
        try (Tensor x = DjlTensors.view("logits", logits);
                Tensor y = DjlTensors.view("labels", labels);
                Tensor mask = DjlTensors.view("mask", counted);
                Tensor tokenLogps = Tensor.zeros(DType.F64, shape);
                Tensor logps = Tensor.zeros(DType.F64, shape[0])) {
            TokenLogprobs.of(x, y).logp(tokenLogps).run(backend);
            SequenceLogps.of(tokenLogps, mask).logps(logps).run(backend);
            return logps.toDoubles();
        }
    }
}
