package dev.logratio.bench;

import static dev.logratio.bench.Parity.assertClose;
import static dev.logratio.bench.Parity.leaf;
import static dev.logratio.bench.Parity.tolerance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.PairLoss;
import dev.logratio.Tensor;
import dev.logratio.UnpairedLoss;
import dev.logratio.bench.TorchLosses.Pairs;
import dev.logratio.loss.Kto;
import dev.logratio.loss.KtoPair;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Losses;

import org.bytedeco.javacpp.PointerScope;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Every loss and its gradients against autograd in float64. */
class EveryLossParityTest {
    private static final int SIZE = 67;

    /**
     * The part of a value below which a difference counts absolutely: gradients through the batch
     * are sums that may cancel.
     */
    private static final double FLOOR = 1e-1;

    /** A loss and options that differ from its defaults; {@code *} stands for every score. */
    private static final List<String> CASES =
            List.of(
                    "dlrml beta_kl=.3 tau=.4 *",
                    "discopop beta=.3 tau=.2 *",
                    "discopop beta=.3 tau=.2 variant=old *",
                    "sigmoid beta=.4 label_smoothing=.2 *",
                    "sigmoid_norm beta=1.5 *",
                    "hinge beta=.7 *",
                    "ipo beta=.4 *",
                    "ipo beta=.4 normalise=off *",
                    "exo_pair beta=.4 label_smoothing=.1 *",
                    "robust beta=.4 label_smoothing=.1 *",
                    "nca_pair beta=.4",
                    "bco_pair beta=.4 delta=.3",
                    "sppo_hard beta=.4",
                    "aot beta=.4 label_smoothing=.1",
                    "aot_unpaired beta=.4 label_smoothing=.1",
                    "apo_zero beta=.4",
                    "apo_down beta=.4",
                    "kto_pair beta=.4",
                    "kto_pair beta=.4 detach=on",
                    "dbaql beta=.3 tau=.4",
                    "dbaql beta=.3 tau=.4 variant=old",
                    "dbaql beta=.3 tau=.4 variant=paper",
                    "aql beta=.6 tau=.4",
                    "aql beta=.6 tau=.4 variant=old",
                    "aql beta=.6 tau=.4 variant=paper",
                    "aqfl beta=.6 tau=.4",
                    "aqfl beta=.6 tau=.4 variant=old",
                    "aqfl beta=.6 tau=.4 variant=paper",
                    "padll beta=.4",
                    "cell beta=.4",
                    "pfl beta=.4",
                    "pfl beta=.4 variant=old",
                    "pfl beta=.4 variant=paper",
                    "simpo label_smoothing=.1 gamma=.3",
                    "alphapo label_smoothing=.1 gamma=.3 alpha=.4",
                    "cpo beta=.4 alpha=.7 label_smoothing=.1",
                    "cpo beta=.4 nll=token",
                    "orpo beta=.4",
                    "orpo beta=.4 nll=token",
                    "kto beta=.4 desirable_weight=1.5 undesirable_weight=.5",
                    "apo_zero_unpaired beta=.4",
                    "bco beta=.4 undesirable_weight=1.5 delta=-.3");

    private static Stream<Loss> losses() {
        return CASES.stream()
                .flatMap(
                        text ->
                                text.endsWith("*")
                                        ? Stream.of("reverse_kl", "forward_kl", "js", "alpha")
                                                .map(f -> text.replace("*", "f_divergence=" + f))
                                        : Stream.of(text))
                .map(
                        text -> {
                            String[] words = text.split(" ");
                            return Losses.of(
                                    words[0],
                                    Arrays.stream(words)
                                            .skip(1)
                                            .map(option -> option.split("="))
                                            .collect(
                                                    Collectors.toMap(
                                                            option -> option[0],
                                                            option -> option[1])));
                        });
    }

    private static Stream<Arguments> cases(Class<? extends Loss> kind) {
        return Parity.backends()
                .flatMap(
                        backend ->
                                losses().filter(kind::isInstance)
                                        .map(loss -> Arguments.of(backend, loss)));
    }

    static Stream<Arguments> paired() {
        return cases(Loss.Paired.class);
    }

    static Stream<Arguments> unpaired() {
        return cases(Loss.Unpaired.class);
    }

    @Test
    void noLossIsLeftOut() {
        Set<String> compared =
                losses().map(Loss::id).collect(Collectors.toCollection(TreeSet::new));
        Set<String> all = new TreeSet<>(Losses.ids());
        all.remove("sft"); // a mean over tokens, which is no loss of sequences
        assertEquals(all, compared);
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("paired")
    void pairs(Backend backend, Loss.Paired loss) {
        SplittableRandom random = new SplittableRandom(7);
        try (Arena arena = Arena.ofConfined();
                PointerScope scope = new PointerScope()) {
            Tensor[] counts = {counts(arena, random), counts(arena, random)};
            Tensor[] logps = new Tensor[4];
            for (int side = 0; side < 2; side++) {
                logps[side] = Tensor.zeros(arena, DType.F64, SIZE);
                logps[side + 2] = Parity.normal(arena, random, DType.F64, 1, SIZE);
                for (int i = 0;
                        i < SIZE;
                        i++) { // log-probs of tokens from -.05 to -1.5, and a reference about them
                    logps[side].setDouble(
                            counts[side].getDouble(i) * random.nextDouble(-1.5, -.05), i);
                    logps[side + 2].setDouble(
                            logps[side + 2].getDouble(i) + logps[side].getDouble(i), i);
                }
            }
            int values = loss.lossesPerPair() * SIZE;
            Tensor upstream = Parity.normal(arena, random, DType.F64, 1, values);
            Tensor losses = Tensor.zeros(arena, DType.F64, values);
            Tensor[] gradients = new Tensor[4];
            Arrays.setAll(gradients, k -> Tensor.zeros(arena, DType.F64, SIZE));
            PairLoss call =
                    PairLoss.of(loss, logps[0], logps[1])
                            .counts(counts[0], counts[1])
                            .gradLoss(upstream)
                            .loss(losses)
                            .gradPolicy(gradients[0], gradients[1]);
            boolean free = loss instanceof Loss.ReferenceFree;
            (free
                            ? call
                            : call.reference(logps[2], logps[3])
                                    .gradReference(gradients[2], gradients[3]))
                    .run(backend);

            var leaves = Stream.of(logps).map(Parity::leaf).toList();
            var expected =
                    TorchLosses.of(
                            loss,
                            new Pairs(
                                    leaves.get(0),
                                    leaves.get(1),
                                    leaves.get(2),
                                    leaves.get(3),
                                    Torch.view(counts[0]),
                                    Torch.view(counts[1])));
            expected.mul(Torch.view(upstream)).sum().backward();
            assertClose("loss", losses, expected, tolerance(backend, DType.F64), FLOOR);
            for (int k = 0; k < (free ? 2 : 4); k++) {
                assertClose(
                        "gradient of log-probs " + k,
                        gradients[k],
                        leaves.get(k).grad(),
                        tolerance(backend, DType.F64),
                        FLOOR);
            }
        }
    }

    static Stream<Backend> backends() {
        return Parity.backends();
    }

    /**
     * Training starts with log-ratios of 0, where a trainer's clamp of their mean lets the gradient
     * through.
     */
    @ParameterizedTest
    @MethodSource("backends")
    void ktoPairAtTheStart(Backend backend) {
        try (Arena arena = Arena.ofConfined();
                PointerScope scope = new PointerScope()) {
            Tensor zeros = Tensor.zeros(arena, DType.F64, 3);
            Tensor gradChosen = Tensor.zeros(arena, DType.F64, 3);
            Tensor gradRejected = Tensor.zeros(arena, DType.F64, 3);
            PairLoss.of(new KtoPair(), zeros, zeros)
                    .reference(zeros, zeros)
                    .gradPolicy(gradChosen, gradRejected)
                    .run(backend);
            var leaves = Stream.generate(() -> leaf(zeros)).limit(4).toList();
            var ones = Torch.view(Tensor.zeros(arena, DType.F64, 3).fill(1));
            TorchLosses.of(
                            new KtoPair(),
                            new Pairs(
                                    leaves.get(0),
                                    leaves.get(1),
                                    leaves.get(2),
                                    leaves.get(3),
                                    ones,
                                    ones))
                    .mean()
                    .backward();
            assertClose(
                    "gradient of chosen",
                    gradChosen,
                    leaves.get(0).grad(),
                    tolerance(backend, DType.F64),
                    1e-3);
            assertClose(
                    "gradient of rejected",
                    gradRejected,
                    leaves.get(1).grad(),
                    tolerance(backend, DType.F64),
                    1e-3);
        }
    }

    private static Tensor counts(Arena arena, SplittableRandom random) {
        return Tensor.of(
                arena, DType.F64, random.longs(SIZE, 1, 6).asDoubleStream().toArray(), SIZE);
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("unpaired")
    void examples(Backend backend, Loss.Unpaired loss) {
        SplittableRandom random = new SplittableRandom(7);
        try (Arena arena = Arena.ofConfined();
                PointerScope scope = new PointerScope()) {
            Tensor policy = Parity.normal(arena, random, DType.F64, 1, SIZE);
            Tensor reference = Parity.normal(arena, random, DType.F64, 1, SIZE);
            Tensor chosen =
                    Tensor.of(
                            arena,
                            DType.U8,
                            random.longs(SIZE, 0, 2).asDoubleStream().toArray(),
                            SIZE);
            Tensor upstream = Parity.normal(arena, random, DType.F64, 1, SIZE);
            Tensor losses = Tensor.zeros(arena, DType.F64, SIZE);
            Tensor gradPolicy = Tensor.zeros(arena, DType.F64, SIZE);
            Tensor gradReference = Tensor.zeros(arena, DType.F64, SIZE);
            UnpairedLoss call =
                    UnpairedLoss.of(loss, policy, reference, chosen)
                            .gradLoss(upstream)
                            .loss(losses)
                            .gradPolicy(gradPolicy)
                            .gradReference(gradReference);
            if (loss instanceof Kto) {
                call.klLogps(
                        Tensor.of(arena, DType.F64, new double[] {.9, -.1, .4}, 3),
                        Tensor.zeros(arena, DType.F64, 3));
            }
            call.run(backend);

            var policyLeaf = leaf(policy);
            var referenceLeaf = leaf(reference);
            var isChosen =
                    Torch.view(chosen).to(org.bytedeco.pytorch.global.torch.ScalarType.Double);
            var expected = TorchLosses.of(loss, policyLeaf.sub(referenceLeaf), isChosen, .4);
            expected.mul(Torch.view(upstream)).sum().backward();
            assertClose("loss", losses, expected, tolerance(backend, DType.F64), FLOOR);
            assertClose(
                    "gradient of the policy",
                    gradPolicy,
                    policyLeaf.grad(),
                    tolerance(backend, DType.F64),
                    FLOOR);
            assertClose(
                    "gradient of the reference",
                    gradReference,
                    referenceLeaf.grad(),
                    tolerance(backend, DType.F64),
                    FLOOR);
        }
    }
}
