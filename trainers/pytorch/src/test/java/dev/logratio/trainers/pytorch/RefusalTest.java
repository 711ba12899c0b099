package dev.logratio.trainers.pytorch;

import static dev.logratio.trainers.pytorch.Assert.assertBad;
import static dev.logratio.trainers.pytorch.Assert.assertNull;
import static dev.logratio.trainers.pytorch.Assert.assertSameBits;
import static dev.logratio.trainers.pytorch.Assert.assertState;
import static dev.logratio.trainers.pytorch.Assert.values;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.DType;
import dev.logratio.Device;
import dev.logratio.PreferenceStep;
import dev.logratio.loss.Kto;
import dev.logratio.loss.Sigmoid;
import dev.logratio.loss.WeightedLoss;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.InferenceMode;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/** What a loss refuses, and in what words; and what it leaves behind. */
class RefusalTest extends WithBatch {
    private static final String OVERWRITTEN =
            "logits hold the gradient that an earlier call wrote over them; expected those of a new"
                    + " forward pass";
    private static final String LEAF =
            "logits are a leaf of the graph, or a view of one, which the gradient would overwrite;"
                    + " expected the output of a model, or backward()";
    private static final String NO_GRADIENT =
            "logits need no gradient; expected the output of a model in training";
    private static final String KEPT =
            "logits are kept by an operation for its own backward pass, such as the tanh that made"
                    + " them, and the gradient is written over them; expected the output of one"
                    + " that keeps none, such as a linear layer, or backward()";

    private PreferenceLoss loss(Tensor logits) {
        return loss(logits, batch.labels());
    }

    private PreferenceLoss loss(Tensor logits, Tensor labels) {
        return PreferenceLoss.of(new Sigmoid(), logits, labels).referenceLogps(batch.reference());
    }

    @Test
    void logitsThatHoldAGradient() {
        Tensor logits = batch.logits();
        PreferenceLoss first = loss(logits);
        first.backwardInPlace();
        double[] written = values(logits);
        assertState(OVERWRITTEN, first::backwardInPlace);
        assertState(OVERWRITTEN, () -> loss(logits).backward());
        assertState(OVERWRITTEN, () -> loss(logits).evaluate());
        assertState(OVERWRITTEN, () -> TokenLogps.of(logits, batch.labels()));
        // Views share the memory.
        assertState(OVERWRITTEN, () -> loss(logits.narrow(1, 0, 2)).evaluate());
        assertState(OVERWRITTEN, () -> loss(logits.detach()).evaluate());
        assertSameBits(written, logits);
        // A slice's gradient overwrites a part of the whole.
        Tensor whole = batch.logits();
        loss(whole.narrow(1, 0, 2), batch.labels().narrow(1, 0, 2)).backwardInPlace();
        assertState(OVERWRITTEN, () -> loss(whole).evaluate());
        // Later logits at the same address are new ones.
        for (int step = 0; step < 3; step++) {
            try (PointerScope inner = new PointerScope()) {
                loss(batch.logits()).backwardInPlace();
            }
        }
    }

    @Test
    void leavesInPlace() {
        Tensor leaf = batch.logits().detach().set_requires_grad(true);
        double[] before = values(leaf);
        assertBad(LEAF, () -> loss(leaf).backwardInPlace());
        assertBad(
                LEAF,
                () -> loss(leaf.narrow(1, 0, 2), batch.labels().narrow(1, 0, 2)).backwardInPlace());
        assertSameBits(before, leaf);
        assertFalse(leaf.grad().defined());
        loss(leaf).backward();
        assertSameBits(before, leaf);
        assertTrue(leaf.grad().abs().max().item_double() > 0);
    }

    @ParameterizedTest
    @ValueSource(strings = {"tanh", "exp", "sigmoid", "log_softmax"})
    void outputsThatTheirOperationKeeps(String name) {
        UnaryOperator<Tensor> operation =
                Map.<String, UnaryOperator<Tensor>>of(
                                "tanh", Tensor::tanh,
                                "exp", Tensor::exp,
                                "sigmoid", Tensor::sigmoid,
                                "log_softmax", x -> torch.log_softmax(x, -1))
                        .get(name);
        assertState(KEPT, () -> loss(operation.apply(batch.logits())).backwardInPlace());
        // Nothing has reached the parameters.
        assertFalse(batch.head().grad().defined());
        loss(operation.apply(batch.logits())).backward();
        double[] expected = values(batch.head().grad());
        // One operation that keeps nothing is enough.
        Batch other = batch.to(ScalarType.Float);
        loss(operation.apply(other.logits()).add(new Scalar(0))).backwardInPlace();
        assertSameBits(expected, other.head().grad());
    }

    @Test
    void logitsWithoutAGraph() {
        Tensor detached = batch.logits().detach();
        double[] before = values(detached);
        assertBad(NO_GRADIENT, () -> loss(detached).backwardInPlace());
        assertBad(NO_GRADIENT, () -> loss(detached).backward());
        Tensor inferred;
        try (InferenceMode mode = new InferenceMode(true)) {
            inferred = batch.logits();
        }
        assertBad(NO_GRADIENT, () -> loss(inferred).backwardInPlace());
        assertSameBits(before, detached);
        assertEquals(loss(detached).evaluate(), loss(inferred).evaluate());
    }

    @Test
    void wrongTensors() {
        Tensor logits = batch.logits();
        Tensor labels = batch.labels();
        double[] before = values(logits);
        assertBad(
                "logits is F64 [6, 5, 37], expected F32, BF16 or F16",
                () -> loss(logits.to(ScalarType.Double)).backwardInPlace());
        assertBad(
                "logits is F32 [5, 5, 37], expected an even first dimension, chosen before"
                        + " rejected",
                () -> loss(logits.narrow(0, 0, 5), labels.narrow(0, 0, 5)).backwardInPlace());
        assertBad(
                "logits is F32 [6, 37, 5], expected a contiguous last dimension, not a stride of"
                        + " 37",
                () -> loss(logits.transpose(1, 2)).backwardInPlace());
        assertBad(
                "grad_logits is F32 [6, 5, 37] with elements that share memory, expected memory"
                        + " for each element",
                () -> loss(logits.narrow(0, 0, 1).expand(6, 5, 37)).backwardInPlace());
        assertBad(
                "logits lies on meta; expected a tensor on the CPU or a CUDA device",
                () -> loss(logits.meta()).backwardInPlace());
        assertBad(
                "labels lies on meta; expected a tensor on the CPU or a CUDA device",
                () -> loss(logits, labels.meta()).backwardInPlace());
        assertBad(
                "labels is I64 [6, 4], expected shape [6, 5], as logits is F32 [6, 5, 37]",
                () -> loss(logits, labels.narrow(1, 0, 4)).backwardInPlace());
        assertBad(
                "labels is F32 [6, 5], expected I64 or I32",
                () -> loss(logits, labels.to(ScalarType.Float)).backwardInPlace());
        assertBad(
                "labels[0, 0] is 37, expected a number in [0,37) or the ignore_index -100",
                () -> loss(logits, torch.full_like(labels, new Scalar(37))).backwardInPlace());
        assertBad(
                "mask is of type Char; expected Double, Float, BFloat16, Half, Long, Int, Byte or"
                        + " Bool",
                () -> loss(logits).mask(labels.to(ScalarType.Char)).backwardInPlace());
        assertBad(
                "reference_logps or reference_token_logps is missing, expected one of them, or"
                        + " referenceFree()",
                () -> PreferenceLoss.of(new Sigmoid(), logits, labels).backwardInPlace());
        assertBad(
                "losses are empty, expected at least one",
                () -> PreferenceLoss.of(List.<WeightedLoss>of(), logits, labels).backwardInPlace());
        // What was refused left the logits and the graph as they were.
        assertSameBits(before, logits);
        assertFalse(batch.head().grad().defined());
        loss(logits).backwardInPlace();
        assertTrue(batch.head().grad().abs().max().item_double() > 0);
    }

    @Test
    void tensorsOnTwoDevices() {
        // There is no GPU here: the address is never read.
        try (dev.logratio.Tensor onDevice =
                dev.logratio.Tensor.ofAddress(
                        Device.cuda(0),
                        4096,
                        DType.F32,
                        new long[] {Batch.ROWS, Batch.TIME},
                        null)) {
            assertBad(
                    "mask is F32 [6, 5] on CUDA 0, expected host memory for the backend cpu: copy"
                            + " it there first, with CudaTensors.toHost",
                    () ->
                            loss(batch.logits())
                                    .options(step -> step.mask(onDevice))
                                    .backwardInPlace());
        }
    }

    @Test
    void tensorsOfAnEndedScope() {
        Tensor logits;
        Tensor mask;
        try (PointerScope inner = new PointerScope()) {
            logits = batch.logits();
            mask = torch.ones(Batch.ROWS, Batch.TIME);
        }
        assertState(
                "logits is closed; expected a tensor whose PointerScope is still open",
                () -> loss(logits).backwardInPlace());
        assertState(
                "mask is closed; expected a tensor whose PointerScope is still open",
                () -> loss(batch.logits()).mask(mask).backwardInPlace());
        assertState(
                "logits is closed; expected a tensor whose PointerScope is still open",
                () -> TokenLogps.of(logits, batch.labels()));
    }

    @Test
    void nulls() {
        Tensor logits = batch.logits();
        Tensor labels = batch.labels();
        assertNull("loss", () -> PreferenceLoss.of((Sigmoid) null, logits, labels));
        assertNull("losses", () -> PreferenceLoss.of((List<WeightedLoss>) null, logits, labels));
        assertNull("logits", () -> loss(null));
        assertNull("labels", () -> loss(logits, null));
        assertNull("mask", () -> loss(logits).mask(null));
        assertNull("reference_logps", () -> loss(logits).referenceLogps(null));
        assertNull("name", () -> loss(logits).tensor(null, PreferenceStep::mask, labels));
        assertNull("setter", () -> loss(logits).tensor("mask", null, labels));
        assertNull("setters", () -> loss(logits).options(null));
        assertNull("loss", () -> UnpairedLoss.of(null, logits, labels, labels));
        assertNull("labels", () -> UnpairedLoss.of(new Kto(), logits, null, labels));
        assertNull("chosen", () -> UnpairedLoss.of(new Kto(), logits, labels, null));
        assertNull("logits", () -> TokenLogps.of(null, labels));
        assertNull("labels", () -> TokenLogps.of(logits, null));
        assertNull("options", () -> TokenLogps.of(logits, labels, null, false));
    }
}
