package dev.logratio;

import static dev.logratio.StepRun.PAIRS;
import static dev.logratio.StepRun.TAIL;
import static dev.logratio.StepRun.TOKENS;
import static dev.logratio.StepRun.one;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.logratio.StepRun.Batch;
import dev.logratio.loss.Sft;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.List;
import java.util.stream.Stream;

/** A preference step with sft, which learns of the chosen answers alone. */
class SftStepTest {
    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    /**
     * Every token that counts counts once: neither weights of the mask nor the tail's bear on it.
     */
    @ParameterizedTest
    @MethodSource("backends")
    void sft(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = new Batch(arena, DType.F32);
            Tensor logp = Tensor.zeros(arena, DType.F64, 2 * PAIRS, TOKENS);
            Tensor lse = Tensor.zeros(arena, DType.F64, 2 * PAIRS, TOKENS);
            TokenLogprobs.of(batch.logits, batch.labels)
                    .logp(logp)
                    .lse(lse)
                    .run(Backend.reference());
            double sum = 0;
            int tokens = 0;
            Tensor upstream = Tensor.zeros(arena, DType.F64, 2 * PAIRS, TOKENS);
            for (int b = 0; b < PAIRS; b++) {
                for (int t = 0; t < TOKENS; t++) {
                    if (batch.counts(b, t)) {
                        sum -= logp.getDouble(b, t);
                        tokens++;
                        upstream.setDouble(1, b, t);
                    }
                }
            }
            double expected = sum / tokens;
            for (SequenceOptions options :
                    List.of(SequenceOptions.DEFAULT, TAIL, TAIL.withTailWeight(0))) {
                StepRun step =
                        StepRun.of(backend, batch, one(new Sft()), s -> s.sequenceOptions(options));
                Expect.near(
                        "losses",
                        new double[] {expected, expected, expected},
                        step.losses(),
                        1e-6,
                        0);
                Tensor gradient = Tensor.zeros(arena, DType.F32, batch.logits.shape());
                for (int b = 0; b < 2 * PAIRS; b++) {
                    for (int t = 0; t < TOKENS; t++) {
                        upstream.setDouble(upstream.getDouble(b, t) == 0 ? 0 : -1.0 / tokens, b, t);
                    }
                }
                TokenLogprobsBackward.of(batch.logits, batch.labels, lse)
                        .gradLogp(upstream)
                        .gradLogits(gradient)
                        .run(Backend.reference());
                Expect.asPromised("gradient", DType.F32, gradient.toDoubles(), step.gradient());
                StepMetrics metrics = step.metrics();
                assertArrayEquals(
                        new double[4],
                        new double[] {
                            metrics.rewardsChosen(),
                            metrics.rewardsRejected(),
                            metrics.rewardsMargin(),
                            metrics.rewardsAccuracy()
                        },
                        "sft has no rewards");
            }
        }
    }
}
