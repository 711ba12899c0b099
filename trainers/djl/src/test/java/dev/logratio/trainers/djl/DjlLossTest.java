package dev.logratio.trainers.djl;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.djl.Device;
import ai.djl.engine.Engine;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.index.NDIndex;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.nn.Activation;
import ai.djl.training.GradientCollector;

import dev.logratio.Backend;
import dev.logratio.SequenceOptions;
import dev.logratio.TokenOptions;
import dev.logratio.loss.DiscoPop;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Sigmoid;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.Arrays;
import java.util.Random;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.stream.Stream;

/** The DJL losses against libtorch's own autograd on the textbook formulas. */
class DjlLossTest {
    private static final int PAIRS = 3;
    private static final int TIME = 5;
    private static final int VOCABULARY = 37;
    private static final int IGNORE = -100;
    private static final double TOLERANCE = 2e-5;

    private final NDManager manager = NDManager.newBaseManager(Device.cpu());
    private final Random random = new Random(7);
    private final float[] logits = new float[2 * PAIRS * TIME * VOCABULARY];
    private final long[] labels = new long[2 * PAIRS * TIME];
    private final float[] reference = new float[2 * PAIRS];

    DjlLossTest() {
        for (int i = 0; i < logits.length; i++) {
            logits[i] = (float) random.nextGaussian();
        }
        for (int i = 0; i < labels.length; i++) {
            labels[i] = i % 4 == 1 ? IGNORE : random.nextInt(1, VOCABULARY);
        }
        for (int i = 0; i < reference.length; i++) {
            reference[i] = (float) (-13 + 2 * random.nextGaussian());
        }
    }

    static Stream<Loss.Paired> losses() {
        return Stream.of(new Sigmoid(), new DiscoPop(), new Dlrml());
    }

    @AfterEach
    void close() {
        manager.close();
    }

    private NDArray logits() {
        NDArray array = manager.create(logits, new Shape(2 * PAIRS, TIME, VOCABULARY));
        array.setRequiresGradient(true);
        return array;
    }

    private NDArray labels() {
        return manager.create(labels, new Shape(2 * PAIRS, TIME));
    }

    private NDList target() {
        return new NDList(labels(), manager.create(reference));
    }

    private record Outcome(double loss, float[] gradient) {}

    private static Outcome backward(NDArray leaf, Function<NDArray, NDArray> loss) {
        GradientCollector collector = Engine.getInstance().newGradientCollector();
        try (collector) {
            NDArray value = loss.apply(leaf);
            collector.backward(value);
            return new Outcome(
                    value.getFloat(),
                    leaf.getGradient().toType(DataType.FLOAT32, false).toFloatArray());
        }
    }

    /**
     * The formula in DJL's operations. Constants are arrays: autograd would keep the freed memory
     * of a number.
     */
    private NDArray formula(Loss.Paired loss, NDArray logits) {
        float[] counted = new float[this.logits.length];
        for (int row = 0; row < labels.length; row++) {
            if (labels[row] != IGNORE) {
                counted[row * VOCABULARY + (int) labels[row]] = 1;
            }
        }
        NDArray picked = manager.create(counted, logits.getShape());
        NDArray ratio =
                logits.logSoftmax(-1)
                        .mul(picked)
                        .sum(new int[] {1, 2})
                        .sub(manager.create(reference));
        NDArray rho = ratio.get("0:" + PAIRS).sub(ratio.get(PAIRS + ":"));
        return (switch (loss) {
                    case Sigmoid sigmoid -> softplusOfMinus(rho, sigmoid.beta());
                    case DiscoPop disco -> mixture(rho, disco.beta(), disco.beta() / disco.tau());
                    case Dlrml dlrml -> mixture(rho, dlrml.betaKl(), dlrml.betaMix() / dlrml.tau());
                    default -> throw new AssertionError(loss);
                })
                .mean();
    }

    private NDArray mixture(NDArray rho, double slope, double gate) {
        NDArray mixed = Activation.sigmoid(rho.mul(constant(gate)));
        NDArray other = Activation.sigmoid(rho.mul(constant(-gate)));
        return other.mul(softplusOfMinus(rho, slope))
                .add(mixed.mul(rho.mul(constant(-slope)).exp()));
    }

    private NDArray softplusOfMinus(NDArray rho, double slope) {
        return rho.mul(constant(-slope)).exp().add(constant(1)).log();
    }

    private NDArray constant(double value) {
        return manager.create((float) value);
    }

    @ParameterizedTest
    @MethodSource("losses")
    void agreesWithLibtorchsAutograd(Loss.Paired loss) {
        Outcome expected = backward(logits(), x -> formula(loss, x));
        PreferenceLoss preference = new PreferenceLoss(loss, Backend.cpu());
        Outcome actual = backward(logits(), x -> preference.evaluate(target(), new NDList(x)));
        assertEquals(expected.loss(), actual.loss(), TOLERANCE);
        assertClose(expected.gradient(), actual.gradient());
        assertTrue(actual.gradient()[(int) labels[0]] != 0, "the gradient is not 0 everywhere");
    }

    private static void assertClose(float[] expected, float[] actual) {
        assertArrayEquals(expected, actual, (float) TOLERANCE);
    }

    @ParameterizedTest
    @MethodSource("losses")
    void theSurrogateAndTheDirectWayGiveTheLibrarysOwnGradient(Loss.Paired loss) {
        PreferenceLoss preference = new PreferenceLoss(loss, Backend.cpu());
        PreferenceLoss.Step step =
                preference.step(logits(), labels(), manager.create(reference), true);
        float[] own = step.gradient().toFloatArray();
        Outcome surrogate = backward(logits(), x -> preference.evaluate(target(), new NDList(x)));
        assertArrayEquals(own, surrogate.gradient());
        assertEquals((float) step.metrics().loss(), (float) surrogate.loss());

        NDArray leaf = logits();
        GradientCollector collector = Engine.getInstance().newGradientCollector();
        try (collector) {
            // A factor of 1 makes a graph node, as a model would.
            LogitsGradient.backward(leaf.mul(constant(1)), step.gradient());
        }
        assertArrayEquals(own, leaf.getGradient().toType(DataType.FLOAT32, false).toFloatArray());
    }

    @Test
    void aColumnOfMinusInfinityHasGradientZero() {
        for (int row = 0; row < labels.length; row++) {
            logits[row * VOCABULARY] = Float.NEGATIVE_INFINITY;
        }
        Outcome outcome =
                backward(
                        logits(),
                        x ->
                                new PreferenceLoss(new Dlrml(), Backend.cpu())
                                        .evaluate(target(), new NDList(x)));
        assertTrue(Double.isFinite(outcome.loss()));
        double sum = 0;
        for (int i = 0; i < outcome.gradient().length; i++) {
            assertTrue(Float.isFinite(outcome.gradient()[i]), "element " + i);
            sum += Math.abs(outcome.gradient()[i]);
            if (i % VOCABULARY == 0) {
                assertEquals(0, outcome.gradient()[i]);
            }
        }
        assertTrue(sum > 0);
    }

    @Test
    void takesHalfPrecision() {
        NDArray half =
                manager.create(logits, new Shape(2 * PAIRS, TIME, VOCABULARY))
                        .toType(DataType.FLOAT16, false);
        // The formula sees the same rounded logits, in FLOAT32.
        NDArray rounded = half.toType(DataType.FLOAT32, true);
        rounded.setRequiresGradient(true);
        Outcome expected = backward(rounded, x -> formula(new Dlrml(), x));
        half.setRequiresGradient(true);
        Outcome actual =
                backward(
                        half,
                        x ->
                                new PreferenceLoss(new Dlrml(), Backend.cpu())
                                        .evaluate(target(), new NDList(x)));
        assertEquals(expected.loss(), actual.loss(), TOLERANCE);
        // Half a unit in the last place of FLOAT16, and FLOAT32's own error.
        for (int i = 0; i < actual.gradient().length; i++) {
            assertEquals(
                    expected.gradient()[i],
                    actual.gradient()[i],
                    0x1p-11 * Math.abs(expected.gradient()[i]) + TOLERANCE,
                    "element " + i);
        }
    }

    @Test
    void theMetricsCallGivesTheSameBits() {
        PreferenceLoss preference = new PreferenceLoss(new Sigmoid(), Backend.cpu());
        NDList target = target();
        NDArray x = logits();
        Outcome first = backward(x, leaf -> preference.evaluate(target, new NDList(leaf)));
        assertEquals((float) first.loss(), preference.evaluate(target, new NDList(x)).getFloat());
        assertEquals((float) first.loss(), (float) preference.metrics().loss());
        assertEquals(0, preference.metrics().gradNorm(), "no gradient was wanted");
    }

    @ParameterizedTest
    @MethodSource("losses")
    void aPreferenceLossSeesEveryChangeInPlace(Loss.Paired loss) {
        PreferenceLoss kept = new PreferenceLoss(loss, Backend.cpu());
        Supplier<PreferenceLoss> fresh = () -> new PreferenceLoss(loss, Backend.cpu());
        NDArray x = manager.create(logits, new Shape(2 * PAIRS, TIME, VOCABULARY));
        NDArray y = labels();
        NDArray r = manager.create(reference);
        NDList target = new NDList(y, r);
        float before = kept.evaluate(target, new NDList(x)).getFloat();
        x.muli(3);
        before = assertAnew(before, kept, fresh.get(), target, x);
        y.set(new NDIndex("0,0"), IGNORE);
        before = assertAnew(before, kept, fresh.get(), target, x);
        r.addi(manager.create(new float[] {1, 2, 3, 4, 5, 6}));
        before = assertAnew(before, kept, fresh.get(), target, x);
        TokenOptions warm = TokenOptions.DEFAULT.withTemperature(4);
        before =
                assertAnew(
                        before, kept.tokenOptions(warm), fresh.get().tokenOptions(warm), target, x);
        SequenceOptions means =
                SequenceOptions.DEFAULT.withReduction(SequenceOptions.Reduction.MEAN);
        assertAnew(
                before,
                kept.sequenceOptions(means),
                fresh.get().tokenOptions(warm).sequenceOptions(means),
                target,
                x);
    }

    @Test
    void theSupervisedLossSeesEveryChangeInPlace() {
        TokenLogprobLoss kept = new TokenLogprobLoss(Backend.cpu());
        NDArray x = manager.create(logits, new Shape(2 * PAIRS, TIME, VOCABULARY));
        NDArray y = labels();
        NDList target = new NDList(y);
        float before = kept.evaluate(target, new NDList(x)).getFloat();
        y.set(new NDIndex("0,0"), IGNORE);
        before = assertAnew(before, kept, new TokenLogprobLoss(Backend.cpu()), target, x);
        TokenOptions warm = TokenOptions.DEFAULT.withTemperature(4);
        before =
                assertAnew(
                        before,
                        kept.options(warm),
                        new TokenLogprobLoss(Backend.cpu()).options(warm),
                        target,
                        x);
        x.muli(0);
        assertEquals(
                Math.log(VOCABULARY),
                assertAnew(
                        before, kept, new TokenLogprobLoss(Backend.cpu()).options(warm), target, x),
                TOLERANCE);
    }

    /** A kept instance gives what a fresh one does, and not what it gave before. */
    private static float assertAnew(
            float before,
            ai.djl.training.loss.Loss kept,
            ai.djl.training.loss.Loss fresh,
            NDList target,
            NDArray x) {
        float expected = fresh.evaluate(target, new NDList(x)).getFloat();
        assertEquals(expected, kept.evaluate(target, new NDList(x)).getFloat());
        assertTrue(Math.abs(expected - before) > 1e-4, expected + " must differ from " + before);
        return expected;
    }

    @Test
    void aChangeAfterTrainingIsSeenByTheMetricsCall() {
        PreferenceLoss kept = new PreferenceLoss(new Sigmoid(), Backend.cpu());
        NDList target = target();
        NDArray x = logits();
        Outcome trained = backward(x, leaf -> kept.evaluate(target, new NDList(leaf)));
        target.get(1).addi(manager.create(new float[] {1, 2, 3, 4, 5, 6}));
        assertAnew(
                (float) trained.loss(),
                kept,
                new PreferenceLoss(new Sigmoid(), Backend.cpu()),
                target,
                x);
    }

    @Test
    void theSupervisedLossAgreesWithLibtorch() {
        Outcome actual =
                backward(
                        logits(),
                        x ->
                                new TokenLogprobLoss(Backend.cpu())
                                        .evaluate(new NDList(labels()), new NDList(x)));
        float[] weights = new float[logits.length];
        int counted = 0;
        for (int row = 0; row < labels.length; row++) {
            if (labels[row] != IGNORE) {
                weights[row * VOCABULARY + (int) labels[row]] = 1;
                counted++;
            }
        }
        NDArray picked = manager.create(weights, new Shape(2 * PAIRS, TIME, VOCABULARY));
        NDArray scale = constant(-1.0 / counted);
        Outcome expected = backward(logits(), x -> x.logSoftmax(-1).mul(picked).sum().mul(scale));
        assertEquals(expected.loss(), actual.loss(), TOLERANCE);
        assertClose(expected.gradient(), actual.gradient());
    }

    @Test
    void withoutACountedTokenTheSupervisedLossIsZero() {
        Arrays.fill(labels, IGNORE);
        Outcome outcome =
                backward(
                        logits(),
                        x ->
                                new TokenLogprobLoss(Backend.cpu())
                                        .evaluate(new NDList(labels()), new NDList(x)));
        assertEquals(0, outcome.loss());
        assertArrayEquals(new float[logits.length], outcome.gradient());
    }

    @Test
    void namesWhatIsWrong() {
        PreferenceLoss preference = new PreferenceLoss(new Dlrml(), Backend.cpu());
        assertMessage(
                "logits have shape",
                () ->
                        preference.evaluate(
                                new NDList(manager.zeros(new Shape(2, TIME), DataType.INT64)),
                                new NDList(logits())));
        assertMessage(
                "logits are of type",
                () ->
                        preference.evaluate(
                                target(), new NDList(logits().toType(DataType.FLOAT64, true))));
        assertMessage(
                "predictions hold 2 arrays",
                () -> preference.evaluate(target(), new NDList(logits(), logits())));
        assertMessage(
                "labels hold 0 arrays",
                () -> preference.evaluate(new NDList(), new NDList(logits())));
    }

    @Test
    void namesWhatIsNull() {
        PreferenceLoss preference = new PreferenceLoss(new Sigmoid(), Backend.cpu());
        TokenLogprobLoss supervised = new TokenLogprobLoss(Backend.cpu());
        assertNull("loss", () -> new PreferenceLoss(null, Backend.cpu()));
        assertNull("backend", () -> new PreferenceLoss(new Sigmoid(), null));
        assertNull("backend", () -> new TokenLogprobLoss(null));
        assertNull("tokenOptions", () -> preference.tokenOptions(null));
        assertNull("sequenceOptions", () -> preference.sequenceOptions(null));
        assertNull("options", () -> supervised.options(null));
        assertNull("labels", () -> preference.evaluate(null, new NDList(logits())));
        assertNull("predictions", () -> supervised.evaluate(new NDList(labels()), null));
        assertNull("logits", () -> preference.step(null, labels(), null, true));
        assertNull("labels", () -> supervised.step(logits(), null, false));
        assertNull("gradient", () -> LogitsGradient.surrogate(logits(), null, 0));
        assertNull("logits", () -> LogitsGradient.backward(null, logits()));
        assertNull("array", () -> DjlTensors.view("array", null));
    }

    private static void assertNull(String name, Executable call) {
        assertEquals(name, assertThrows(NullPointerException.class, call).getMessage());
    }

    private static void assertMessage(String start, Executable call) {
        String message = assertThrows(IllegalArgumentException.class, call).getMessage();
        assertTrue(message.startsWith(start), message);
    }
}
