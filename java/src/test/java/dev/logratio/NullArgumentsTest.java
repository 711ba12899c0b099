package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import dev.logratio.cuda.CudaTensors;
import dev.logratio.loss.BetaSchedule;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.Kto;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Losses;
import dev.logratio.loss.WeightedLoss;
import dev.logratio.misalignment.Feature;
import dev.logratio.misalignment.LongShort;

import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * Where null does not mean "not wanted" it is refused by the call that it is passed to, under the
 * argument's name.
 */
class NullArgumentsTest {
    private static final Arena ARENA = Arena.ofAuto();

    /** Every operation's way to be run. */
    static Stream<Arguments> runs() {
        Tensor maps = f32(1, 2, 2, 2);
        return Stream.<Consumer<Backend>>of(
                        TokenLogprobs.of(f32(2, 3), i64(2))::run,
                        TokenLogprobsBackward.of(f32(2, 3), i64(2), f32(2))::run,
                        SequenceLogps.of(f32(2, 3), f32(2, 3))::run,
                        PairLoss.of(new Dlrml(), f32(2), f32(2)).referenceFree()::run,
                        UnpairedLoss.of(new Kto(), f32(2), f32(2), f32(2))::run,
                        PreferenceStep.of(new Dlrml(), f32(2, 1, 3), i64(2, 1)).referenceFree()
                                ::run,
                        PreferenceStep.of(new Dlrml(), f32(2, 1, 3), i64(2, 1)).referenceFree()
                                ::launch,
                        UnpairedStep.of(new Kto(), f32(2, 1, 3), i64(2, 1), f32(2))::run,
                        UnpairedStep.of(new Kto(), f32(2, 1, 3), i64(2, 1), f32(2))::launch,
                        LinearTokenLogprobs.of(f32(2, 3), f32(4, 3), i64(2))::run,
                        LinearPreferenceStep.of(new Dlrml(), f32(2, 1, 3), f32(4, 3), i64(2, 1))
                                        .referenceFree()
                                ::launch,
                        LinearUnpairedStep.of(new Kto(), f32(2, 1, 3), f32(4, 3), i64(2, 1), f32(2))
                                ::run,
                        Divergence.of(f32(2, 3), f32(2, 3))::run,
                        ScoringRule.of(f32(2, 3), i64(2))::run,
                        Feature.ofLogits(maps, maps)::run,
                        LongShort.of(f32(1, 3, 2), f32(1, 3, 2), 1)::run)
                .map(run -> arguments("backend", (Executable) () -> run.accept(null)));
    }

    static Stream<Arguments> calls() {
        Tensor maps = f32(1, 2, 2, 2);
        LongShort longShort = LongShort.of(f32(1, 3, 2), f32(1, 3, 2), 1);
        return Stream.concat(
                runs(),
                Stream.of(
                        of("options", () -> TokenLogprobs.of(f32(2, 3), i64(2)).tokenOptions(null)),
                        of(
                                "options",
                                () ->
                                        TokenLogprobsBackward.of(f32(2, 3), i64(2), f32(2))
                                                .tokenOptions(null)),
                        of(
                                "options",
                                () -> SequenceLogps.of(f32(2, 3), f32(2, 3)).sequenceOptions(null)),
                        of(
                                "options",
                                () ->
                                        PreferenceStep.of(new Dlrml(), f32(2, 1, 3), i64(2, 1))
                                                .referenceFree()
                                                .tokenOptions(null)),
                        of(
                                "options",
                                () ->
                                        PreferenceStep.of(new Dlrml(), f32(2, 1, 3), i64(2, 1))
                                                .referenceFree()
                                                .sequenceOptions(null)),
                        of(
                                "options",
                                () ->
                                        UnpairedStep.of(new Kto(), f32(2, 1, 3), i64(2, 1), f32(2))
                                                .tokenOptions(null)),
                        of(
                                "options",
                                () ->
                                        UnpairedStep.of(new Kto(), f32(2, 1, 3), i64(2, 1), f32(2))
                                                .sequenceOptions(null)),
                        of(
                                "options",
                                () ->
                                        LinearTokenLogprobs.of(f32(2, 3), f32(4, 3), i64(2))
                                                .linearOptions(null)),
                        of(
                                "options",
                                () ->
                                        LinearTokenLogprobs.of(f32(2, 3), f32(4, 3), i64(2))
                                                .tokenOptions(null)),
                        of(
                                "options",
                                () ->
                                        LinearPreferenceStep.of(
                                                        new Dlrml(),
                                                        f32(2, 1, 3),
                                                        f32(4, 3),
                                                        i64(2, 1))
                                                .linearOptions(null)),
                        of(
                                "loss",
                                () ->
                                        LinearUnpairedStep.of(
                                                null, f32(2, 1, 3), f32(4, 3), i64(2, 1), f32(2))),
                        of("frozen", () -> LinearOptions.DEFAULT.withFrozen(null)),
                        of("options", () -> Divergence.of(f32(2, 3), f32(2, 3)).options(null)),
                        of("p", () -> Agreement.of(null, f32(2, 3), Backend.reference())),
                        of("q", () -> Agreement.of(f32(2, 3), null, Backend.reference())),
                        of("backend", () -> Agreement.of(f32(2, 3), f32(2, 3), null)),
                        of("lse", () -> RowFigures.sumsOfSquares(null, f32(2))),
                        of("lse2", () -> RowFigures.sumsOfSquares(f32(2), null)),
                        of("options", () -> ScoringRule.of(f32(2, 3), i64(2)).options(null)),
                        of("options", () -> Feature.ofLogits(maps, maps).options(null)),
                        of("axis", () -> Feature.ofLogits(maps, maps).axis(null)),
                        of("target", () -> Feature.ofWeights(null, maps)),
                        of("mapped", () -> Feature.ofLogits(maps, null)),
                        of("input", () -> Feature.maskInput(null, f32(1, 2, 2), 1, 0)),
                        of("mask", () -> Feature.maskInput(maps, null, 1, 0)),
                        of("options", () -> longShort.options(null)),
                        of("gaps", () -> new BetaSchedule(.1).next(null)),
                        of("positions", () -> longShort.positions(null)),
                        of("mask", () -> longShort.mask(null)),
                        of("first", () -> LongShort.of(null, f32(1, 3, 2), 1)),
                        of("last", () -> LongShort.of(f32(1, 3, 2), null, 1)),
                        of("both", () -> LongShort.ofStacked(null, 1)),
                        of("loss", () -> PairLoss.of(null, f32(2), f32(2)).referenceFree()),
                        of("loss", () -> UnpairedLoss.of(null, f32(2), f32(2), f32(2))),
                        of("loss", () -> UnpairedStep.of(null, f32(2, 1, 3), i64(2, 1), f32(2))),
                        of(
                                "loss",
                                () ->
                                        PreferenceStep.of(
                                                        (Loss.OfStep) null, f32(2, 1, 3), i64(2, 1))
                                                .referenceFree()),
                        of(
                                "losses",
                                () ->
                                        PreferenceStep.of(
                                                        (List<WeightedLoss>) null,
                                                        f32(2, 1, 3),
                                                        i64(2, 1))
                                                .referenceFree()),
                        of(
                                "losses hold null",
                                () ->
                                        PreferenceStep.of(
                                                        Collections.singletonList(null),
                                                        f32(2, 1, 3),
                                                        i64(2, 1))
                                                .referenceFree()),
                        of("reduction", () -> SequenceOptions.DEFAULT.withReduction(null)),
                        of("align", () -> SequenceOptions.DEFAULT.withAlign(null)),
                        of("divergence", () -> DivergenceOptions.of(null)),
                        of("detach", () -> DivergenceOptions.DEFAULT.withDetach(null)),
                        of("reduction", () -> DivergenceOptions.DEFAULT.withReduction(null)),
                        of("rule", () -> ScoringRuleOptions.of(null)),
                        of("normalisation", () -> ScoringRuleOptions.DEFAULT.withOrder(2, null)),
                        of("id", () -> DivergenceKind.of(null)),
                        of("name", () -> Backend.named(null)),
                        of("kind", () -> new Device(null, 0)),
                        of("kind", () -> Losses.ids(null)),
                        of("id", () -> Losses.aliases(null)),
                        of("id", () -> Losses.options(null)),
                        of("id", () -> Losses.of(null, Map.of())),
                        of("options", () -> Losses.of("dlrml", null)),
                        of("kind", () -> Losses.of(null, "dlrml", Map.of())),
                        of("dtype", () -> Tensor.zeros((DType) null, 2)),
                        of("shape", () -> Tensor.zeros(DType.F32, (long[]) null)),
                        of("arena", () -> Tensor.zeros(null, DType.F32, 2)),
                        of("values", () -> Tensor.of(DType.F32, null, 2)),
                        of("values", () -> Tensor.of((float[]) null, 2)),
                        of("values", () -> Tensor.of((long[]) null, 2)),
                        of("values", () -> Tensor.of((boolean[]) null, 2)),
                        of("segment", () -> Tensor.wrap((MemorySegment) null, DType.F32, 2)),
                        of("buffer", () -> Tensor.wrap((ByteBuffer) null, DType.F32, 2)),
                        of("dtype", () -> Tensor.wrap(ARENA.allocate(8, 8), null, 2)),
                        of(
                                "strides",
                                () ->
                                        Tensor.wrap(
                                                ARENA.allocate(8, 8),
                                                DType.F32,
                                                new long[] {2},
                                                null)),
                        of(
                                "device",
                                () -> Tensor.ofAddress(null, 64, DType.F32, new long[] {2}, null)),
                        of(
                                "dtype",
                                () ->
                                        Tensor.ofAddress(
                                                64, null, new long[] {2}, new long[] {1}, null)),
                        of(
                                "shape",
                                () -> Tensor.ofAddress(64, DType.F32, null, new long[] {1}, null)),
                        of(
                                "strides",
                                () -> Tensor.ofAddress(64, DType.F32, new long[] {2}, null, null)),
                        of("source", () -> f32(2).copyFrom(null)),
                        of("shape", () -> f32(2).reshape((long[]) null)),
                        of("to", () -> CudaTensors.copyAsync(null, f32(2), null)),
                        of("stream", () -> CudaTensors.toDevice(f32(2), null)),
                        of("tensor", () -> CudaTensors.toHost(null, null))));
    }

    private static Arguments of(String name, Executable call) {
        return Arguments.of(name, call);
    }

    @ParameterizedTest(name = "{index}: {0}")
    @MethodSource("calls")
    void isRefusedUnderItsName(String name, Executable call) {
        assertEquals(name, assertThrows(NullPointerException.class, call).getMessage());
    }

    private static Tensor f32(long... shape) {
        return Tensor.zeros(ARENA, DType.F32, shape);
    }

    private static Tensor i64(long... shape) {
        return Tensor.zeros(ARENA, DType.I64, shape);
    }
}
