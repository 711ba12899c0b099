package dev.logratio.bench;

import static dev.logratio.bench.Parity.assertClose;
import static dev.logratio.bench.Parity.leaf;
import static dev.logratio.bench.Parity.tolerance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.PreferenceStep;
import dev.logratio.SequenceOptions;
import dev.logratio.SequenceOptions.Reduction;
import dev.logratio.StepMetrics;
import dev.logratio.Tensor;
import dev.logratio.loss.DiscoPop;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Sigmoid;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;

/** The whole chain, from logits to their gradient, against autograd in float64. */
class PreferenceStepParityTest {
    private static final int PAIRS = 3;
    private static final int TOKENS = 11;
    private static final int COLUMNS = 507;

    static Stream<Arguments> cases() {
        List<Arguments> cases = new ArrayList<>();
        for (Backend backend : Parity.backends().toList()) {
            for (DType dtype : List.of(DType.F32, DType.BF16)) {
                for (Reduction reduction : Reduction.values()) {
                    for (Loss loss : List.of(new Sigmoid(), new DiscoPop(), new Dlrml())) {
                        cases.add(Arguments.of(backend, dtype, reduction, loss));
                    }
                }
            }
        }
        return cases.stream();
    }

    @ParameterizedTest
    @MethodSource("cases")
    void lossAndGradientAgree(
            Backend backend, DType dtype, Reduction reduction, Loss.OfMargin loss) {
        try (Arena arena = Arena.ofConfined();
                PointerScope scope = new PointerScope()) {
            SplittableRandom random = new SplittableRandom(11);
            Tensor logits = Parity.normal(arena, random, dtype, 3, 2 * PAIRS, TOKENS, COLUMNS);
            Tensor labels =
                    Tensor.of(
                            arena,
                            random.longs(2 * PAIRS * TOKENS, 0, COLUMNS).toArray(),
                            2 * PAIRS,
                            TOKENS);
            Tensor mask = mask(arena);
            Tensor reference = Parity.normal(arena, random, DType.F64, 1, 2 * PAIRS);
            Tensor losses = Tensor.zeros(arena, DType.F64, PAIRS);
            Tensor logps = Tensor.zeros(arena, DType.F64, 2 * PAIRS);

            var leaf = leaf(logits);
            var weights = Torch.view(mask).to(ScalarType.Double);
            var sums = TorchFormulas.tokenLogps(leaf, Torch.view(labels)).mul(weights).sum(1);
            var expectedLogps = reduction == Reduction.MEAN ? sums.div(weights.sum(1)) : sums;
            centre(reference, expectedLogps);
            var expectedReference = Torch.view(reference);
            var rho =
                    TorchFormulas.logRatio(
                            chosen(expectedLogps),
                            rejected(expectedLogps),
                            chosen(expectedReference),
                            rejected(expectedReference));
            var expectedLosses = formula(loss, rho);
            expectedLosses.mean().backward();

            StepMetrics metrics =
                    PreferenceStep.of(loss, logits, labels)
                            .sequenceOptions(SequenceOptions.DEFAULT.withReduction(reduction))
                            .mask(mask)
                            .referenceLogps(reference)
                            .losses(losses)
                            .logps(logps)
                            .inPlace()
                            .run(backend);

            double close = tolerance(backend, DType.F64);
            assertClose("logps", logps, expectedLogps, close, 1);
            assertClose(
                    "losses",
                    losses,
                    expectedLosses,
                    close * 10,
                    1); // a relative error of logps is an absolute one of rho
            // The loss's slope carries the error of rho, too.
            assertClose(
                    "grad_logits",
                    logits,
                    leaf.grad(),
                    tolerance(backend, dtype) + close * 100,
                    1e-6);
            double norm = leaf.grad().square().sum().sqrt().item_double();
            assertEquals(
                    norm, metrics.gradNorm(), norm * (tolerance(backend, DType.F32) + close * 100));
            double meanLoss = expectedLosses.mean().item_double();
            assertEquals(meanLoss, metrics.loss(), Math.abs(meanLoss) * close * 10);
            assertEquals(0, metrics.nonfinite());
        }
    }

    /** Completions of different lengths, with a prompt of two tokens before each. */
    private static Tensor mask(Arena arena) {
        boolean[] counted = new boolean[2 * PAIRS * TOKENS];
        for (int row = 0; row < 2 * PAIRS; row++) {
            for (int column = 2; column < TOKENS - row; column++) {
                counted[row * TOKENS + column] = true;
            }
        }
        return Tensor.of(arena, counted, 2 * PAIRS, TOKENS);
    }

    /**
     * Moves the reference's values to within some nats of the policy's, where the losses have a
     * slope.
     */
    private static void centre(Tensor reference, org.bytedeco.pytorch.Tensor logps) {
        for (int i = 0; i < 2 * PAIRS; i++) {
            reference.setDouble(reference.getDouble(i) + logps.select(0, i).item_double(), i);
        }
    }

    private static org.bytedeco.pytorch.Tensor chosen(org.bytedeco.pytorch.Tensor sequences) {
        return sequences.narrow(0, 0, PAIRS);
    }

    private static org.bytedeco.pytorch.Tensor rejected(org.bytedeco.pytorch.Tensor sequences) {
        return sequences.narrow(0, PAIRS, PAIRS);
    }

    private static org.bytedeco.pytorch.Tensor formula(
            Loss.OfMargin loss, org.bytedeco.pytorch.Tensor rho) {
        return switch (loss) {
            case Sigmoid dpo -> TorchFormulas.sigmoid(rho, leaf(dpo.beta()), dpo.labelSmoothing());
            case DiscoPop discoPop ->
                    TorchFormulas.dlrml(
                            rho,
                            leaf(discoPop.beta()),
                            leaf(discoPop.beta()),
                            leaf(discoPop.tau()));
            case Dlrml dlrml ->
                    TorchFormulas.dlrml(
                            rho, leaf(dlrml.betaKl()), leaf(dlrml.betaMix()), leaf(dlrml.tau()));
            default -> throw new AssertionError(loss);
        };
    }
}
