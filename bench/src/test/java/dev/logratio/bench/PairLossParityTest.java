package dev.logratio.bench;

import static dev.logratio.bench.Parity.assertClose;
import static dev.logratio.bench.Parity.leaf;
import static dev.logratio.bench.Parity.tolerance;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.PairLoss;
import dev.logratio.Tensor;
import dev.logratio.loss.DiscoPop;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.FDivergence;
import dev.logratio.loss.FDivergence.Alpha;
import dev.logratio.loss.FDivergence.ForwardKl;
import dev.logratio.loss.FDivergence.Js;
import dev.logratio.loss.FDivergence.ReverseKl;
import dev.logratio.loss.Sigmoid;
import dev.logratio.loss.Variant;

import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.SplittableRandom;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

/** Every loss with its gradients, those of its parameters included, against autograd in float64. */
class PairLossParityTest {
    private static final int PAIRS = 67;

    /**
     * So that the plain formulas, exp(-score) times a gate, stay finite in float64 for every
     * divergence.
     */
    private static final double SPREAD = 1;

    /**
     * The part of a value below which a difference counts absolutely: parameter gradients are sums
     * that may cancel.
     */
    private static final double FLOOR = 1e-2;

    @AutoClose private final Arena arena = Arena.ofConfined();

    private final SplittableRandom random = new SplittableRandom(7);
    private final Tensor policyChosen = logps();
    private final Tensor policyRejected = logps();
    private final Tensor referenceChosen = logps();
    private final Tensor referenceRejected = logps();
    private final Tensor upstream = Parity.normal(arena, random, DType.F64, 1, PAIRS);
    private final Tensor losses = zeros(PAIRS);
    private final Tensor[] grads = {zeros(PAIRS), zeros(PAIRS), zeros(PAIRS), zeros(PAIRS)};

    private Tensor logps() {
        return Parity.normal(arena, random, DType.F64, SPREAD, PAIRS);
    }

    private Tensor zeros(long size) {
        return Tensor.zeros(arena, DType.F64, size);
    }

    static Stream<Arguments> cases() {
        return Parity.backends()
                .flatMap(
                        backend ->
                                Stream.of(
                                                new ReverseKl(),
                                                new ForwardKl(),
                                                new Js(),
                                                new Alpha(0.5))
                                        .map(divergence -> Arguments.of(backend, divergence)));
    }

    @ParameterizedTest
    @MethodSource("cases")
    void dlrml(Backend backend, FDivergence divergence) {
        for (double[] parameters :
                new double[][] {{0.05, 0.20, 0.05}, {0.25, 0.10, 0.05}, {0.5, 0.35, 1}}) {
            Dlrml loss =
                    new Dlrml(parameters[0], parameters[1], parameters[2])
                            .withFDivergence(divergence);
            Tensor gradBetaKl = zeros(1);
            Tensor gradBetaMix = zeros(1);
            Tensor gradTau = zeros(1);
            var betaKl = leaf(parameters[0]);
            var betaMix = leaf(parameters[1]);
            var tau = leaf(parameters[2]);
            call(
                    PairLoss.of(loss, policyChosen, policyRejected)
                            .gradBetaKl(gradBetaKl)
                            .gradBetaMix(gradBetaMix)
                            .gradTau(gradTau),
                    backend);
            compare(backend, divergence, rho -> TorchFormulas.dlrml(rho, betaKl, betaMix, tau));
            assertParameter("grad_beta_kl", gradBetaKl, betaKl, backend);
            assertParameter("grad_beta_mix", gradBetaMix, betaMix, backend);
            assertParameter("grad_tau", gradTau, tau, backend);
        }
    }

    @ParameterizedTest
    @MethodSource("cases")
    void discoPop(Backend backend, FDivergence divergence) {
        DiscoPop loss = new DiscoPop(0.3, 0.2, Variant.REPO, divergence);
        Tensor gradBeta = zeros(1);
        Tensor gradTau = zeros(1);
        var beta = leaf(0.3);
        var tau = leaf(0.2);
        call(
                PairLoss.of(loss, policyChosen, policyRejected).gradBeta(gradBeta).gradTau(gradTau),
                backend);
        compare(backend, divergence, rho -> TorchFormulas.dlrml(rho, beta, beta, tau));
        assertParameter("grad_beta", gradBeta, beta, backend);
        assertParameter("grad_tau", gradTau, tau, backend);
    }

    @ParameterizedTest
    @MethodSource("cases")
    void discoPopOld(Backend backend, FDivergence divergence) {
        DiscoPop loss = new DiscoPop(0.3, 0.2, Variant.OLD, divergence);
        Tensor gradBeta = zeros(1);
        var beta = leaf(0.3);
        call(PairLoss.of(loss, policyChosen, policyRejected).gradBeta(gradBeta), backend);
        compare(backend, divergence, rho -> TorchFormulas.blend(rho.mul(beta), rho.sigmoid()));
        assertParameter("grad_beta", gradBeta, beta, backend);
    }

    @ParameterizedTest
    @MethodSource("cases")
    void sigmoid(Backend backend, FDivergence divergence) {
        for (double smoothing : new double[] {0, 0.2}) {
            call(
                    PairLoss.of(
                            new Sigmoid(0.4, smoothing, divergence), policyChosen, policyRejected),
                    backend);
            compare(backend, divergence, rho -> TorchFormulas.sigmoid(rho, leaf(0.4), smoothing));
        }
    }

    private void call(PairLoss call, Backend backend) {
        call.reference(referenceChosen, referenceRejected)
                .gradLoss(upstream)
                .losses(losses)
                .gradPolicy(grads[0], grads[1])
                .gradReference(grads[2], grads[3])
                .run(backend);
    }

    /**
     * Builds the graph of {@code formula} on the difference of scores, runs it backward and
     * compares losses and gradients of log-probs.
     */
    private void compare(
            Backend backend,
            FDivergence divergence,
            UnaryOperator<org.bytedeco.pytorch.Tensor> formula) {
        var leaves =
                Stream.of(policyChosen, policyRejected, referenceChosen, referenceRejected)
                        .map(Parity::leaf)
                        .toList();
        var difference =
                TorchLosses.score(divergence, leaves.get(0).sub(leaves.get(2)))
                        .sub(TorchLosses.score(divergence, leaves.get(1).sub(leaves.get(3))));
        var expected = formula.apply(difference);
        expected.mul(Torch.view(upstream)).sum().backward();
        assertClose("loss", losses, expected, tolerance(backend, DType.F64), FLOOR);
        for (int i = 0; i < grads.length; i++) {
            assertClose(
                    "gradient of log-probs " + i,
                    grads[i],
                    leaves.get(i).grad(),
                    tolerance(backend, DType.F64),
                    FLOOR);
        }
    }

    private static void assertParameter(
            String what, Tensor ours, org.bytedeco.pytorch.Tensor leaf, Backend backend) {
        assertClose(what, ours, leaf.grad(), tolerance(backend, DType.F64), FLOOR);
    }
}
