package dev.logratio.trainers.pytorch;

import static dev.logratio.trainers.pytorch.Assert.assertBad;
import static dev.logratio.trainers.pytorch.Assert.assertClose;
import static dev.logratio.trainers.pytorch.Assert.assertState;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.logratio.TokenOptions;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Losses in PyTorch's operations over our log-probs, against autograd of the whole in Double. */
class TokenLogpsTest extends WithBatch {
    private static final double TEMPERATURE = 1.5;

    /**
     * A saturated policy loss with an entropy bonus and a z-loss, of [B,T] each, over the tokens
     * that are not ignored.
     */
    private Tensor formula(Tensor logp, Tensor entropy, Tensor lse) {
        Tensor old = batch.reference().to(ScalarType.Double).div(new Scalar(Batch.TIME));
        Tensor ratio = logp.to(ScalarType.Double).sub(old.unsqueeze(1)).exp();
        Tensor counted = batch.labels().ne(new Scalar(Batch.IGNORE)).to(ScalarType.Double);
        return lse.square()
                .mul(new Scalar(.01))
                .sub(entropy.mul(new Scalar(.1)))
                .sub(ratio.tanh())
                .mul(counted)
                .mean();
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void theModelsGradientsAgreeWithAutogradInDouble(boolean inPlace) {
        Batch exact = batch.to(ScalarType.Double);
        Tensor z = exact.logits().div(new Scalar(TEMPERATURE));
        Tensor logps = torch.log_softmax(z, -1);
        Tensor expectedLogp = Formulas.tokenLogps(z, batch.labels());
        Tensor expectedEntropy = logps.exp().mul(logps).sum(-1).neg();
        Tensor expectedLse = torch.logsumexp(z, -1);
        Tensor expected = formula(expectedLogp, expectedEntropy, expectedLse);
        expected.backward();

        TokenOptions options = TokenOptions.DEFAULT.withTemperature(TEMPERATURE);
        try (TokenLogps tokens = TokenLogps.of(batch.logits(), batch.labels(), options, true)) {
            assertEquals(ScalarType.Float, tokens.logp().scalar_type().intern());
            // The model is computed in float32.
            assertClose(expectedLogp.detach(), tokens.logp(), 1e-5, 1e-6);
            assertClose(expectedEntropy.detach(), tokens.entropy(), 1e-5, 1e-6);
            assertClose(expectedLse.detach(), tokens.lse(), 1e-5, 1e-6);
            Tensor loss = formula(tokens.logp(), tokens.entropy(), tokens.lse());
            assertEquals(expected.item_double(), loss.item_double(), 1e-5);
            loss.backward();
            if (inPlace) {
                tokens.backwardInPlace();
            } else {
                tokens.backward();
            }
        }
        assertClose(exact.head().grad(), batch.head().grad(), 1e-5, 1e-5);
        assertClose(exact.hidden().grad(), batch.hidden().grad(), 1e-5, 1e-5);
    }

    @Test
    void theMeanNegativeLogProbIsCrossEntropy() {
        Tensor values = batch.logits().to(ScalarType.BFloat16);
        Tensor exact = values.to(ScalarType.Double).detach().set_requires_grad(true);
        double counted = batch.labels().ne(new Scalar(Batch.IGNORE)).sum().item_double();
        Tensor expected =
                torch.cross_entropy_loss(exact.view(-1, Batch.VOCABULARY), batch.labels().view(-1));
        expected.backward();
        Tensor leaf = values.detach().set_requires_grad(true);
        try (TokenLogps tokens = TokenLogps.of(leaf.add(new Scalar(0)), batch.labels())) {
            Tensor loss = tokens.logp().sum().div(new Scalar(-counted));
            assertEquals(expected.item_double(), loss.item_double(), 1e-6);
            loss.backward();
            tokens.backwardInPlace();
        }
        // Half a unit in the last place of a BFloat16, and float32's own error.
        assertClose(exact.grad(), leaf.grad(), 0x1p-8, 2e-6);
    }

    @Test
    void aRowMayHaveSeveralLabels() {
        Tensor exact = batch.logits().to(ScalarType.Double).detach().set_requires_grad(true);
        Tensor labels =
                torch.arange(new Scalar(3))
                        .to(ScalarType.Long)
                        .expand(Batch.ROWS, Batch.TIME, 3)
                        .contiguous();
        torch.log_softmax(exact, -1).gather(-1, labels).exp().sum().backward();
        Tensor leaf = batch.logits().detach().set_requires_grad(true);
        try (TokenLogps tokens = TokenLogps.of(leaf, labels)) {
            tokens.logp().exp().sum().backward();
            tokens.backward();
        }
        // float32's own error.
        assertClose(exact.grad(), leaf.grad(), 2e-6, 1e-6);
    }

    @Test
    void namesWhatIsWrong() {
        Tensor logits = batch.logits();
        try (TokenLogps tokens = TokenLogps.of(logits, batch.labels())) {
            assertState(
                    "entropy was not computed; expected of(logits, labels, options, true)",
                    tokens::entropy);
            assertState(
                    "logp has no gradient; expected the backward pass of a loss of it before",
                    tokens::backwardInPlace);
            tokens.logp().sum().backward();
            tokens.backwardInPlace();
            assertThrows(IllegalStateException.class, tokens::backwardInPlace);
        }
        assertBad(
                "labels is I64 [6, 4], expected shape [6, 5], as logits is F32 [6, 5, 37]",
                () -> TokenLogps.of(batch.logits(), batch.labels().narrow(1, 0, 4)));
        assertBad(
                "logits is F32 [], expected shape [N,V] or [B,T,V]",
                () -> TokenLogps.of(batch.logits().sum(), batch.labels()));
        try (TokenLogps tokens = TokenLogps.of(batch.logits().detach(), batch.labels())) {
            tokens.logp().sum().backward();
            assertBad(
                    "logits need no gradient; expected the output of a model in training",
                    tokens::backward);
        }
    }

    @Test
    void resultsThatTheirScopeClosed() {
        Tensor logits = batch.logits();
        TokenLogps tokens;
        try (PointerScope inner = new PointerScope()) {
            tokens = TokenLogps.of(logits, batch.labels());
            tokens.logp().sum().backward();
        }
        assertState(
                "lse is closed; expected a tensor whose PointerScope is still open",
                tokens::backward);
    }
}
