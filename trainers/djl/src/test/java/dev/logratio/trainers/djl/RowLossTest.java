package dev.logratio.trainers.djl;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.djl.Device;
import ai.djl.engine.Engine;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.training.GradientCollector;
import ai.djl.training.loss.SimpleCompositeLoss;

import dev.logratio.Backend;
import dev.logratio.DivergenceKind;
import dev.logratio.DivergenceOptions;
import dev.logratio.DivergenceOptions.Detach;
import dev.logratio.DivergenceOptions.Reduction;
import dev.logratio.ScoringRuleOptions;
import dev.logratio.ScoringRuleOptions.Normalisation;
import dev.logratio.ScoringRuleOptions.Rule;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.Function;

/**
 * Scoring rules and divergences as DJL losses against libtorch's autograd of the plain formulas in
 * FLOAT64, on the same FLOAT32 logits.
 */
class RowLossTest {
    private static final int BATCH = 2;
    private static final int TIME = 5;
    private static final int VOCABULARY = 37;
    private static final int ROWS = BATCH * TIME;
    private static final int IGNORE = -100;
    private static final double ALPHA = 2.5;

    /** The kernels' loops are FLOAT32: some units in the last place of a value up to 1. */
    private static final double TOLERANCE = 1e-6;

    private final NDManager manager = NDManager.newBaseManager(Device.cpu());
    private final Random random = new Random(11);
    private final float[] first = logits();
    private final float[] second = logits();
    private final long[] labels = new long[ROWS];
    private final float[] weights = new float[ROWS];

    RowLossTest() {
        for (int row = 0; row < ROWS; row++) {
            labels[row] = row % 4 == 1 ? IGNORE : random.nextInt(VOCABULARY);
            weights[row] = row % 5 == 2 ? 0 : random.nextFloat();
        }
    }

    @AfterEach
    void close() {
        manager.close();
    }

    private float[] logits() {
        float[] logits = new float[ROWS * VOCABULARY];
        for (int i = 0; i < logits.length; i++) {
            logits[i] = (float) (2 * random.nextGaussian());
        }
        return logits;
    }

    private NDArray array(float[] logits) {
        return manager.create(logits, new Shape(BATCH, TIME, VOCABULARY));
    }

    private NDArray labelArray() {
        return manager.create(labels, new Shape(BATCH, TIME));
    }

    private NDArray weightArray() {
        return manager.create(weights, new Shape(BATCH, TIME));
    }

    private NDArray constant(double value) {
        return manager.create(value);
    }

    /** A loss and its gradients with respect to the arrays that it got. */
    private record Outcome(double loss, List<double[]> gradients) {}

    private static Outcome backward(NDList leaves, Function<NDList, NDArray> loss) {
        leaves.forEach(leaf -> leaf.setRequiresGradient(true));
        GradientCollector collector = Engine.getInstance().newGradientCollector();
        try (collector) {
            NDArray value = loss.apply(leaves);
            collector.backward(value);
            List<double[]> gradients = new ArrayList<>();
            for (NDArray leaf : leaves) {
                gradients.add(leaf.getGradient().toType(DataType.FLOAT64, false).toDoubleArray());
            }
            return new Outcome(value.toType(DataType.FLOAT64, false).getDouble(), gradients);
        }
    }

    private NDArray exact(float[] logits) {
        return array(logits).toType(DataType.FLOAT64, true);
    }

    private static void assertSame(Outcome expected, Outcome actual) {
        assertEquals(
                expected.loss(), actual.loss(), TOLERANCE * Math.max(1, Math.abs(expected.loss())));
        for (int side = 0; side < expected.gradients().size(); side++) {
            double[] values = expected.gradients().get(side);
            double greatest = Arrays.stream(values).map(Math::abs).max().orElseThrow();
            assertTrue(greatest > 1e-3, "side " + side + " has a gradient");
            for (int i = 0; i < values.length; i++) {
                assertEquals(
                        values[i],
                        actual.gradients().get(side)[i],
                        TOLERANCE * Math.max(1, greatest),
                        "element " + i + " of side " + side);
            }
        }
    }

    private static NDArray sumOfRow(NDArray rows) {
        return rows.sum(new int[] {-1});
    }

    /** The mean of the rows that count of the rule's values. */
    private NDArray rule(Rule rule, NDArray logits) {
        double[] picked = new double[ROWS * VOCABULARY];
        double[] share = new double[ROWS];
        long counted = Arrays.stream(labels).filter(label -> label != IGNORE).count();
        for (int row = 0; row < ROWS; row++) {
            // A row that does not count has a label as any other, and share 0.
            int label = labels[row] == IGNORE ? 0 : (int) labels[row];
            picked[row * VOCABULARY + label] = 1;
            share[row] = labels[row] == IGNORE ? 0 : 1.0 / counted;
        }
        NDArray p = logits.softmax(-1);
        NDArray py = sumOfRow(p.mul(manager.create(picked, p.getShape())));
        NDArray order = constant(ALPHA);
        NDArray lower = constant(ALPHA - 1);
        NDArray squares = sumOfRow(p.mul(p));
        NDArray powers = sumOfRow(p.pow(order));
        NDArray values =
                switch (rule) {
                    case LOG -> py.log().neg();
                    case BRIER -> squares.sub(py.mul(constant(2)));
                    case SPHERICAL -> py.div(squares.sqrt()).neg();
                    case POWER -> powers.mul(lower).sub(py.pow(lower).mul(order));
                    case PSEUDO_SPHERICAL ->
                            py.pow(lower).div(powers.pow(constant((ALPHA - 1) / ALPHA))).neg();
                };
        return values.mul(manager.create(share, new Shape(BATCH, TIME))).sum();
    }

    @ParameterizedTest
    @EnumSource
    void aScoringRuleAgreesWithLibtorch(Rule rule) {
        ScoringRuleOptions options = ScoringRuleOptions.of(rule);
        if (rule == Rule.POWER || rule == Rule.PSEUDO_SPHERICAL) {
            options = options.withOrder(ALPHA, Normalisation.SELTEN);
        }
        ScoringRuleLoss loss = new ScoringRuleLoss(options, Backend.cpu());
        Outcome expected = backward(new NDList(exact(first)), x -> rule(rule, x.head()));
        Outcome actual =
                backward(new NDList(array(first)), x -> loss.evaluate(new NDList(labelArray()), x));
        assertSame(expected, actual);
        assertEquals((float) actual.loss(), loss.values().get("loss").floatValue());
        assertEquals(rule.id(), loss.getName());
    }

    /** The weighted mean of the rows' divergences. */
    private NDArray divergence(DivergenceKind kind, NDArray pLogits, NDArray qLogits) {
        NDArray logP = pLogits.logSoftmax(-1);
        NDArray logQ = qLogits.logSoftmax(-1);
        NDArray p = logP.exp();
        NDArray q = logQ.exp();
        NDArray half = constant(.5);
        NDArray values =
                switch (kind) {
                    case SCE -> sumOfRow(p.mul(logQ).add(q.mul(logP))).neg();
                    case JEFFREYS -> sumOfRow(p.sub(q).mul(logP.sub(logQ)));
                    case KL_PQ -> sumOfRow(p.mul(logP.sub(logQ)));
                    case KL_QP -> sumOfRow(q.mul(logQ.sub(logP)));
                    case JS -> {
                        NDArray logM = p.add(q).mul(half).log();
                        NDArray both = p.mul(logP.sub(logM)).add(q.mul(logQ.sub(logM)));
                        yield sumOfRow(both).mul(half);
                    }
                    case L2 -> sumOfRow(p.sub(q).mul(p.sub(q)));
                    case TVD -> sumOfRow(p.sub(q).abs()).mul(half);
                    case WASSERSTEIN1 -> sumOfRow(p.sub(q).cumSum(2).abs());
                    case COSINE -> {
                        NDArray lengths = sumOfRow(p.mul(p)).mul(sumOfRow(q.mul(q))).sqrt();
                        yield constant(1).sub(sumOfRow(p.mul(q)).div(lengths));
                    }
                };
        NDArray share = weightArray().toType(DataType.FLOAT64, true);
        return values.mul(share).sum().div(share.sum());
    }

    @ParameterizedTest
    @EnumSource
    void twoLiveSidesAgreeWithLibtorch(DivergenceKind kind) {
        DivergenceLoss loss = new DivergenceLoss(DivergenceOptions.of(kind), Backend.cpu());
        Outcome expected =
                backward(
                        new NDList(exact(first), exact(second)),
                        x -> divergence(kind, x.get(0), x.get(1)));
        Outcome actual =
                backward(
                        new NDList(array(first), array(second)),
                        x -> loss.evaluate(new NDList(weightArray()), x));
        assertSame(expected, actual);
        assertEquals(kind.id(), loss.getName());
    }

    @ParameterizedTest
    @EnumSource
    void aStudentAgreesWithLibtorch(DivergenceKind kind) {
        DivergenceLoss loss = new DivergenceLoss(DivergenceOptions.of(kind), Backend.cpu());
        NDArray teacher = exact(second);
        Outcome expected =
                backward(new NDList(exact(first)), x -> divergence(kind, x.head(), teacher));
        Outcome actual =
                backward(
                        new NDList(array(first)),
                        x -> loss.evaluate(new NDList(array(second), weightArray()), x));
        assertSame(expected, actual);
    }

    @Test
    void theSideThatIsDetachedIsTheLabels() {
        DivergenceOptions options = DivergenceOptions.of(DivergenceKind.KL_PQ).withDetach(Detach.P);
        DivergenceLoss loss = new DivergenceLoss(options, Backend.cpu());
        NDArray target = exact(first);
        Outcome expected =
                backward(
                        new NDList(exact(second)),
                        x -> divergence(DivergenceKind.KL_PQ, target, x.head()));
        Outcome actual =
                backward(
                        new NDList(array(second)),
                        x -> loss.evaluate(new NDList(array(first), weightArray()), x));
        assertSame(expected, actual);
    }

    @Test
    void aDetachedPredictionGetsNoGradient() {
        DivergenceOptions options = DivergenceOptions.DEFAULT.withDetach(Detach.Q);
        DivergenceLoss loss = new DivergenceLoss(options, Backend.cpu());
        NDArray q = array(second);
        DivergenceLoss.Step step = loss.step(array(first), q, null, true);
        assertTrue(step.gradP() != null && step.gradQ() == null);
        Outcome both =
                backward(
                        new NDList(array(first)),
                        x -> loss.evaluate(new NDList(weightArray()), new NDList(x.head(), q)));
        Outcome one =
                backward(
                        new NDList(array(first)),
                        x -> loss.evaluate(new NDList(q, weightArray()), x));
        assertEquals(one.loss(), both.loss());
        assertEquals(
                Arrays.toString(one.gradients().getFirst()),
                Arrays.toString(both.gradients().getFirst()));
    }

    @Test
    void longAndShortContextsAgreeWithLibtorch() {
        int extra = 2;
        double coefficient = .3;
        // The first run is sequence 0 of the batch, the last run sequence 1.
        double[] share = new double[TIME - extra];
        long counted = Arrays.stream(labels, extra, TIME).filter(label -> label != IGNORE).count();
        for (int t = extra; t < TIME; t++) {
            share[t - extra] = labels[t] == IGNORE ? 0 : coefficient / counted;
        }
        assertTrue(counted > 0);
        Outcome expected =
                backward(
                        new NDList(exact(first)),
                        x -> {
                            NDArray logP = x.head().get("0, " + extra + ":").logSoftmax(-1);
                            NDArray logQ = x.head().get("1, :" + (TIME - extra)).logSoftmax(-1);
                            NDArray both = logP.exp().mul(logQ).add(logQ.exp().mul(logP));
                            return sumOfRow(both).neg().mul(manager.create(share)).sum();
                        });
        LongShortLoss loss = new LongShortLoss(extra, Backend.cpu()).coefficient(coefficient);
        Outcome actual =
                backward(new NDList(array(first)), x -> loss.evaluate(new NDList(labelArray()), x));
        assertSame(expected, actual);

        // Next to the supervised loss, as DJL adds losses up.
        TokenLogprobLoss supervised = new TokenLogprobLoss(Backend.cpu());
        SimpleCompositeLoss sum = new SimpleCompositeLoss().addLoss(supervised).addLoss(loss);
        Outcome alone =
                backward(
                        new NDList(array(first)),
                        x -> supervised.evaluate(new NDList(labelArray()), x));
        Outcome together =
                backward(new NDList(array(first)), x -> sum.evaluate(new NDList(labelArray()), x));
        assertEquals(alone.loss() + actual.loss(), together.loss(), TOLERANCE);
        double[] added = alone.gradients().getFirst();
        for (int i = 0; i < added.length; i++) {
            assertEquals(
                    added[i] + actual.gradients().getFirst()[i],
                    together.gradients().getFirst()[i],
                    TOLERANCE);
        }
    }

    @Test
    void withoutACountedRowTheLossesAreZero() {
        Arrays.fill(labels, IGNORE);
        for (ExternalLoss loss :
                List.of(
                        new ScoringRuleLoss(ScoringRuleOptions.DEFAULT, Backend.cpu()),
                        new LongShortLoss(1, Backend.cpu()))) {
            Outcome outcome =
                    backward(
                            new NDList(array(first)),
                            x -> loss.evaluate(new NDList(labelArray()), x));
            assertEquals(0, outcome.loss());
            assertTrue(Arrays.stream(outcome.gradients().getFirst()).allMatch(g -> g == 0));
        }
    }

    @Test
    void aCallOutsideOfACollectorGivesTheSameValue() {
        DivergenceOptions sum = DivergenceOptions.DEFAULT.withReduction(Reduction.SUM);
        DivergenceLoss loss = new DivergenceLoss(sum, Backend.cpu());
        NDList labels = new NDList(array(second));
        Outcome trained = backward(new NDList(array(first)), x -> loss.evaluate(labels, x));
        assertEquals(
                (float) trained.loss(), loss.evaluate(labels, new NDList(array(first))).getFloat());
        assertTrue(loss.seconds() > 0);
    }

    @Test
    void namesWhatIsWrong() {
        DivergenceLoss loss = new DivergenceLoss(DivergenceOptions.DEFAULT, Backend.cpu());
        NDArray p = array(first);
        assertMessage(
                "q is float32 (2, 5); expected p's float32 (2, 5, 37)",
                () -> loss.evaluate(new NDList(weightArray()), new NDList(p)));
        assertMessage(
                "predictions hold 3 arrays; expected one side's logits or both sides'",
                () -> loss.evaluate(new NDList(p), new NDList(p, p, p)));
        assertMessage(
                "labels hold 0 arrays; expected the other side's logits and, where rows have"
                        + " weights, these",
                () -> loss.evaluate(new NDList(), new NDList(p)));
        assertMessage(
                "p is of type float64; expected FLOAT32 or FLOAT16",
                () -> loss.step(exact(first), exact(first), null, true));
        ScoringRuleLoss rule = new ScoringRuleLoss(ScoringRuleOptions.DEFAULT, Backend.cpu());
        assertMessage(
                "labels hold 2 arrays; expected one",
                () -> rule.evaluate(new NDList(labelArray(), p), new NDList(p)));
        assertMessage(
                "extra is 5, expected a number in [1,5)",
                () -> new LongShortLoss(5, Backend.cpu()).step(p, labelArray(), true));
    }

    private static void assertMessage(String message, Runnable call) {
        assertEquals(message, assertThrows(IllegalArgumentException.class, call::run).getMessage());
    }
}
