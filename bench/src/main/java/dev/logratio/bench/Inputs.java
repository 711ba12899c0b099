package dev.logratio.bench;

import dev.logratio.DType;
import dev.logratio.Tensor;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.SplittableRandom;
import java.util.stream.DoubleStream;

/** Random inputs with a fixed seed, made fast enough for gigabytes. */
final class Inputs {
    private static final long SEED = 20240611;
    private static final double LOGIT_SPREAD = 3;

    /** Starts of rows within the table: many, so that rows differ. */
    private static final int TABLE_STARTS = 1 << 18;

    private Inputs() {}

    /**
     * A source of logits rows of {@code columns} normal values of standard deviation 3. Drawing a
     * gigabyte of normal values takes seconds, so each row is a window of one table, at a random
     * start.
     */
    static final class LogitRows {
        private final DType dtype;
        private final long rowBytes;
        private final MemorySegment table;

        LogitRows(Arena arena, DType dtype, int columns) {
            this(arena, dtype, columns, LOGIT_SPREAD);
        }

        /** With another standard deviation. */
        LogitRows(Arena arena, DType dtype, int columns, double spread) {
            double[] values = normal(SEED, 0, spread, TABLE_STARTS + columns);
            this.dtype = dtype;
            this.rowBytes = (long) columns * dtype.bytes();
            this.table = Tensor.of(arena, dtype, values, values.length).segment();
        }

        /** Fills contiguous logits, each time with the same values. */
        void fill(Tensor logits) {
            SplittableRandom random = new SplittableRandom(SEED);
            MemorySegment memory = logits.segment();
            for (long offset = 0; offset < memory.byteSize(); offset += rowBytes) {
                long start = (long) random.nextInt(TABLE_STARTS) * dtype.bytes();
                MemorySegment.copy(table, start, memory, offset, rowBytes);
            }
        }
    }

    /** Labels in [0, columns). */
    static Tensor labels(Arena arena, int columns, long... shape) {
        return Tensor.of(
                arena,
                new SplittableRandom(SEED).longs(product(shape), 0, columns).toArray(),
                shape);
    }

    /** Sequence log-probs of pairs around -60 nats, F32; another seed gives others. */
    static Tensor sequenceLogps(Arena arena, int seed, int pairs) {
        return Tensor.of(arena, DType.F32, normal(SEED + seed, -60, 4, pairs), pairs);
    }

    private static double[] normal(long seed, double mean, double spread, int count) {
        SplittableRandom random = new SplittableRandom(seed);
        return DoubleStream.generate(() -> mean + spread * random.nextGaussian())
                .limit(count)
                .toArray();
    }

    private static long product(long[] shape) {
        long product = 1;
        for (long size : shape) {
            product *= size;
        }
        return product;
    }
}
