package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import dev.logratio.internal.ffm.EmulatorBackend;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * The native kernels against the reference, on the same rounded logits: sizes around every vector
 * width and tail, all dtypes; on the emulator with several orders in which its threads run.
 */
class NativeAgainstReferenceTest {
    private static final int[] VOCABULARIES = {
        1, 2, 3, 15, 16, 17, 41, 123, 127, 507, 1271, 2047, 2048, 2049, 4095, 4096, 4097, 32000,
        50257
    };
    private static final int[] SMALL_VOCABULARIES = {1, 41, 123, 507, 1271};
    private static final int SEEDS = 5;
    private static final DType[] DTYPES = {DType.F32, DType.BF16, DType.F16};

    private static final TokenOptions[] OPTIONS = {
        TokenOptions.DEFAULT,
        new TokenOptions(-1, .7, 0),
        new TokenOptions(-100, 1.6, 30),
        new TokenOptions(-100, 1, 4)
    };

    static Stream<Arguments> sizes() {
        return TestBackends.natives()
                .flatMap(
                        backend ->
                                IntStream.of(VOCABULARIES)
                                        .mapToObj(size -> arguments(backend, size)));
    }

    @ParameterizedTest
    @MethodSource("sizes")
    void tokenLogprobs(Backend backend, int vocabulary) {
        for (DType dtype : DTYPES) {
            for (TokenOptions options : OPTIONS) {
                compare(backend, dtype, vocabulary, options, new Random(vocabulary));
            }
        }
    }

    static Stream<Arguments> seeds() {
        return TestBackends.natives()
                .filter(EmulatorBackend.class::isInstance)
                .flatMap(
                        emulator ->
                                IntStream.rangeClosed(1, SEEDS)
                                        .boxed()
                                        .flatMap(
                                                seed ->
                                                        IntStream.of(SMALL_VOCABULARIES)
                                                                .mapToObj(
                                                                        size ->
                                                                                arguments(
                                                                                        emulator,
                                                                                        seed,
                                                                                        size))));
    }

    /**
     * A kernel that leaves anything to the order of its threads is wrong with one seed or another.
     */
    @ParameterizedTest(
            name = "{0}, seed {1}, V={2}",
            allowZeroInvocations = true) // on cpu or a GPU alone there are none
    @MethodSource("seeds")
    void ordersOfThreads(Backend emulator, int seed, int vocabulary) {
        EmulatorSeed.set(seed);
        try {
            for (DType dtype : DTYPES) {
                compare(
                        emulator,
                        dtype,
                        vocabulary,
                        OPTIONS[seed % OPTIONS.length],
                        new Random(seed));
            }
        } finally {
            EmulatorSeed.set(0);
        }
    }

    private static void compare(
            Backend backend, DType dtype, int vocabulary, TokenOptions options, Random random) {
        try (Arena arena = Arena.ofConfined()) {
            // logits[:, :-1] of [2,4,V]: rows whose outer stride is not their number times V
            Tensor logits = Tensor.zeros(arena, dtype, 2, 4, vocabulary).slice(1, 0, 3);
            Tensor labels = Tensor.zeros(arena, DType.I32, 2, 4).slice(1, 1, 4);
            fill(logits, random);
            for (int n = 0; n < 6; n++) {
                labels.setLong(
                        n == 5 ? options.ignoreIndex() : random.nextInt(vocabulary), n / 3, n % 3);
            }
            String what = dtype + " V=" + vocabulary + " " + options + " ";
            Run actual = new Run(arena, backend, logits, labels, options, DType.F32);
            Run reference = new Run(arena, Backend.reference(), logits, labels, options, DType.F64);
            for (int i = 0; i < reference.outputs.length; i++) {
                Expect.asPromised(
                        what + Run.NAMES[i],
                        DType.F32,
                        reference.outputs[i].toDoubles(),
                        actual.outputs[i].toDoubles());
            }
            assertArrayEquals(reference.argmax.toLongs(), actual.argmax.toLongs(), what + "argmax");
            for (double[] upstream : new double[][] {{1.5, 0}, {0, -.5}, {-.3, 2}}) {
                double[] expected =
                        reference.gradient(arena, Backend.reference(), reference, upstream);
                expectGradient(
                        what,
                        dtype,
                        upstream,
                        expected,
                        actual.gradient(arena, backend, reference, upstream));
            }
        }
    }

    /**
     * As promised, or within float32's rounding of 1 where probabilities cancel, as they do for V =
     * 1.
     */
    private static void expectGradient(
            String what, DType dtype, double[] upstream, double[] expected, double[] actual) {
        double relative = dtype == DType.F32 ? 2e-5 : dtype == DType.F16 ? 0x1p-10 : 0x1p-7;
        double ofLargest = dtype == DType.F32 ? 3e-6 : 2e-3;
        double absolute = 1e-6 * (Math.abs(upstream[0]) + Math.abs(upstream[1]));
        Expect.near(what + "grad_logits", expected, actual, relative, ofLargest, absolute);
    }

    /** Rows: random; peaked; masked in whole tiles; constant; large of both signs; random. */
    private static void fill(Tensor logits, Random random) {
        long vocabulary = logits.size(2);
        for (int n = 0; n < 6; n++) {
            for (long k = 0; k < vocabulary; k++) {
                double value =
                        switch (n) {
                            case 1 -> k == vocabulary / 2 ? 60 : random.nextGaussian();
                            case 2 ->
                                    k != 0 && (k / 64) % 3 != 1
                                            ? Double.NEGATIVE_INFINITY
                                            : 4 * random.nextGaussian();
                            case 3 -> -7.5;
                            case 4 -> 300 * random.nextGaussian();
                            default -> 3 * random.nextGaussian();
                        };
                logits.setDouble(value, n / 3, n % 3, k);
            }
        }
    }

    static Stream<Arguments> dtypes() {
        return TestBackends.natives()
                .flatMap(backend -> Stream.of(DTYPES).map(dtype -> arguments(backend, dtype)));
    }

    /** Broken rows among good ones: the same NaN in the same places. */
    @ParameterizedTest
    @MethodSource("dtypes")
    void brokenRows(Backend backend, DType dtype) {
        for (int vocabulary : new int[] {1, 17, 1271, 4097}) {
            for (TokenOptions options : OPTIONS) {
                try (Arena arena = Arena.ofConfined()) {
                    Tensor logits = Tensor.zeros(arena, dtype, 2, 3, vocabulary);
                    Tensor labels = Tensor.zeros(arena, DType.I64, 2, 3);
                    fill(logits, new Random(vocabulary));
                    logits.select(0, 0).select(0, 0).fill(Double.NEGATIVE_INFINITY);
                    logits.setDouble(Double.NaN, 0, 2, vocabulary - 1);
                    logits.setDouble(Double.POSITIVE_INFINITY, 1, 1, vocabulary / 2);
                    String what = dtype + " V=" + vocabulary + " " + options + " ";
                    Run actual = new Run(arena, backend, logits, labels, options, DType.F32);
                    Run reference =
                            new Run(arena, Backend.reference(), logits, labels, options, DType.F64);
                    for (int i = 0; i < reference.outputs.length; i++) {
                        Expect.asPromised(
                                what + Run.NAMES[i],
                                DType.F32,
                                reference.outputs[i].toDoubles(),
                                actual.outputs[i].toDoubles());
                    }
                    assertArrayEquals(
                            reference.argmax.toLongs(), actual.argmax.toLongs(), what + "argmax");
                    double[] upstream = {1, .5};
                    double[] expected =
                            reference.gradient(arena, Backend.reference(), reference, upstream);
                    expectGradient(
                            what,
                            dtype,
                            upstream,
                            expected,
                            actual.gradient(arena, backend, reference, upstream));
                }
            }
        }
    }

    /** All outputs of one backend. */
    private static final class Run {
        static final String[] NAMES = {"logp", "lse", "lse2", "entropy", "mean_logit"};
        final Tensor logits;
        final Tensor labels;
        final TokenOptions options;
        final Tensor[] outputs = new Tensor[5];
        final Tensor argmax;

        Run(
                Arena arena,
                Backend backend,
                Tensor logits,
                Tensor labels,
                TokenOptions options,
                DType dtype) {
            this.logits = logits;
            this.labels = labels;
            this.options = options;
            for (int i = 0; i < outputs.length; i++) {
                outputs[i] = Tensor.zeros(arena, dtype, labels.shape());
            }
            argmax = Tensor.zeros(arena, DType.I64, labels.shape());
            TokenLogprobs.of(logits, labels)
                    .tokenOptions(options)
                    .logp(outputs[0])
                    .lse(outputs[1])
                    .lse2(outputs[2])
                    .entropy(outputs[3])
                    .meanLogit(outputs[4])
                    .argmax(argmax)
                    .run(backend);
        }

        double[] gradient(Arena arena, Backend backend, Run forward, double[] upstream) {
            Tensor gradient = Tensor.zeros(arena, logits.dtype(), logits.shape());
            TokenLogprobsBackward.of(logits, labels, forward.outputs[1])
                    .tokenOptions(options)
                    .entropy(forward.outputs[3])
                    .gradLogp(Tensor.zeros(arena, DType.F32, labels.shape()).fill(upstream[0]))
                    .gradEntropy(Tensor.zeros(arena, DType.F32, labels.shape()).fill(upstream[1]))
                    .gradLogits(gradient)
                    .run(backend);
            return gradient.toDoubles();
        }
    }
}
