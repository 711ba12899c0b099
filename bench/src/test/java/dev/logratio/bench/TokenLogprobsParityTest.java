package dev.logratio.bench;

import static dev.logratio.bench.Parity.assertClose;
import static dev.logratio.bench.Parity.leaf;
import static dev.logratio.bench.Parity.tolerance;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Tensor;
import dev.logratio.TokenLogprobs;
import dev.logratio.TokenLogprobsBackward;
import dev.logratio.TokenOptions;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.BoolOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.TensorArrayRefOptional;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;

class TokenLogprobsParityTest {
    private static final int ROWS = 5;
    private static final double LOGIT_SPREAD = 4;
    private static final List<TokenOptions> OPTIONS =
            List.of(
                    TokenOptions.DEFAULT,
                    TokenOptions.DEFAULT.withTemperature(0.7),
                    TokenOptions.DEFAULT.withTemperature(1.3).withSoftcap(6));

    static Stream<Arguments> cases() {
        List<Arguments> cases = new ArrayList<>();
        for (Backend backend : Parity.backends().toList()) {
            for (DType dtype : List.of(DType.F32, DType.BF16, DType.F16)) {
                for (int columns : List.of(1, 2, 41, 1271, 32_000)) {
                    for (TokenOptions options : OPTIONS) {
                        cases.add(Arguments.of(backend, dtype, columns, options));
                    }
                }
            }
        }
        return cases.stream();
    }

    @ParameterizedTest
    @MethodSource("cases")
    void forwardAndBackwardAgree(Backend backend, DType dtype, int columns, TokenOptions options) {
        try (Arena arena = Arena.ofConfined();
                PointerScope scope = new PointerScope()) {
            SplittableRandom random = new SplittableRandom(columns);
            Tensor logits = Parity.normal(arena, random, dtype, LOGIT_SPREAD, ROWS, columns);
            Tensor labels = Tensor.of(arena, random.longs(ROWS, 0, columns).toArray(), ROWS);
            Tensor gradLogp = Parity.normal(arena, random, DType.F32, 1, ROWS);
            Tensor gradEntropy = Parity.normal(arena, random, DType.F32, 1, ROWS);
            Tensor logp = Tensor.zeros(arena, DType.F64, ROWS);
            Tensor lse = Tensor.zeros(arena, DType.F64, ROWS);
            Tensor lse2 = Tensor.zeros(arena, DType.F64, ROWS);
            Tensor entropy = Tensor.zeros(arena, DType.F64, ROWS);
            Tensor argmax = Tensor.zeros(arena, DType.I64, ROWS);
            Tensor meanLogit = Tensor.zeros(arena, DType.F64, ROWS);
            Tensor gradLogits = Tensor.zeros(arena, dtype, ROWS, columns);

            TokenLogprobs.of(logits, labels)
                    .tokenOptions(options)
                    .logp(logp)
                    .lse(lse)
                    .lse2(lse2)
                    .entropy(entropy)
                    .argmax(argmax)
                    .meanLogit(meanLogit)
                    .run(backend);
            TokenLogprobsBackward.of(logits, labels, lse)
                    .tokenOptions(options)
                    .entropy(entropy)
                    .gradLogp(gradLogp)
                    .gradEntropy(gradEntropy)
                    .gradLogits(gradLogits)
                    .run(backend);

            var leaf = leaf(logits);
            var z = transformed(leaf, options);
            var logProbs = torch.log_softmax(z, -1);
            var expectedLogp = TorchFormulas.pick(logProbs, Torch.view(labels));
            var expectedEntropy = TorchFormulas.entropy(logProbs);
            var throughLogp = gradient(leaf, expectedLogp, gradLogp);
            var throughEntropy = gradient(leaf, expectedEntropy, gradEntropy);

            double close = tolerance(backend, DType.F64);
            assertClose("logp", logp, expectedLogp, close, 1);
            assertClose("lse", lse, z.logsumexp(-1), close, 1);
            assertClose("lse2", lse2, z.add(z).logsumexp(-1), close, 1);
            assertClose("entropy", entropy, expectedEntropy, close, 1);
            assertClose("mean_logit", meanLogit, z.mean(-1), close, 1);
            assertArrayEquals(lowestArgmax(logits), argmax.toLongs());
            // The two terms of a gradient can cancel.
            var termSizes =
                    throughLogp
                            .abs()
                            .add(throughEntropy.abs())
                            .clamp_min(new Scalar(smallest(dtype, columns)));
            assertClose(
                    "grad_logits",
                    gradLogits,
                    throughLogp.add(throughEntropy),
                    tolerance(backend, dtype),
                    termSizes);
        }
    }

    /** Gradient of the logits from one output and its upstream gradient. */
    private static org.bytedeco.pytorch.Tensor gradient(
            org.bytedeco.pytorch.Tensor logits,
            org.bytedeco.pytorch.Tensor output,
            Tensor upstream) {
        output.mul(Torch.view(upstream))
                .sum()
                .backward(
                        new org.bytedeco.pytorch.Tensor(),
                        new BoolOptional(true),
                        false,
                        new TensorArrayRefOptional());
        var gradient = logits.grad().clone();
        logits.mutable_grad().zero_();
        return gradient;
    }

    /** A probability of 1/V; F16 below 6e-5 has an absolute spacing of 6e-8. */
    private static double smallest(DType dtype, int columns) {
        double probability = 1.0 / columns;
        return dtype == DType.F16 ? Math.max(probability, 0x1p-13) : probability;
    }

    private static org.bytedeco.pytorch.Tensor transformed(
            org.bytedeco.pytorch.Tensor logits, TokenOptions options) {
        var capped =
                options.softcap() == 0
                        ? logits
                        : logits.div(new Scalar(options.softcap()))
                                .tanh()
                                .mul(new Scalar(options.softcap()));
        return capped.div(new Scalar(options.temperature()));
    }

    /** libtorch leaves open which of equal maxima it names. */
    private static long[] lowestArgmax(Tensor logits) {
        long[] lowest = new long[ROWS];
        for (int row = 0; row < ROWS; row++) {
            for (int column = 1; column < logits.size(1); column++) {
                if (logits.getDouble(row, column) > logits.getDouble(row, lowest[row])) {
                    lowest[row] = column;
                }
            }
        }
        return lowest;
    }
}
