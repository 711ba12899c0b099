package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;

import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Random;

/**
 * The same bits for any number of threads, any batch around a row, any run, and any calls beside
 * it: what the suites of determinism share.
 */
abstract class SameBits {
    static final int VOCABULARY = 40_009;
    static final int ROWS = 10;
    static final int FEW_ROWS = 3;

    private int threads;

    @BeforeEach
    void rememberThreads() {
        threads = Logratio.threads();
    }

    @AfterEach
    void restoreThreads() {
        Logratio.setThreads(threads);
    }

    /** What an operation puts out for some of the rows, as bytes. */
    interface Operation {
        byte[][] run(int from, int to);
    }

    static void assertSameAnyway(int rows, Operation operation) {
        Logratio.setThreads(1);
        assertEquals(1, Logratio.threads());
        byte[][] one = operation.run(0, rows);
        byte[][] again = operation.run(0, rows);
        Logratio.setThreads(2);
        assertEquals(2, Logratio.threads());
        byte[][] two = operation.run(0, rows);
        for (int i = 0; i < one.length; i++) {
            assertArrayEquals(one[i], again[i], "second run");
            assertArrayEquals(one[i], two[i], "two threads");
        }
        for (int row : new int[] {0, rows / 2, rows - 1}) {
            byte[][] alone = operation.run(row, row + 1);
            for (int i = 0; i < one.length; i++) {
                int bytesPerRow = one[i].length / rows;
                byte[] within =
                        Arrays.copyOfRange(one[i], row * bytesPerRow, (row + 1) * bytesPerRow);
                assertArrayEquals(within, alone[i], "row " + row + " alone");
            }
        }
    }

    static Tensor random(Arena arena, DType dtype, int rows, long seed) {
        Random random = new Random(seed);
        Tensor logits = Tensor.zeros(arena, dtype, rows, VOCABULARY);
        for (int n = 0; n < rows; n++) {
            for (int k = 0; k < VOCABULARY; k++) {
                logits.setDouble(4 * random.nextGaussian(), n, k);
            }
        }
        return logits;
    }

    static byte[][] bytes(Tensor[] tensors) {
        return Arrays.stream(tensors).map(SameBits::bytes).toArray(byte[][]::new);
    }

    static byte[] bytes(Tensor tensor) {
        return tensor.segment().toArray(ValueLayout.JAVA_BYTE);
    }
}
