package dev.logratio.bench;

import static dev.logratio.bench.Parity.assertClose;
import static dev.logratio.bench.Parity.leaf;
import static dev.logratio.bench.Parity.tolerance;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Divergence;
import dev.logratio.DivergenceKind;
import dev.logratio.DivergenceOptions;
import dev.logratio.ScoringRule;
import dev.logratio.ScoringRuleOptions;
import dev.logratio.ScoringRuleOptions.Normalisation;
import dev.logratio.ScoringRuleOptions.Rule;
import dev.logratio.Tensor;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;

/** Divergences and scoring rules against libtorch's autograd in float64. */
class RowLossParityTest {
    private static final int ROWS = 3;

    private static Stream<Arguments> with(List<?> kinds) {
        List<Arguments> cases = new ArrayList<>();
        for (Object kind : kinds) {
            for (Backend backend : Parity.backends().toList()) {
                for (DType dtype : List.of(DType.F32, DType.BF16, DType.F16)) {
                    for (int columns : List.of(2, 41, 1271, 32_000)) {
                        cases.add(Arguments.of(backend, dtype, columns, kind));
                    }
                }
            }
        }
        return cases.stream();
    }

    static Stream<Arguments> divergences() {
        return with(List.of(DivergenceKind.values()));
    }

    static Stream<Arguments> rules() {
        List<ScoringRuleOptions> rules = new ArrayList<>();
        for (Rule rule : Rule.values()) {
            switch (rule) {
                case LOG, BRIER, SPHERICAL -> rules.add(ScoringRuleOptions.of(rule));
                case POWER, PSEUDO_SPHERICAL -> {
                    for (double order : List.of(1.5, 1.7, 2.0)) {
                        rules.add(
                                ScoringRuleOptions.of(rule).withOrder(order, Normalisation.SELTEN));
                    }
                }
            }
        }
        return with(rules);
    }

    @ParameterizedTest
    @MethodSource("divergences")
    void divergencesAgree(Backend backend, DType dtype, int columns, DivergenceKind kind) {
        try (Arena arena = Arena.ofConfined();
                PointerScope scope = new PointerScope()) {
            SplittableRandom random = new SplittableRandom(columns);
            Tensor p = Parity.normal(arena, random, dtype, 2, ROWS, columns);
            Tensor q = Parity.normal(arena, random, dtype, 2, ROWS, columns);
            Tensor values = Tensor.zeros(arena, DType.F64, ROWS);
            Tensor gradP = Tensor.zeros(arena, dtype, ROWS, columns);
            Tensor gradQ = Tensor.zeros(arena, dtype, ROWS, columns);
            Divergence.of(p, q)
                    .options(DivergenceOptions.of(kind))
                    .values(values)
                    .gradP(gradP)
                    .gradQ(gradQ)
                    .run(backend);

            var leafP = leaf(p);
            var leafQ = leaf(q);
            var expected = TorchFormulas.divergence(kind, leafP, leafQ);
            expected.mean().backward();
            assertClose("values", values, expected, tolerance(backend, DType.F64), .01);
            gradientsAgree("grad_p_logits", backend, gradP, leafP.grad());
            gradientsAgree("grad_q_logits", backend, gradQ, leafQ.grad());
        }
    }

    @ParameterizedTest
    @MethodSource("rules")
    void scoringRulesAgree(Backend backend, DType dtype, int columns, ScoringRuleOptions options) {
        try (Arena arena = Arena.ofConfined();
                PointerScope scope = new PointerScope()) {
            SplittableRandom random = new SplittableRandom(columns);
            Tensor logits = Parity.normal(arena, random, dtype, 2, ROWS, columns);
            Tensor labels = Tensor.of(arena, random.longs(ROWS, 0, columns).toArray(), ROWS);
            Tensor values = Tensor.zeros(arena, DType.F64, ROWS);
            Tensor gradient = Tensor.zeros(arena, dtype, ROWS, columns);
            ScoringRule.of(logits, labels)
                    .options(options)
                    .values(values)
                    .gradLogits(gradient)
                    .run(backend);

            var leaf = leaf(logits);
            var expected = TorchFormulas.scoringRule(options, leaf, Torch.view(labels));
            expected.mean().backward();
            assertClose("values", values, expected, tolerance(backend, DType.F64), .01);
            gradientsAgree("grad_logits", backend, gradient, leaf.grad());
        }
    }

    /**
     * To a rounding of each value, and where terms cancel to one of a seventh of the largest; F16's
     * smallest are 6e-8 apart.
     */
    private static void gradientsAgree(
            String what, Backend backend, Tensor ours, org.bytedeco.pytorch.Tensor expected) {
        double floor =
                Math.max(
                        expected.abs().max().item_double() / 7,
                        ours.dtype() == DType.F16 ? 0x1p-13 : 0);
        assertClose(
                what,
                ours,
                expected,
                tolerance(backend, ours.dtype()),
                expected.abs().clamp_min(new Scalar(floor)));
    }
}
