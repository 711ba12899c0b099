package dev.logratio;

import static dev.logratio.StepRun.PAIRS;
import static dev.logratio.StepRun.TAIL;
import static dev.logratio.StepRun.TOKENS;
import static dev.logratio.StepRun.VOCABULARY;
import static dev.logratio.StepRun.one;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.logratio.StepRun.Batch;
import dev.logratio.loss.Cpo;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.KtoPair;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Sft;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** A preference step with WPO's weights. */
class WpoStepTest {
    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    /** A pair's weight multiplies its losses, and sft's not; it has no gradient of its own. */
    @ParameterizedTest
    @MethodSource("backends")
    void wpo(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = new Batch(arena, DType.F32);
            Tensor logp = Tensor.zeros(arena, DType.F64, 2 * PAIRS, TOKENS);
            Tensor lse = Tensor.zeros(arena, DType.F64, 2 * PAIRS, TOKENS);
            Tensor lse2 = Tensor.zeros(arena, DType.F64, 2 * PAIRS, TOKENS);
            TokenOptions options = TokenOptions.DEFAULT.withTemperature(.7);
            TokenLogprobs.of(batch.logits, batch.labels)
                    .tokenOptions(options)
                    .logp(logp)
                    .lse(lse)
                    .lse2(lse2)
                    .run(Backend.reference());
            double[] weights = new double[2 * PAIRS];
            for (int b = 0; b < 2 * PAIRS; b++) {
                double sum = 0;
                int tokens = 0;
                for (int t = 0; t < TOKENS; t++) {
                    if (batch.counts(b, t)) {
                        sum +=
                                logp.getDouble(b, t)
                                        - (lse2.getDouble(b, t) - 2 * lse.getDouble(b, t));
                        tokens++;
                    }
                }
                weights[b] = Math.exp(sum / tokens);
            }
            UnaryOperator<PreferenceStep> without =
                    s -> s.tokenOptions(options).sequenceOptions(TAIL);
            UnaryOperator<PreferenceStep> with = s -> without.apply(s).wpo(true);
            for (Loss.Paired loss : List.of(new Dlrml(), new KtoPair(), new Cpo())) {
                StepRun plain = StepRun.of(backend, batch, one(loss), without);
                StepRun weighted = StepRun.of(backend, batch, one(loss), with);
                double[] losses =
                        IntStream.range(0, PAIRS)
                                .mapToDouble(
                                        i -> weights[i] * weights[i + PAIRS] * plain.losses()[i])
                                .toArray();
                Expect.asPromised("losses of " + loss, DType.F32, losses, weighted.losses());
                assertEquals(
                        plain.metrics().rewardsChosen(), weighted.metrics().rewardsChosen(), 0);
                if (!(loss instanceof KtoPair)) { // whose pairs share two means
                    int row = TOKENS * VOCABULARY;
                    double[] gradient = new double[2 * PAIRS * row];
                    Arrays.setAll(
                            gradient,
                            i ->
                                    weights[i / row % PAIRS]
                                            * weights[i / row % PAIRS + PAIRS]
                                            * plain.gradient()[i]);
                    Expect.asPromised(
                            "gradient of " + loss, DType.F32, gradient, weighted.gradient());
                }
            }
            StepRun sft = StepRun.of(backend, batch, one(new Sft()), without);
            StepRun weightedSft = StepRun.of(backend, batch, one(new Sft()), with);
            assertArrayEquals(sft.losses(), weightedSft.losses());
            assertArrayEquals(sft.gradient(), weightedSft.gradient());
        }
    }
}
