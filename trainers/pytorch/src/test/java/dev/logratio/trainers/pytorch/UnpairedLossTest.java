package dev.logratio.trainers.pytorch;

import static dev.logratio.trainers.pytorch.Assert.assertBad;
import static dev.logratio.trainers.pytorch.Assert.assertClose;
import static dev.logratio.trainers.pytorch.Assert.assertSameBits;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.logratio.Backend;
import dev.logratio.UnpairedStep;
import dev.logratio.UnpairedStepMetrics;
import dev.logratio.loss.Kto;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Losses;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.Map;
import java.util.stream.Stream;

/** The loss of single examples, as {@link PreferenceLossTest} has that of pairs. */
class UnpairedLossTest extends WithBatch {
    private Tensor chosen;

    @BeforeEach
    void mark() {
        chosen = torch.arange(new Scalar(Batch.ROWS)).lt(new Scalar(4));
    }

    static Stream<Loss.Unpaired> losses() {
        return Losses.ids(Loss.Unpaired.class).stream()
                .map(id -> Losses.of(Loss.Unpaired.class, id, Map.of()));
    }

    @ParameterizedTest
    @MethodSource("losses")
    void everyLossGivesTheLibrarysOwnBits(Loss.Unpaired loss) {
        Tensor mask = batch.labels().remainder(new Scalar(3)).to(ScalarType.Float);
        Tensor own = batch.logits().detach();
        Tensor ownLosses = torch.zeros(Batch.ROWS);
        UnpairedStepMetrics expected;
        try (Views views = new Views()) {
            expected =
                    UnpairedStep.of(
                                    loss,
                                    views.of("logits", own),
                                    views.of("labels", batch.labels()),
                                    views.of("chosen", chosen))
                            .referenceLogps(views.of("reference", batch.reference()))
                            .mask(views.of("mask", mask))
                            .losses(views.of("losses", ownLosses))
                            .inPlace()
                            .run(Backend.cpu());
        }
        for (boolean inPlace : new boolean[] {false, true}) {
            Tensor leaf = batch.logits().detach().set_requires_grad(true);
            Tensor losses = torch.zeros(Batch.ROWS);
            UnpairedLoss call =
                    UnpairedLoss.of(loss, leaf.add(new Scalar(0)), batch.labels(), chosen)
                            .referenceLogps(batch.reference())
                            .mask(mask)
                            .tensor("losses", UnpairedStep::losses, losses);
            assertEquals(expected, inPlace ? call.backwardInPlace() : call.backward());
            assertSameBits(Assert.values(own), leaf.grad());
            assertSameBits(Assert.values(ownLosses), losses);
        }
    }

    @Test
    void theModelsGradientsAgreeWithAutogradInDouble() {
        Kto kto = new Kto();
        Batch exact = batch.to(ScalarType.Double);
        Tensor expected = Formulas.of(kto, exact, exact.logits(), chosen);
        expected.backward();
        UnpairedStepMetrics metrics =
                UnpairedLoss.of(kto, batch.logits(), batch.labels(), chosen)
                        .referenceLogps(batch.reference())
                        .backwardInPlace();
        // The model itself is computed in float32.
        assertEquals(expected.item_double(), metrics.loss(), 1e-5 * expected.item_double());
        assertClose(exact.head().grad(), batch.head().grad(), 1e-5, 1e-5);
        assertClose(exact.hidden().grad(), batch.hidden().grad(), 1e-5, 1e-5);
    }

    @Test
    void namesWhatIsWrong() {
        assertBad(
                "chosen is I64 [6], expected BOOL or U8",
                () ->
                        UnpairedLoss.of(
                                        new Kto(),
                                        batch.logits(),
                                        batch.labels(),
                                        chosen.to(ScalarType.Long))
                                .referenceLogps(batch.reference())
                                .backwardInPlace());
    }
}
