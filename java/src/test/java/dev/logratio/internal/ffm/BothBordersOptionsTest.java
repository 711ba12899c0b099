package dev.logratio.internal.ffm;

import static dev.logratio.internal.ffm.Borders.ACCEPTED;
import static dev.logratio.internal.ffm.Borders.at;
import static dev.logratio.internal.ffm.Borders.text;
import static dev.logratio.internal.ffm.Borders.written;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import dev.logratio.Backend;
import dev.logratio.DivergenceKind;
import dev.logratio.DivergenceOptions;
import dev.logratio.ScoringRuleOptions;
import dev.logratio.ScoringRuleOptions.Normalisation;
import dev.logratio.SequenceOptions;
import dev.logratio.TokenOptions;
import dev.logratio.bindings.lr_loss_options;
import dev.logratio.bindings.lr_preference_step_args;
import dev.logratio.internal.Interval;
import dev.logratio.internal.Option;
import dev.logratio.internal.Options;
import dev.logratio.internal.check.PreferenceStepOperand;
import dev.logratio.internal.check.Signature;
import dev.logratio.internal.check.StepOptions;
import dev.logratio.internal.check.UnpairedLossOperand;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Losses;
import dev.logratio.loss.WeightedLoss;

import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Map;

/** Options out of range are refused at both borders in the same words. */
class BothBordersOptionsTest {
    @BeforeAll
    static void loadLibrary() {
        Backend.cpu();
    }

    @ParameterizedTest
    @MethodSource("dev.logratio.internal.ffm.ValidCalls#all")
    void rangesAreSaidAlike(ValidCall call) {
        List<Class<?>> types = call.signature().options();
        for (int i = 0; i < types.size(); i++) {
            if (types.get(i).isRecord() && types.get(i) != StepOptions.class) {
                requireRangesSaidAlike(call, types.get(i), i);
            }
        }
    }

    @Test
    void rangesOfLossesAreSaidAlike() {
        for (String id : Losses.ids()) {
            Loss loss = Losses.of(id, Map.of());
            ValidCall call =
                    switch (loss) {
                        case Loss.OfStep ofStep ->
                                ValidCalls.step(ofStep)
                                        .without(
                                                PreferenceStepOperand.REFERENCE_LOGPS,
                                                PreferenceStepOperand.REFERENCE_TOKEN_LOGPS);
                        case Loss.Unpaired _ ->
                                ValidCall.of(Signature.UNPAIRED_LOSS, loss)
                                        .without(
                                                UnpairedLossOperand.KL_POLICY_LOGPS,
                                                UnpairedLossOperand.KL_REFERENCE_LOGPS);
                    };
            requireRangesSaidAlike(call, loss.getClass(), 0);
        }
    }

    /** What an option record refuses is written into the struct that a right one became. */
    private static void requireRangesSaidAlike(ValidCall call, Class<?> type, int number) {
        for (Option option : Options.of(type.asSubclass(Record.class))) {
            Interval range = option.range();
            if (range == null) {
                continue;
            }
            for (double value : outside(range)) {
                NativeCall args = written(call.attempt().call());
                options(args, call.signature(), number)
                        .set(ValueLayout.JAVA_DOUBLE, offset(type, option.name()), value);
                assertEquals(text(() -> range.require(option.name(), value)), text(args::call));
            }
        }
    }

    private static double[] outside(Interval range) {
        double below = range.lowerIncluded() ? range.lower() - .001 : range.lower();
        double above = range.upperIncluded() ? range.upper() + .001 : range.upper();
        return new double[] {
            Double.NaN, Double.NEGATIVE_INFINITY, Double.POSITIVE_INFINITY, below, above
        };
    }

    @Test
    void optionsThatDoNotGoTogetherAreSaidAlike() {
        ValidCall divergence = ValidCalls.onLogits(DivergenceOptions.of(DivergenceKind.JS));
        ValidCall rule = ValidCall.of(Signature.SCORING_RULE, ScoringRuleOptions.DEFAULT);
        ValidCall sequence = ValidCall.of(Signature.SEQUENCE_LOGPS, SequenceOptions.DEFAULT);
        requireSaidAlike(
                sequence,
                () -> SequenceOptions.DEFAULT.withKeepFraction(.5),
                "keep_fraction",
                Double.doubleToRawLongBits(.5));
        requireSaidAlike(
                divergence,
                () -> DivergenceOptions.of(DivergenceKind.JS).withWeights(1, 1e-4),
                "w2",
                Double.doubleToRawLongBits(1e-4));
        requireSaidAlike(
                ValidCalls.onLogits(DivergenceOptions.of(DivergenceKind.TVD)),
                () -> DivergenceOptions.of(DivergenceKind.TVD).withJsWeight(.25),
                "js_weight",
                Double.doubleToRawLongBits(.25));
        requireSaidAlike(
                divergence,
                () -> DivergenceOptions.of(DivergenceKind.JS).withVocab(-1),
                "vocab",
                -1);
        requireSaidAlike(
                rule,
                () -> ScoringRuleOptions.DEFAULT.withOrder(1.5, Normalisation.SELTEN),
                "alpha",
                Double.doubleToRawLongBits(1.5));
        requireSaidAlike(
                rule,
                () -> ScoringRuleOptions.DEFAULT.withOrder(2, Normalisation.JNW),
                "normalisation",
                Normalisation.JNW.ordinal());
        requireSaidAlike(rule, () -> ScoringRuleOptions.DEFAULT.withVocab(-1), "vocab", -1);
    }

    private static void requireSaidAlike(ValidCall call, Executable java, String name, long bits) {
        Class<?> type = call.signature().options().getFirst();
        NativeCall args = written(call.attempt().call());
        MemorySegment options = options(args, call.signature(), 0);
        long bytes = OptionsStruct.layout(type).select(PathElement.groupElement(name)).byteSize();
        if (bytes == Integer.BYTES) {
            options.set(ValueLayout.JAVA_INT, offset(type, name), (int) bits);
        } else {
            options.set(ValueLayout.JAVA_LONG, offset(type, name), bits);
        }
        String said = text(java);
        assertNotEquals(ACCEPTED, said);
        assertEquals(said, text(args::call));
    }

    @Test
    void weightsOfLossesAreSaidAlike() {
        Loss.OfStep loss = new Dlrml();
        ValidCall call =
                ValidCall.of(
                                Signature.PREFERENCE_STEP,
                                new StepOptions(List.of(new WeightedLoss(loss, 2))),
                                TokenOptions.DEFAULT,
                                SequenceOptions.DEFAULT)
                        .without(
                                PreferenceStepOperand.REFERENCE_LOGPS,
                                PreferenceStepOperand.NLL_MASK);
        NativeCall args = written(call.attempt().call());
        at(args.get(lr_preference_step_args.loss_weights$offset()), Double.BYTES)
                .set(ValueLayout.JAVA_DOUBLE, 0, Double.NaN);
        assertEquals(text(() -> new WeightedLoss(loss, Double.NaN)), text(args::call));
    }

    /** The struct of an option record: pointed to if it is a loss's, else within the arguments. */
    private static MemorySegment options(NativeCall args, Signature signature, int number) {
        NativeOperation operation = NativeOperation.of(signature);
        Class<?> type = signature.options().get(number);
        if (type == StepOptions.class) {
            return loss(args.get(lr_preference_step_args.loss_options$offset()));
        }
        if (Loss.class.isAssignableFrom(type)) {
            return loss(args.get(operation.options(number)));
        }
        return args.part(operation.options(number), OptionsStruct.layout(type).byteSize());
    }

    private static MemorySegment loss(long address) {
        return at(address, lr_loss_options.sizeof());
    }

    private static long offset(Class<?> type, String field) {
        return OptionsStruct.layout(type).byteOffset(PathElement.groupElement(field));
    }
}
