package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import dev.logratio.loss.Dlrml;
import dev.logratio.loss.Kto;
import dev.logratio.loss.Nll;
import dev.logratio.loss.Orpo;
import dev.logratio.loss.WeightedLoss;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

/**
 * Distributions and whole steps have the same bits for any number of threads, any batch around a
 * row and any run; {@link TokenDeterminismTest} has the log-probs of tokens, and concurrent calls.
 */
class DeterminismTest extends SameBits {
    static Stream<Arguments> steps() {
        return TestBackends.all()
                .filter(backend -> backend != Backend.reference())
                .flatMap(
                        backend ->
                                Stream.of(DType.F32, DType.BF16)
                                        .map(dtype -> arguments(backend, dtype)));
    }

    static Stream<Arguments> divergences() {
        return TestBackends.natives()
                .flatMap(
                        backend ->
                                Arrays.stream(DivergenceKind.values())
                                        .map(kind -> arguments(backend, kind)));
    }

    @ParameterizedTest
    @MethodSource("divergences")
    void everyDivergence(Backend backend, DivergenceKind kind) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor p = random(arena, DType.F32, FEW_ROWS, 3);
            Tensor q = random(arena, DType.F32, FEW_ROWS, 4);
            assertSameAnyway(
                    FEW_ROWS,
                    (from, to) -> {
                        Tensor[] out = outputs(arena, to - from, 2);
                        Divergence.of(p.slice(0, from, to), q.slice(0, from, to))
                                .options(
                                        DivergenceOptions.of(kind)
                                                .withReduction(DivergenceOptions.Reduction.SUM))
                                .values(out[0])
                                .gradP(out[1])
                                .gradQ(out[2])
                                .run(backend);
                        return bytes(out);
                    });
        }
    }

    @ParameterizedTest
    @MethodSource("dev.logratio.TestBackends#natives")
    void divergencesFromTeachers(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor p = random(arena, DType.F32, FEW_ROWS, 3);
            Tensor first = random(arena, DType.F32, FEW_ROWS, 4);
            Tensor second = random(arena, DType.F32, FEW_ROWS, 5);
            long known = 3;
            Tensor ids = Tensor.zeros(arena, DType.I64, FEW_ROWS, known);
            Tensor logps = Tensor.zeros(arena, DType.F32, FEW_ROWS, known).fill(-2);
            for (long row = 0; row < FEW_ROWS; row++) {
                for (long j = 0; j < known; j++) {
                    ids.setLong((row + j * j) % p.size(1), row, j);
                }
            }
            DivergenceOptions options =
                    DivergenceOptions.of(DivergenceKind.JS)
                            .withJsWeight(.2)
                            .withReduction(DivergenceOptions.Reduction.SUM);
            assertSameAnyway(
                    FEW_ROWS,
                    (from, to) -> {
                        Tensor[] out = outputs(arena, to - from, 2);
                        Tensor q = Tensor.zeros(arena, DType.F32, 2, to - from, p.size(1));
                        q.select(0, 0).copyFrom(first.slice(0, from, to));
                        q.select(0, 1).copyFrom(second.slice(0, from, to));
                        Divergence.ofModels(
                                        p.slice(0, from, to),
                                        q,
                                        Tensor.of(arena, DType.F64, new double[] {1, 2}, 2))
                                .options(options)
                                .values(out[0])
                                .gradP(out[1])
                                .run(backend);
                        Divergence.ofTopk(
                                        p.slice(0, from, to),
                                        ids.slice(0, from, to),
                                        logps.slice(0, from, to))
                                .options(options)
                                .gradP(out[2])
                                .run(backend);
                        return bytes(out);
                    });
        }
    }

    static Stream<Arguments> rules() {
        return TestBackends.natives()
                .flatMap(
                        backend ->
                                Arrays.stream(ScoringRuleOptions.Rule.values())
                                        .map(rule -> arguments(backend, rule)));
    }

    @ParameterizedTest
    @MethodSource("rules")
    void everyScoringRule(Backend backend, ScoringRuleOptions.Rule rule) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logits = random(arena, DType.F32, FEW_ROWS, 5);
            assertSameAnyway(
                    FEW_ROWS,
                    (from, to) -> {
                        Tensor[] out = outputs(arena, to - from, 1);
                        ScoringRule.of(
                                        logits.slice(0, from, to),
                                        Tensor.zeros(arena, DType.I64, to - from).fill(17))
                                .options(ScoringRuleOptions.of(rule))
                                .gradLoss(Tensor.zeros(arena, DType.F32, to - from).fill(.7))
                                .values(out[0])
                                .gradLogits(out[1])
                                .run(backend);
                        return bytes(out);
                    });
        }
    }

    @ParameterizedTest
    @MethodSource("steps")
    void wholeSteps(Backend backend, DType dtype) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logits = random(arena, dtype, ROWS, 2);
            Logratio.setThreads(1);
            List<Object> one = step(backend, logits);
            Logratio.setThreads(2);
            assertEquals(one, step(backend, logits));
            assertEquals(one, step(backend, logits));
        }
    }

    @ParameterizedTest
    @MethodSource("steps")
    void stepsOfExamples(Backend backend, DType dtype) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logits = random(arena, dtype, ROWS, 6);
            Logratio.setThreads(1);
            List<Object> one = stepOfExamples(backend, logits);
            Logratio.setThreads(2);
            assertEquals(one, stepOfExamples(backend, logits));
            assertEquals(one, stepOfExamples(backend, logits));
        }
    }

    /** Values of rows, and gradients of their logits. */
    private static Tensor[] outputs(Arena arena, int rows, int gradients) {
        Tensor[] out = new Tensor[1 + gradients];
        out[0] = Tensor.zeros(arena, DType.F64, rows);
        for (int i = 1; i < out.length; i++) {
            out[i] = Tensor.zeros(arena, DType.F32, rows, VOCABULARY);
        }
        return out;
    }

    /** Metrics and digests of the gradient of a step, and of one with an NLL of its own. */
    private static List<Object> step(Backend backend, Tensor logits) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor covered = Tensor.zeros(arena, DType.F32, 2, ROWS / 2);
            for (int t = 0; t < ROWS / 2; t++) {
                covered.setDouble(t % 3, 0, t);
            }
            List<WeightedLoss> terms =
                    List.of(
                            new WeightedLoss(new Dlrml(), 1),
                            new WeightedLoss(new Orpo(.1, Nll.TOKEN), .5));
            Tensor weights = Tensor.zeros(arena, DType.F64, 1).fill(1.7);
            Tensor labels = Tensor.zeros(arena, DType.I64, 2, ROWS / 2).fill(17);
            Tensor gradient = Tensor.zeros(arena, logits.dtype(), 2, ROWS / 2, VOCABULARY);
            StepMetrics metrics =
                    PreferenceStep.of(new Dlrml(), logits.reshape(2, ROWS / 2, VOCABULARY), labels)
                            .referenceFree()
                            .gradLogits(gradient)
                            .run(backend);
            int digest = Arrays.hashCode(bytes(gradient));
            StepMetrics ofTerms =
                    PreferenceStep.of(terms, logits.reshape(2, ROWS / 2, VOCABULARY), labels)
                            .referenceFree()
                            .pairWeights(weights)
                            .nllMask(covered)
                            .gradLogits(gradient)
                            .run(backend);
            return List.of(metrics, digest, ofTerms, Arrays.hashCode(bytes(gradient)));
        }
    }

    /** The same of a step of five examples. */
    private static List<Object> stepOfExamples(Backend backend, Tensor logits) {
        try (Arena arena = Arena.ofConfined()) {
            int examples = ROWS / 2;
            Tensor labels = Tensor.zeros(arena, DType.I64, examples, 2).fill(17);
            Tensor gradient = Tensor.zeros(arena, logits.dtype(), examples, 2, VOCABULARY);
            boolean[] chosen = {true, false, false, true, false};
            UnpairedStepMetrics metrics =
                    UnpairedStep.of(
                                    new Kto(),
                                    logits.reshape(examples, 2, VOCABULARY),
                                    labels,
                                    Tensor.of(arena, chosen, examples))
                            .referenceLogps(Tensor.zeros(arena, DType.F32, examples).fill(-20))
                            .gradLogits(gradient)
                            .run(backend);
            return List.of(metrics, Arrays.hashCode(bytes(gradient)));
        }
    }
}
