package dev.logratio.trainers.quickstart;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.training.optimizer.Optimizer;

import dev.logratio.Backend;
import dev.logratio.StepMetrics;
import dev.logratio.loss.Loss;
import dev.logratio.trainers.djl.LogitsGradient;
import dev.logratio.trainers.djl.PreferenceLoss;
import dev.logratio.trainers.djl.TokenLogprobLoss;
import dev.logratio.trainers.quickstart.SequenceScores.Score;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.DoubleStream;

/**
 * The two kinds of training. Both take logits as DJL made them, compute the loss and its gradient
 * in this library and hand the gradient back to DJL's backward pass.
 *
 * @param backend what computes the losses
 * @param batchSize texts or pairs per step
 * @param seed decides the order of the data
 */
record Training(Backend backend, int batchSize, long seed) {
    private static final double NANOSECONDS = 1e9;

    /** A pair and the reference model's log-probs of it. */
    record ScoredPair(EncodedPair pair, Score reference) {}

    /**
     * Supervised training on the chosen texts. Returns the loss of every step, in nats per token.
     */
    double[] supervised(
            LanguageModel model,
            List<EncodedPair> pairs,
            int steps,
            double learningRate,
            Progress progress) {
        TokenLogprobLoss loss = new TokenLogprobLoss(backend);
        Optimizer optimizer = LanguageModel.optimizer(learningRate, steps);
        Shuffle<EncodedPair> batches = new Shuffle<>(pairs, batchSize, seed);
        double[] losses = new double[steps];
        for (int step = 0; step < steps; step++) {
            int current = step;
            try (NDManager scope = model.newScope()) {
                TokenBatch batch = TokenBatch.ofChosen(scope, batches.next());
                model.step(
                        optimizer,
                        batch.tokens(),
                        logits -> {
                            TokenLogprobLoss.Step result = loss.step(logits, batch.labels(), true);
                            losses[current] = result.loss();
                            LogitsGradient.backward(logits, result.gradient());
                        });
            }
            progress.step("loss %.3f".formatted(losses[step]));
        }
        return losses;
    }

    /** Preference tuning. Returns what every step showed. */
    List<StepRecord> preference(
            LanguageModel model,
            Loss.Paired loss,
            List<ScoredPair> pairs,
            int steps,
            double learningRate,
            Progress progress) {
        PreferenceLoss preferenceLoss = new PreferenceLoss(loss, backend);
        Optimizer optimizer = LanguageModel.optimizer(learningRate, steps);
        Shuffle<ScoredPair> batches = new Shuffle<>(pairs, batchSize, seed);
        List<StepRecord> records = new ArrayList<>();
        for (int step = 0; step < steps; step++) {
            List<ScoredPair> batch = batches.next();
            long start = System.nanoTime();
            double lossStart = preferenceLoss.seconds();
            try (NDManager scope = model.newScope()) {
                TokenBatch tokens =
                        TokenBatch.ofPairs(scope, batch.stream().map(ScoredPair::pair).toList());
                NDArray reference =
                        scope.create(
                                DoubleStream.concat(
                                                batch.stream()
                                                        .mapToDouble(
                                                                pair -> pair.reference().chosen()),
                                                batch.stream()
                                                        .mapToDouble(
                                                                pair ->
                                                                        pair.reference()
                                                                                .rejected()))
                                        .toArray());
                model.step(
                        optimizer,
                        tokens.tokens(),
                        logits -> {
                            PreferenceLoss.Step result =
                                    preferenceLoss.step(logits, tokens.labels(), reference, true);
                            LogitsGradient.backward(logits, result.gradient());
                        });
            }
            records.add(
                    record(
                            preferenceLoss.metrics(),
                            (System.nanoTime() - start) / NANOSECONDS,
                            preferenceLoss.seconds() - lossStart));
            progress.step("margin %.3f".formatted(preferenceLoss.metrics().rewardsMargin()));
        }
        return records;
    }

    private static StepRecord record(StepMetrics metrics, double seconds, double lossSeconds) {
        boolean finite =
                metrics.nonfinite() == 0
                        && Double.isFinite(metrics.loss())
                        && Double.isFinite(metrics.gradNorm());
        return new StepRecord(
                metrics.loss(),
                metrics.rewardsMargin(),
                metrics.rewardsAccuracy(),
                finite,
                seconds,
                lossSeconds);
    }
}
