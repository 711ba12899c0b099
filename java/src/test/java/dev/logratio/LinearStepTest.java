package dev.logratio;

import static dev.logratio.LinearStepRun.fused;
import static dev.logratio.LinearStepRun.one;
import static dev.logratio.LinearStepRun.unfused;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import dev.logratio.LinearStepRun.Batch;
import dev.logratio.LinearStepRun.Options;
import dev.logratio.SequenceOptions.Align;
import dev.logratio.SequenceOptions.Reduction;
import dev.logratio.loss.Cpo;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Nll;
import dev.logratio.loss.Orpo;
import dev.logratio.loss.Sft;
import dev.logratio.loss.Sigmoid;
import dev.logratio.loss.WeightedLoss;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;

/**
 * {@code linear_preference_step} beside {@code preference_step} of the reference, on logits that
 * plain loops make in float64: every loss, option, dtype and size.
 */
class LinearStepTest {
    private static final int PAIRS = 3;
    private static final int TOKENS = 6;
    private static final int VOCABULARY = 41;
    private static final int SIZE = 13;

    private static Batch batch(Arena arena, DType dtype) {
        return new Batch(arena, dtype, PAIRS, TOKENS, VOCABULARY, SIZE);
    }

    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    // ---- Losses ----

    static Stream<Arguments> losses() {
        return TestBackends.all()
                .flatMap(
                        backend ->
                                (TestBackends.isSlow(backend)
                                                ? TestLosses.withDefaults(Loss.OfStep.class)
                                                : TestLosses.all(Loss.OfStep.class).stream())
                                        .map(loss -> arguments(backend, loss)));
    }

    @ParameterizedTest
    @MethodSource("losses")
    void everyLoss(Backend backend, Loss.OfStep loss) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = batch(arena, DType.F32);
            Options options =
                    step -> {
                        if (!(loss instanceof Sft)) {
                            step.referenceTokenLogps(batch.reference);
                        }
                    };
            for (Frozen frozen : Frozen.values()) {
                LinearStepRun actual =
                        fused(
                                backend,
                                batch,
                                one(loss),
                                LinearOptions.DEFAULT.withFrozen(frozen),
                                DType.F32,
                                options);
                LinearStepRun expected = unfused(batch, one(loss), options);
                actual.expect(loss + " " + frozen, expected, DType.F32, frozen);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void severalLosses(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = batch(arena, DType.F32);
            List<WeightedLoss> losses =
                    List.of(
                            new WeightedLoss(new Dlrml(), .7),
                            new WeightedLoss(new Sigmoid(), 1.5),
                            new WeightedLoss(new Sft(), .25));
            Options options = step -> step.referenceTokenLogps(batch.reference);
            fused(backend, batch, losses, options)
                    .expect(
                            "several losses",
                            unfused(batch, losses, options),
                            DType.F32,
                            Frozen.NONE);
        }
    }

    // ---- Options ----

    private record Named(String name, Loss.OfStep loss, Options options) {
        @Override
        public String toString() {
            return name;
        }
    }

    /** What a step may be told beside its loss. The tensors live as long as the process. */
    private static List<Named> options() {
        Arena arena = Arena.ofAuto();
        Batch batch = batch(arena, DType.F32);
        Tensor sums = Tensor.of(arena, DType.F64, new double[] {-9, -8, -11, -10, -9, -12}, 6);
        Tensor weights = Tensor.of(arena, DType.F32, new double[] {.5, 0, 2}, PAIRS);
        Tensor betas = Tensor.of(arena, DType.F32, new double[] {.1, .5, 2}, PAIRS);
        Tensor chosen = Tensor.zeros(arena, DType.F32, 2 * PAIRS, TOKENS).fill(1);
        chosen.setDouble(0, 1, 3);
        Loss.OfStep dpo = new Sigmoid();
        TokenOptions tokens = TokenOptions.DEFAULT;
        SequenceOptions sequences = SequenceOptions.DEFAULT;
        return List.of(
                new Named("sums", dpo, s -> s.referenceLogps(sums)),
                new Named("none", dpo, s -> s.referenceFree()),
                new Named(
                        "temperature",
                        dpo,
                        s -> s.referenceFree().tokenOptions(tokens.withTemperature(.7))),
                new Named(
                        "softcap",
                        dpo,
                        s ->
                                s.referenceFree()
                                        .tokenOptions(
                                                tokens.withSoftcap(2.5).withTemperature(1.5))),
                new Named(
                        "mean",
                        dpo,
                        s ->
                                s.referenceFree()
                                        .sequenceOptions(sequences.withReduction(Reduction.MEAN))),
                new Named(
                        "tail",
                        dpo,
                        s -> s.referenceFree().sequenceOptions(sequences.withTailWeight(.25))),
                new Named(
                        "absolute",
                        dpo,
                        s ->
                                s.referenceFree()
                                        .sequenceOptions(
                                                new SequenceOptions(
                                                        Reduction.MEAN, 0, Align.ABSOLUTE, .5))),
                new Named("wpo", dpo, s -> s.referenceFree().wpo(true)),
                new Named("capped", dpo, s -> s.referenceFree().wpo(Wpo.CAPPED)),
                new Named("weights", dpo, s -> s.referenceFree().pairWeights(weights)),
                new Named(
                        "upstream",
                        dpo,
                        s ->
                                s.referenceFree()
                                        .gradLoss(
                                                Tensor.of(
                                                        arena, DType.F32, new double[] {1024}, 1))),
                new Named("betas", dpo, s -> s.referenceLogps(sums).beta(betas)),
                new Named("no mask", dpo, s -> s.referenceFree().mask(null)),
                new Named("float mask", dpo, s -> s.referenceFree().mask(chosen)),
                new Named("nll", new Orpo(), s -> s.nllMask(chosen)),
                new Named(
                        "sft",
                        new Cpo(.1, 1, 0, Nll.TOKEN),
                        s -> s.nllMask(chosen).tokenCount(50)));
    }

    static Stream<Arguments> optionsOfSteps() {
        return TestBackends.all()
                .flatMap(backend -> options().stream().map(named -> arguments(backend, named)));
    }

    @ParameterizedTest
    @MethodSource("optionsOfSteps")
    void everyOption(Backend backend, Named named) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = batch(arena, DType.F32);
            for (Frozen frozen : Frozen.values()) {
                fused(
                                backend,
                                batch,
                                one(named.loss()),
                                LinearOptions.DEFAULT.withFrozen(frozen),
                                DType.F32,
                                named.options())
                        .expect(
                                named + " " + frozen,
                                unfused(batch, one(named.loss()), named.options()),
                                DType.F32,
                                frozen);
            }
        }
    }

    /** Rows of the weight from there on are not read, and have gradient 0. */
    @ParameterizedTest
    @MethodSource("backends")
    void paddedVocabulary(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = batch(arena, DType.F32);
            int columns = 37;
            for (int b = 0; b < 2 * PAIRS; b++) {
                for (int t = 0; t < TOKENS; t++) {
                    long label = batch.labels.getLong(b, t);
                    batch.labels.setLong(Math.min(label, columns - 1), b, t);
                }
            }
            Options options =
                    s -> s.referenceFree().tokenOptions(TokenOptions.DEFAULT.withVocab(columns));
            LinearStepRun expected = unfused(batch, one(new Sigmoid()), columns, options);
            batch.weight.slice(0, columns, VOCABULARY).fill(Double.NaN);
            batch.bias.slice(0, columns, VOCABULARY).fill(Double.NaN);
            fused(backend, batch, one(new Sigmoid()), options)
                    .expect("padded", expected, DType.F32, Frozen.NONE);
        }
    }

    /** The reference model's head gives what its token log-probs give. */
    @ParameterizedTest
    @MethodSource("backends")
    void referenceModel(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = batch(arena, DType.F32);
            Random random = new Random(9);
            Tensor hidden =
                    LinearStepRun.normal(arena, random, DType.F32, .5, batch.hidden.shape());
            Tensor weight = LinearStepRun.normal(arena, random, DType.F32, 1, batch.weight.shape());
            Tensor bias = LinearStepRun.normal(arena, random, DType.F32, 1, VOCABULARY);
            TokenOptions tokens = TokenOptions.DEFAULT.withSoftcap(3).withTemperature(.8);
            Tensor logps = Tensor.zeros(arena, DType.F64, 2 * PAIRS, TOKENS);
            TokenLogprobs.of(new LinearTwin(hidden, weight, bias).logits(arena), batch.labels)
                    .tokenOptions(tokens)
                    .logp(logps)
                    .run(Backend.reference());
            // What does not count is not read.
            hidden.select(0, 0).select(0, 2).fill(Double.NaN);
            LinearStepRun expected =
                    unfused(
                            batch,
                            one(new Sigmoid()),
                            s -> s.referenceTokenLogps(logps).tokenOptions(tokens));
            LinearStepRun actual =
                    fused(
                            backend,
                            batch,
                            one(new Sigmoid()),
                            s ->
                                    ((LinearPreferenceStep) s)
                                            .referenceHead(hidden, weight)
                                            .referenceBias(bias)
                                            .tokenOptions(tokens));
            actual.expect("model", expected, DType.F32, Frozen.NONE);
        }
    }

    /** Packed sequences have the padded call's bits, here those of a mask. */
    @ParameterizedTest
    @MethodSource("backends")
    void packed(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = batch(arena, DType.F32);
            int rows = 2 * PAIRS * TOKENS;
            long[] ends = new long[2 * PAIRS + 1];
            for (int b = 0; b < ends.length; b++) {
                ends[b] = (long) b * TOKENS;
            }
            LinearStepRun padded =
                    fused(
                            backend,
                            batch,
                            one(new Sigmoid()),
                            s -> s.referenceTokenLogps(batch.reference));
            Tensor gradHidden = Tensor.zeros(arena, DType.F32, rows, SIZE);
            Tensor gradWeight = Tensor.zeros(arena, DType.F32, VOCABULARY, SIZE);
            Tensor logps = Tensor.zeros(arena, DType.F64, 2 * PAIRS);
            StepMetrics metrics =
                    LinearPreferenceStep.of(
                                    new Sigmoid(),
                                    batch.hidden.reshape(rows, SIZE),
                                    batch.weight,
                                    batch.labels.reshape(rows))
                            .bias(batch.bias)
                            .cuSeqlens(Tensor.of(arena, ends, ends.length))
                            .mask(batch.mask.reshape(rows))
                            .referenceTokenLogps(batch.reference.reshape(rows))
                            .logps(logps)
                            .gradHidden(gradHidden)
                            .gradWeight(gradWeight)
                            .run(backend);
            assertEquals(padded.metrics(), metrics);
            assertEquals(List.of(box(padded.logps())), List.of(box(logps.toDoubles())));
            assertEquals(List.of(box(padded.ofHidden())), List.of(box(gradHidden.toDoubles())));
            assertEquals(List.of(box(padded.ofWeight())), List.of(box(gradWeight.toDoubles())));
        }
    }

    private static Double[] box(double[] values) {
        return Arrays.stream(values).boxed().toArray(Double[]::new);
    }
}
