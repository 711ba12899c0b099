package dev.logratio.trainers.pytorch;

import static dev.logratio.trainers.pytorch.Assert.assertClose;
import static dev.logratio.trainers.pytorch.Assert.assertSameBits;
import static dev.logratio.trainers.pytorch.Assert.values;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.PreferenceStep;
import dev.logratio.SequenceOptions;
import dev.logratio.StepMetrics;
import dev.logratio.TokenOptions;
import dev.logratio.Wpo;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.Hinge;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Losses;
import dev.logratio.loss.Sft;
import dev.logratio.loss.Sigmoid;
import dev.logratio.loss.WeightedLoss;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

/**
 * The loss against the library's own call, to the bit, and against PyTorch's autograd of the
 * formulas in Double.
 */
class PreferenceLossTest extends WithBatch {
    /** Half a unit in the last place of a BFloat16, which has 8 digits, of its smallest value. */
    private static final double BF16_ROUNDING = 0x1p-8;

    enum Place {
        OVER(PreferenceLoss::backwardInPlace),
        BESIDE(PreferenceLoss::backward);

        private final Function<PreferenceLoss, StepMetrics> call;

        Place(Function<PreferenceLoss, StepMetrics> call) {
            this.call = call;
        }

        StepMetrics backward(PreferenceLoss loss) {
            return call.apply(loss);
        }
    }

    static Stream<Loss.Paired> losses() {
        return Losses.ids(Loss.Paired.class).stream()
                .map(id -> Losses.of(Loss.Paired.class, id, Map.of()));
    }

    static Stream<Loss.Paired> formulas() {
        return Stream.of(new Sigmoid(), new Hinge(), new Dlrml());
    }

    /** The library's own call. */
    private record Own(StepMetrics metrics, double[] gradient) {
        static Own of(
                List<WeightedLoss> losses,
                Tensor logits,
                Tensor labels,
                UnaryOperator<PreferenceStep> settings) {
            try (dev.logratio.Tensor x = TorchTensors.view("logits", logits.detach().clone());
                    dev.logratio.Tensor y = TorchTensors.view("labels", labels)) {
                StepMetrics metrics =
                        settings.apply(PreferenceStep.of(losses, x, y))
                                .inPlace()
                                .run(Backend.cpu());
                return new Own(metrics, x.toDoubles());
            }
        }
    }

    private Own own(Loss.OfStep loss, Tensor logits, Tensor labels) {
        try (dev.logratio.Tensor r = TorchTensors.view("reference", batch.reference())) {
            return Own.of(
                    List.of(new WeightedLoss(loss, 1)),
                    logits,
                    labels,
                    step ->
                            loss instanceof Loss.ReferenceFree
                                    ? step.referenceFree()
                                    : step.referenceLogps(r));
        }
    }

    private PreferenceLoss loss(Loss.OfStep loss, Tensor logits, Tensor labels) {
        PreferenceLoss call = PreferenceLoss.of(loss, logits, labels);
        return loss instanceof Loss.ReferenceFree
                ? call.options(PreferenceStep::referenceFree)
                : call.referenceLogps(batch.reference());
    }

    /** A leaf, and the same numbers one operation later, whose backward hands gradients on. */
    private record Identity(Tensor leaf, Tensor logits) {
        static Identity of(Tensor values) {
            Tensor leaf = values.detach().clone().set_requires_grad(true);
            return new Identity(leaf, leaf.add(new Scalar(0)));
        }
    }

    @ParameterizedTest
    @MethodSource("losses")
    void everyLossGivesTheLibrarysOwnBits(Loss.Paired loss) {
        for (ScalarType type : List.of(ScalarType.Float, ScalarType.BFloat16, ScalarType.Half)) {
            Tensor values = batch.logits().to(type);
            Own own = own(loss, values, batch.labels());
            for (Place place : Place.values()) {
                Identity model = Identity.of(values);
                PreferenceLoss call = loss(loss, model.logits(), batch.labels());
                assertEquals(own.metrics(), place.backward(call), loss + " " + type);
                assertSameBits(own.gradient(), model.leaf().grad());
                assertSameBits(
                        place == Place.OVER ? own.gradient() : values(values), model.logits());
            }
        }
    }

    @Test
    void everyOptionAndTensorOfTheStepIsHandedOn() {
        Tensor values = batch.logits();
        Tensor mask = batch.labels().remainder(new Scalar(3)).to(ScalarType.Float);
        Tensor weights = Tensor.create(new double[] {.5, 2, 0}, 3);
        Tensor beta = Tensor.create(new float[] {.3f}, 1);
        Tensor losses = torch.zeros(3);
        Tensor gradBeta = torch.zeros(1);
        TokenOptions tokens = new TokenOptions(Batch.IGNORE, 1.5, 4);
        List<WeightedLoss> sigmoid = List.of(new WeightedLoss(new Sigmoid(), 1));
        Own own;
        double[] ownLosses;
        double[] ownGradBeta;
        try (Views views = new Views();
                dev.logratio.Tensor l = dev.logratio.Tensor.zeros(DType.F32, 3);
                dev.logratio.Tensor g = dev.logratio.Tensor.zeros(DType.F32, 1)) {
            own =
                    Own.of(
                            sigmoid,
                            values,
                            batch.labels(),
                            step ->
                                    step.tokenOptions(tokens)
                                            .wpo(Wpo.CAPPED)
                                            .mask(views.of("mask", mask))
                                            .pairWeights(views.of("weights", weights))
                                            .beta(views.of("beta", beta))
                                            .referenceLogps(views.of("r", batch.reference()))
                                            .losses(l)
                                            .gradBeta(g));
            ownLosses = l.toDoubles();
            ownGradBeta = g.toDoubles();
        }
        Identity model = Identity.of(values);
        StepMetrics metrics =
                PreferenceLoss.of(sigmoid, model.logits(), batch.labels())
                        .options(step -> step.tokenOptions(tokens).wpo(Wpo.CAPPED))
                        .mask(mask)
                        .referenceLogps(batch.reference())
                        .tensor("pair_weights", PreferenceStep::pairWeights, weights)
                        .tensor("beta", PreferenceStep::beta, beta)
                        .tensor("losses", PreferenceStep::losses, losses)
                        .tensor("grad_beta", PreferenceStep::gradBeta, gradBeta)
                        .backwardInPlace();
        assertEquals(own.metrics(), metrics);
        assertSameBits(own.gradient(), model.leaf().grad());
        assertSameBits(ownLosses, losses);
        assertSameBits(ownGradBeta, gradBeta);
        assertTrue(ownGradBeta[0] != 0);
    }

    @Test
    void severalLossesAddUp() {
        List<WeightedLoss> losses =
                List.of(new WeightedLoss(new Sigmoid(), .7), new WeightedLoss(new Sft(), .2));
        Tensor values = batch.logits();
        Own own;
        try (dev.logratio.Tensor r = TorchTensors.view("reference", batch.reference())) {
            own = Own.of(losses, values, batch.labels(), step -> step.referenceLogps(r));
        }
        Identity model = Identity.of(values);
        assertEquals(
                own.metrics(),
                PreferenceLoss.of(losses, model.logits(), batch.labels())
                        .referenceLogps(batch.reference())
                        .backwardInPlace());
        assertSameBits(own.gradient(), model.leaf().grad());
    }

    @ParameterizedTest
    @MethodSource("formulas")
    void theModelsGradientsAgreeWithAutogradInDouble(Loss.Paired loss) {
        Batch exact = batch.to(ScalarType.Double);
        Tensor expected = Formulas.of(loss, exact, exact.logits());
        expected.backward();
        for (Place place : Place.values()) {
            Batch ours = batch.to(ScalarType.Float);
            StepMetrics metrics = place.backward(loss(loss, ours.logits(), ours.labels()));
            // The model itself is computed in float32: sums of at most 40 products, whose
            // gradients the slope of the loss amplifies.
            assertEquals(expected.item_double(), metrics.loss(), 1e-5 * expected.item_double());
            assertClose(exact.head().grad(), ours.head().grad(), 1e-5, 1e-5);
            assertClose(exact.hidden().grad(), ours.hidden().grad(), 1e-5, 1e-5);
        }
    }

    @ParameterizedTest
    @EnumSource(Place.class)
    void gradientsOfBFloat16LogitsAreRoundedOnce(Place place) {
        Tensor values = batch.logits().to(ScalarType.BFloat16);
        Tensor exact = values.to(ScalarType.Double).detach().set_requires_grad(true);
        Formulas.of(new Sigmoid(), batch, exact).backward();
        Identity model = Identity.of(values);
        place.backward(loss(new Sigmoid(), model.logits(), batch.labels()));
        assertEquals(ScalarType.BFloat16, model.leaf().grad().scalar_type().intern());
        // The second term is float32's own error.
        assertClose(exact.grad(), model.leaf().grad(), BF16_ROUNDING, 2e-6);
    }

    @ParameterizedTest
    @EnumSource(Place.class)
    void aSliceGivesTheGradientOfTheWhole(Place place) {
        Tensor values = batch.logits();
        Tensor labels = batch.labels().narrow(1, 1, Batch.TIME - 1);
        Own own = own(new Sigmoid(), values.narrow(1, 0, Batch.TIME - 1), labels);
        Identity model = Identity.of(values);
        Tensor slice = model.logits().narrow(1, 0, Batch.TIME - 1);
        assertEquals(own.metrics(), place.backward(loss(new Sigmoid(), slice, labels)));
        assertSameBits(own.gradient(), model.leaf().grad().narrow(1, 0, Batch.TIME - 1));
        assertEquals(0, model.leaf().grad().narrow(1, Batch.TIME - 1, 1).abs().max().item_double());
    }

    @ParameterizedTest
    @EnumSource(Place.class)
    void logitsOfTimeMajorModelsNeedNoCopy(Place place) {
        Tensor values = batch.logits();
        Own own = own(new Sigmoid(), values, batch.labels());
        Identity model = Identity.of(values.transpose(0, 1).contiguous());
        Tensor logits = model.logits().transpose(0, 1);
        assertEquals(own.metrics(), place.backward(loss(new Sigmoid(), logits, batch.labels())));
        assertSameBits(own.gradient(), model.leaf().grad().transpose(0, 1));
    }

    @Test
    void labelsWithoutTheirLastColumnAreLabelsThatIgnoreIt() {
        Tensor values = batch.logits();
        Tensor labels = batch.labels().clone();
        labels.narrow(1, Batch.TIME - 1, 1).fill_(new Scalar(Batch.IGNORE));
        Identity whole = Identity.of(values);
        loss(new Sigmoid(), whole.logits(), labels).backwardInPlace();
        Identity sliced = Identity.of(values);
        loss(
                        new Sigmoid(),
                        sliced.logits().narrow(1, 0, Batch.TIME - 1),
                        batch.labels().narrow(1, 0, Batch.TIME - 1))
                .backwardInPlace();
        assertArrayEquals(values(sliced.leaf().grad()), values(whole.leaf().grad()));
    }

    @Test
    void gradientsOfSeveralCallsAddUp() {
        Tensor first = batch.logits();
        loss(new Sigmoid(), first, batch.labels()).backwardInPlace();
        double[] once = values(batch.head().grad());
        loss(new Sigmoid(), batch.logits(), batch.labels()).backwardInPlace();
        double[] twice = values(batch.head().grad());
        for (int i = 0; i < once.length; i++) {
            assertEquals((float) (2 * once[i]), (float) twice[i]);
        }
    }

    @Test
    void noPairsGiveNoLoss() {
        Identity model = Identity.of(batch.logits().narrow(0, 0, 0));
        StepMetrics metrics =
                PreferenceLoss.of(new Sigmoid(), model.logits(), batch.labels().narrow(0, 0, 0))
                        .referenceLogps(batch.reference().narrow(0, 0, 0))
                        .backwardInPlace();
        assertEquals(0, metrics.loss());
        assertEquals(0, model.leaf().grad().numel());
    }

    @Test
    void evaluationNeedsNoGraphAndChangesNothing() {
        Tensor values = batch.logits().detach();
        double[] before = values(values);
        StepMetrics metrics = loss(new Sigmoid(), values, batch.labels()).evaluate();
        assertSameBits(before, values);
        assertEquals(0, metrics.gradNorm());
        assertEquals(own(new Sigmoid(), values, batch.labels()).metrics().loss(), metrics.loss());
    }

    @Test
    void meansAreTakenIfAsked() {
        SequenceOptions means =
                SequenceOptions.DEFAULT.withReduction(SequenceOptions.Reduction.MEAN);
        Tensor values = batch.logits();
        assertTrue(
                Math.abs(
                                loss(new Sigmoid(), values, batch.labels())
                                                .options(step -> step.sequenceOptions(means))
                                                .evaluate()
                                                .rewardsChosen()
                                        - loss(new Sigmoid(), values, batch.labels())
                                                .evaluate()
                                                .rewardsChosen())
                        > .1);
    }
}
