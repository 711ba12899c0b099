package dev.logratio.bench;

import static dev.logratio.bench.Parity.assertClose;
import static dev.logratio.bench.Parity.leaf;
import static dev.logratio.bench.Parity.tolerance;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.PairLoss;
import dev.logratio.Tensor;
import dev.logratio.UnpairedLoss;
import dev.logratio.bench.TorchLosses.Pairs;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.Guard;
import dev.logratio.loss.KtoPair;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Losses;
import dev.logratio.loss.OptionInfo;

import org.bytedeco.javacpp.PointerScope;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.Stream;

/** Every loss and its gradients against autograd in float64. */
class EveryLossParityTest {
    private static final int SIZE = 67;

    /**
     * The part of a value below which a difference counts absolutely: gradients through the batch
     * are sums that may cancel.
     */
    private static final double FLOOR = 1e-1;

    /**
     * A loss with every combination of the words of its options and with numbers that differ from
     * its defaults and from each other, so that a new loss is compared without a line here.
     */
    private static Stream<Loss> variants(String id) {
        List<Map<String, String>> variants = new ArrayList<>(List.of(new HashMap<>()));
        double number = .4;
        for (OptionInfo option : Losses.options(id)) {
            List<String> values =
                    option.isNumber() ? List.of(Double.toString(number)) : option.values();
            variants =
                    variants.stream()
                            .flatMap(some -> values.stream().map(v -> with(some, option, v)))
                            .toList();
            number -= .06;
        }
        return variants.stream().map(options -> Losses.of(id, options));
    }

    private static Map<String, String> with(
            Map<String, String> options, OptionInfo option, String value) {
        Map<String, String> more = new HashMap<>(options);
        more.put(option.name(), value);
        return more;
    }

    private static Stream<Arguments> cases(Class<? extends Loss> kind) {
        return Parity.backends()
                .flatMap(
                        backend ->
                                Losses.ids(kind).stream()
                                        .flatMap(EveryLossParityTest::variants)
                                        .map(loss -> Arguments.of(backend, loss)));
    }

    static Stream<Arguments> paired() {
        Loss clamped = new Dlrml(.6, .01, .15).withGuard(Guard.CLAMP); // beta_mix < tau*beta_kl
        return Stream.concat(
                cases(Loss.Paired.class),
                Parity.backends().map(backend -> Arguments.of(backend, clamped)));
    }

    static Stream<Arguments> unpaired() {
        return cases(Loss.Unpaired.class);
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
                            .losses(losses)
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
                            .losses(losses)
                            .gradPolicy(gradPolicy)
                            .gradReference(gradReference);
            if (loss.usesKl()) {
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
