package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;

/** Rows with the columns that each keeps, every output, and the gradient. */
final class KeptRun {
    final Arena arena = Arena.ofAuto();
    final DType dtype;
    final Tensor logits;
    final Tensor labels;
    final TokenOptions options;
    final int[][] kept; // null: there are no sets
    final Tensor logp;
    final Tensor lse;
    final Tensor lse2;
    final Tensor entropy;
    final Tensor mean;
    final Tensor argmax;
    final Tensor outside;
    private final Tensor offsets;
    private final Tensor ids;

    private KeptRun(
            DType dtype,
            double[] logits,
            int vocabulary,
            long[] labels,
            TokenOptions options,
            int[][] kept,
            long... shape) {
        this.dtype = dtype;
        this.options = options;
        this.kept = kept;
        long[] withColumns = Arrays.copyOf(shape, shape.length + 1);
        withColumns[shape.length] = vocabulary;
        this.logits = Tensor.of(arena, dtype, logits, withColumns);
        this.labels = Tensor.of(arena, labels, shape);
        logp = Tensor.zeros(arena, DType.F64, shape);
        lse = Tensor.zeros(arena, DType.F64, shape);
        lse2 = Tensor.zeros(arena, DType.F64, shape);
        entropy = Tensor.zeros(arena, DType.F64, shape);
        mean = Tensor.zeros(arena, DType.F64, shape);
        argmax = Tensor.zeros(arena, DType.I64, shape);
        outside = Tensor.zeros(arena, DType.I64, 1);
        if (kept == null) {
            offsets = null;
            ids = null;
            return;
        }
        long[] ends = new long[kept.length + 1];
        for (int r = 0; r < kept.length; r++) {
            ends[r + 1] = ends[r] + kept[r].length;
        }
        long[] all = Arrays.stream(kept).flatMapToInt(Arrays::stream).asLongStream().toArray();
        offsets = Tensor.of(arena, ends, ends.length);
        ids = Tensor.of(arena, all, all.length);
    }

    static KeptRun of(
            DType dtype,
            double[] logits,
            int vocabulary,
            long[] labels,
            TokenOptions options,
            int[]... kept) {
        return new KeptRun(dtype, logits, vocabulary, labels, options, kept, labels.length);
    }

    KeptRun asSequences(long sequences, long tokens) {
        return new KeptRun(
                dtype,
                logits.toDoubles(),
                vocabulary(),
                labels.toLongs(),
                options,
                kept,
                sequences,
                tokens);
    }

    /** The same without sets, so that all columns count. */
    KeptRun withoutSets() {
        return new KeptRun(
                dtype,
                logits.toDoubles(),
                vocabulary(),
                labels.toLongs(),
                options,
                null,
                labels.shape());
    }

    /** Rows in F64 whose other columns are -inf. */
    KeptRun masked() {
        double[] values = logits.toDoubles();
        double[] masked = new double[values.length];
        Arrays.fill(masked, Double.NEGATIVE_INFINITY);
        for (int r = 0; r < kept.length; r++) {
            for (int column : kept[r]) {
                masked[r * vocabulary() + column] = values[r * vocabulary() + column];
            }
        }
        return new KeptRun(
                DType.F64, masked, vocabulary(), labels.toLongs(), options, null, labels.shape());
    }

    /** Rows that hold the kept columns and no others; all rows keep as many. */
    KeptRun gathered() {
        double[] values = logits.toDoubles();
        long[] places = labels.toLongs();
        for (int r = 0; r < kept.length; r++) {
            places[r] = Arrays.binarySearch(kept[r], (int) places[r]);
        }
        double[] gathered =
                IntStream.range(0, kept.length)
                        .boxed()
                        .flatMapToDouble(
                                r ->
                                        Arrays.stream(kept[r])
                                                .mapToDouble(k -> values[r * vocabulary() + k]))
                        .toArray();
        return new KeptRun(dtype, gathered, kept[0].length, places, options, null, labels.shape());
    }

    private int vocabulary() {
        return (int) logits.size(logits.rank() - 1);
    }

    long countOutside() {
        return IntStream.range(0, kept.length)
                .filter(r -> labels.toLongs()[r] != options.ignoreIndex())
                .filter(r -> isOutside(r))
                .count();
    }

    private boolean isOutside(int r) {
        return Arrays.binarySearch(kept[r], (int) labels.toLongs()[r]) < 0;
    }

    void forward(Backend backend) {
        TokenLogprobs call =
                TokenLogprobs.of(logits, labels)
                        .tokenOptions(options)
                        .logp(logp)
                        .lse(lse)
                        .lse2(lse2)
                        .entropy(entropy)
                        .argmax(argmax)
                        .meanLogit(mean);
        if (kept != null) {
            call.keptOffsets(offsets).keptIds(ids).outside(outside);
        }
        call.run(backend);
    }

    /** logp and lse, for which some backends take a shorter loop. */
    double[] least(Backend backend) {
        Tensor[] outputs = {
            Tensor.zeros(arena, DType.F64, labels.shape()),
            Tensor.zeros(arena, DType.F64, labels.shape())
        };
        TokenLogprobs call =
                TokenLogprobs.of(logits, labels)
                        .tokenOptions(options)
                        .logp(outputs[0])
                        .lse(outputs[1]);
        if (kept != null) {
            call.keptOffsets(offsets).keptIds(ids);
        }
        call.run(backend);
        return all(outputs);
    }

    double[] figures() {
        return all(logp, lse, lse2, entropy, mean);
    }

    private static double[] all(Tensor... tensors) {
        return Arrays.stream(tensors)
                .flatMapToDouble(tensor -> DoubleStream.of(tensor.toDoubles()))
                .toArray();
    }

    /** With an upstream of logp where the label is kept, and of the entropy. */
    double[] gradient(Backend backend, double ofLogp, double ofEntropy) {
        return gradient(backend, ofLogp, ofEntropy, lse, false);
    }

    private double[] gradient(
            Backend backend, double ofLogp, double ofEntropy, Tensor ofRows, boolean inPlace) {
        Tensor from = Tensor.of(arena, dtype, logits.toDoubles(), logits.shape());
        Tensor target =
                inPlace ? from : Tensor.zeros(arena, dtype, logits.shape()).fill(Double.NaN);
        Tensor gradLogp = Tensor.zeros(arena, DType.F64, labels.shape()).fill(ofLogp);
        double[] logps = logp.toDoubles();
        for (int r = 0; kept == null && r < logps.length; r++) {
            if (logps[r] == Double.NEGATIVE_INFINITY) {
                gradLogp.setDouble(0, r); // a label outside
            }
        }
        TokenLogprobsBackward call =
                TokenLogprobsBackward.of(from, labels, ofRows)
                        .tokenOptions(options)
                        .gradLogp(gradLogp)
                        .gradLogits(target);
        if (ofEntropy != 0) {
            Tensor gradEntropy = Tensor.zeros(arena, DType.F64, labels.shape()).fill(ofEntropy);
            call.entropy(entropy).gradEntropy(gradEntropy);
        }
        if (kept != null) {
            call.keptOffsets(offsets).keptIds(ids);
        }
        call.run(backend);
        return target.toDoubles();
    }

    /**
     * With an upstream of 1 of lse, and one of logp that is not used where the label is outside.
     */
    double[] gradientOfLse(Backend backend) {
        Tensor target = Tensor.zeros(arena, dtype, logits.shape()).fill(Double.NaN);
        Tensor ones = Tensor.zeros(arena, DType.F64, labels.shape()).fill(1);
        TokenLogprobsBackward.of(logits, labels, lse)
                .tokenOptions(options)
                .gradLse(ones)
                .gradLogp(ones)
                .gradLogits(target)
                .keptOffsets(offsets)
                .keptIds(ids)
                .run(backend);
        return target.toDoubles();
    }

    /** Compares the figures with those of exact rows. */
    void expect(KeptRun exact) {
        Expect.asPromised(this + " logp", DType.F32, exact.logp.toDoubles(), logp.toDoubles());
        Expect.asPromised(this + " lse", DType.F32, exact.lse.toDoubles(), lse.toDoubles());
        Expect.asPromised(this + " lse2", DType.F32, exact.lse2.toDoubles(), lse2.toDoubles());
        Expect.near(
                this + " entropy",
                exact.entropy.toDoubles(),
                entropy.toDoubles(),
                2e-5,
                3e-6,
                1e-6);
        Expect.near(
                this + " mean_logit", exact.mean.toDoubles(), mean.toDoubles(), 2e-5, 3e-6, 1e-6);
        assertArrayEquals(exact.argmax.toLongs(), argmax.toLongs(), this + " argmax");
    }

    /**
     * Compares every bit with a call of rows without sets: of the same columns, or of those that
     * are kept alone.
     */
    void requireSameBits(Backend backend, KeptRun plain, boolean isGathered) {
        if (isGathered) {
            for (int r = 0; r < kept.length; r++) {
                if (isOutside(r)) {
                    throw new AssertionError("a label outside has no place");
                }
            }
        }
        forward(backend);
        plain.forward(backend);
        requireEqual("figures", plain.figures(), figures());
        requireEqual("least", plain.least(backend), least(backend));
        long[] argmaxes = plain.argmax.toLongs();
        Arrays.setAll(argmaxes, r -> kept[r][(int) argmaxes[r]]);
        assertArrayEquals(argmaxes, argmax.toLongs(), this + " argmax");
        for (DType ofLse : new DType[] {DType.F64, DType.BF16}) {
            Tensor rounded = Tensor.of(arena, ofLse, lse.toDoubles(), labels.shape());
            for (double[] up : new double[][] {{1.5, 0}, {-2, .5}}) {
                double[] expected = plain.gradient(backend, up[0], up[1], rounded, false);
                for (boolean inPlace : new boolean[] {false, true}) {
                    double[] actual = gradient(backend, up[0], up[1], rounded, inPlace);
                    requireEqual(
                            "gradient of " + Arrays.toString(up) + ", lse " + ofLse,
                            isGathered ? scattered(expected) : expected,
                            actual);
                }
            }
        }
    }

    private double[] scattered(double[] values) {
        double[] all = new double[Math.toIntExact(logits.elementCount())];
        int place = 0;
        for (int r = 0; r < kept.length; r++) {
            for (int column : kept[r]) {
                all[r * vocabulary() + column] = values[place++];
            }
        }
        return all;
    }

    private void requireEqual(String what, double[] expected, double[] actual) {
        assertEquals(expected.length, actual.length, what);
        for (int k = 0; k < expected.length; k++) {
            int at = k;
            assertEquals(
                    Double.doubleToRawLongBits(expected[k]),
                    Double.doubleToRawLongBits(actual[k]),
                    () ->
                            "%s %s[%d] is %s, expected %s"
                                    .formatted(this, what, at, actual[at], expected[at]));
        }
    }

    @Override
    public String toString() {
        return logits + " " + options;
    }
}
