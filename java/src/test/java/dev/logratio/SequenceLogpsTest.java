package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.logratio.SequenceOptions.Align;
import dev.logratio.SequenceOptions.Reduction;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.stream.Stream;

class SequenceLogpsTest {
    private static final double NAN = Double.NaN;

    /** A pair of 4 and 6 tokens after a prompt of one; NaN where nothing counts. */
    private static final double[] TOKENS = {
        NAN, -1, -2, -.5, -.5, NAN, NAN, //
        NAN, -1, -3, -.5, -.25, -.75, -.5
    };

    private static final double[] MASK = {
        0, 1, 1, 1, 1, 0, 0, //
        0, 1, 1, 1, 1, 1, 1
    };

    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    @ParameterizedTest
    @MethodSource("backends")
    void sumAndMean(Backend backend) {
        assertReduces(
                backend,
                SequenceOptions.DEFAULT,
                MASK,
                new double[] {-4, -6},
                new double[] {4, 6},
                MASK);
        double[] gradient = {
            0, .25, .25, .25, .25, 0, 0, 0, 1. / 6, 1. / 6, 1. / 6, 1. / 6, 1. / 6, 1. / 6
        };
        assertReduces(
                backend,
                SequenceOptions.DEFAULT.withReduction(Reduction.MEAN),
                MASK,
                new double[] {-1, -1},
                new double[] {4, 6},
                gradient);
    }

    @ParameterizedTest
    @MethodSource("backends")
    void sharedPrefix(Backend backend) {
        SequenceOptions poet = SequenceOptions.DEFAULT.withTailWeight(0);
        double[] kept = {0, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 0, 0};
        assertReduces(backend, poet, MASK, new double[] {-4, -4.75}, new double[] {4, 4}, kept);
        double[] quarter = {0, .25, .25, .25, .25, 0, 0, 0, .25, .25, .25, .25, 0, 0};
        assertReduces(
                backend,
                poet.withReduction(Reduction.MEAN),
                MASK,
                new double[] {-1, -1.1875},
                new double[] {4, 4},
                quarter);
        double[] half = {0, 1, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0};
        assertReduces(
                backend,
                poet.withKeepFraction(.6),
                MASK,
                new double[] {-3, -4},
                new double[] {2, 2},
                half);
        double[] one = {0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0};
        assertReduces(
                backend,
                poet.withKeepFraction(.01),
                MASK,
                new double[] {-1, -1},
                new double[] {1, 1},
                one);
        double[] tail = {0, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, .5, .5};
        assertReduces(
                backend,
                poet.withTailWeight(.5),
                MASK,
                new double[] {-4, -5.375},
                new double[] {4, 5},
                tail);
    }

    /**
     * A completion that starts a column later: by position nothing is lost, by column two tokens
     * are.
     */
    @ParameterizedTest
    @MethodSource("backends")
    void alignment(Backend backend) {
        double[] mask = {
            0, 1, 1, 1, 1, 0, 0, //
            0, 0, 1, 1, 1, 1, 1
        };
        SequenceOptions poet = SequenceOptions.DEFAULT.withTailWeight(0);
        double[] byPosition = {0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 0};
        assertReduces(
                backend, poet, mask, new double[] {-4, -4.5}, new double[] {4, 4}, byPosition);
        double[] byColumn = {0, 0, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 0};
        assertReduces(
                backend,
                poet.withAlign(Align.ABSOLUTE),
                mask,
                new double[] {-3, -3.75},
                new double[] {3, 3},
                byColumn);
        double[] first = {0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0};
        assertReduces(
                backend,
                poet.withAlign(Align.ABSOLUTE).withKeepFraction(.7),
                mask,
                new double[] {-2.5, -3.5},
                new double[] {2, 2},
                first);
    }

    @ParameterizedTest
    @MethodSource("backends")
    void weightsMultiply(Backend backend) {
        double[] mask = {0, .5, 2, 0, 0, 0, 0, 0, .25, 0, 0, .5, 0, 0};
        assertReduces(
                backend,
                SequenceOptions.DEFAULT,
                mask,
                new double[] {-4.5, -.375},
                new double[] {2.5, .75},
                mask);
        double[] gradient = {0, .2, .8, 0, 0, 0, 0, 0, .25, 0, 0, .5, 0, 0};
        assertReduces(
                backend,
                SequenceOptions.DEFAULT.withReduction(Reduction.MEAN),
                mask,
                new double[] {-1.8, -.375},
                new double[] {2.5, .75},
                gradient);
    }

    @ParameterizedTest
    @MethodSource("backends")
    void emptyCompletions(Backend backend) {
        double[] none = new double[14];
        for (Reduction reduction : Reduction.values()) {
            for (Align align : Align.values()) {
                SequenceOptions options = new SequenceOptions(reduction, 0, align, .5);
                assertReduces(backend, options, none, new double[2], new double[2], none);
            }
        }
        // One empty completion leaves nothing to share, so that the other's tokens are all tail.
        double[] mask = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1};
        assertReduces(
                backend,
                SequenceOptions.DEFAULT.withTailWeight(0),
                mask,
                new double[2],
                new double[2],
                none);
    }

    @ParameterizedTest
    @MethodSource("backends")
    void masksOfAnyType(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor tokens = Tensor.of(arena, DType.F32, new double[] {-1, -2, -4}, 1, 3);
            Tensor bytes = Tensor.of(arena, DType.U8, new double[] {0, 255, 1}, 1, 3);
            Tensor flags = Tensor.of(arena, new boolean[] {false, true, true}, 1, 3);
            for (Tensor mask : new Tensor[] {bytes, flags}) {
                Tensor logps = Tensor.zeros(arena, DType.F16, 1);
                Tensor counts = Tensor.zeros(arena, DType.BF16, 1);
                SequenceLogps.of(tokens, mask).logps(logps).counts(counts).run(backend);
                assertEquals(-6, logps.getDouble(0));
                assertEquals(2, counts.getDouble(0));
            }
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void gradientWithoutTokens(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor mask = Tensor.of(arena, new boolean[] {true, false, true, true}, 2, 2);
            Tensor gradient = Tensor.zeros(arena, DType.F64, 2, 2);
            SequenceLogps.of(null, mask)
                    .sequenceOptions(SequenceOptions.DEFAULT.withReduction(Reduction.MEAN))
                    .gradLogps(Tensor.of(arena, DType.F64, new double[] {3, -4}, 2))
                    .gradTokenLogps(gradient)
                    .run(backend);
            assertArrayEquals(new double[] {3, 0, -2, -2}, gradient.toDoubles());
        }
    }

    /** With upstream gradients (1, 1), on strided tensors. */
    private static void assertReduces(
            Backend backend,
            SequenceOptions options,
            double[] mask,
            double[] logps,
            double[] counts,
            double[] gradient) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor tokens = Tensor.zeros(arena, DType.F64, 2, 9).slice(1, 1, 8);
            tokens.copyFrom(Tensor.of(arena, DType.F64, TOKENS, 2, 7));
            Tensor weights = Tensor.zeros(arena, DType.F32, 7, 2);
            Tensor columns =
                    Tensor.wrap(weights.segment(), DType.F32, new long[] {2, 7}, new long[] {1, 2});
            columns.copyFrom(Tensor.of(arena, DType.F32, mask, 2, 7));
            Tensor outLogps = Tensor.zeros(arena, DType.F64, 2);
            Tensor outCounts = Tensor.zeros(arena, DType.F64, 2);
            Tensor outGradient = Tensor.zeros(arena, DType.F64, 2, 7).fill(NAN);
            SequenceLogps.of(tokens, columns)
                    .sequenceOptions(options)
                    .gradLogps(Tensor.of(arena, DType.F64, new double[] {1, 1}, 2))
                    .logps(outLogps)
                    .counts(outCounts)
                    .gradTokenLogps(outGradient)
                    .run(backend);
            Expect.exact("logps", logps, outLogps.toDoubles());
            Expect.exact("counts", counts, outCounts.toDoubles());
            Expect.exact("grad_token_logps", gradient, outGradient.toDoubles());
        }
    }
}
