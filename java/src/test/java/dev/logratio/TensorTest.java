package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

class TensorTest {
    @Test
    void describesItself() {
        try (Arena arena = Arena.ofConfined()) {
            Tensor tensor = Tensor.zeros(arena, DType.BF16, 2, 3);
            assertEquals("BF16 [2, 3]", tensor.toString());
            assertArrayEquals(new long[] {3, 1}, tensor.strides());
            assertEquals(6, tensor.elementCount());
            assertEquals(12, tensor.segment().byteSize());
            assertEquals(0, tensor.address() % 64);
            assertEquals("F64 []", Tensor.zeros(arena, DType.F64).toString());
            assertEquals(1, Tensor.zeros(arena, DType.F64).elementCount());
            assertEquals(0, Tensor.zeros(arena, DType.F32, 3, 0).elementCount());
        }
    }

    @Test
    void viewsShareMemory() {
        try (Arena arena = Arena.ofConfined()) {
            Tensor tensor =
                    Tensor.of(arena, new long[] {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, 2, 3, 2);
            Tensor shifted = tensor.slice(1, 0, 2);
            assertArrayEquals(new long[] {2, 2, 2}, shifted.shape());
            assertFalse(shifted.isContiguous());
            assertArrayEquals(new long[] {0, 1, 2, 3, 6, 7, 8, 9}, shifted.toLongs());
            assertArrayEquals(new long[] {2, 3, 8, 9}, tensor.select(1, 1).toLongs());
            assertEquals(9, tensor.select(1, 1).select(0, 1).getLong(1));
            tensor.select(2, 0).fill(-1);
            assertArrayEquals(
                    new long[] {-1, 1, -1, 3, -1, 5, -1, 7, -1, 9, -1, 11}, tensor.toLongs());
            assertEquals(7, tensor.reshape(6, 2).getLong(3, 1));
            assertThrows(IllegalArgumentException.class, () -> shifted.reshape(8));
            assertThrows(IllegalArgumentException.class, () -> tensor.reshape(5, 2));
            assertEquals(0, tensor.slice(0, 2, 2).elementCount());
        }
    }

    @Test
    void convertsEachElementOnce() {
        try (Arena arena = Arena.ofConfined()) {
            double third = 1.0 / 3;
            for (DType dtype : new DType[] {DType.F64, DType.F32, DType.BF16, DType.F16}) {
                Tensor tensor =
                        Tensor.of(
                                arena,
                                dtype,
                                new double[] {third, -2, Double.NEGATIVE_INFINITY, Double.NaN},
                                4);
                double stored = tensor.getDouble(0);
                double precision =
                        Math.scalb(
                                1.0,
                                dtype == DType.F64
                                        ? -54
                                        : dtype == DType.F32 ? -25 : dtype == DType.F16 ? -12 : -9);
                assertEquals(third, stored, third * precision * 2);
                assertEquals(-2, tensor.getDouble(1));
                assertEquals(Double.NEGATIVE_INFINITY, tensor.getDouble(2));
                assertTrue(Double.isNaN(tensor.getDouble(3)));
            }
            for (DType dtype : DType.values()) {
                double[] ones = new double[7];
                Arrays.fill(ones, 1);
                assertArrayEquals(ones, Tensor.zeros(arena, dtype, 7).fill(1).toDoubles());
            }
            Tensor target = Tensor.zeros(arena, DType.F32, 3);
            target.copyFrom(Tensor.of(arena, new long[] {1, 1L << 53, -7}, 3));
            assertArrayEquals(new float[] {1, 0x1p53f, -7}, target.toFloats());
            assertArrayEquals(
                    new long[] {1, 0, 1},
                    Tensor.of(arena, new boolean[] {true, false, true}, 3).toLongs());
        }
    }

    @Test
    void refusesWhatDoesNotFit() {
        try (Arena arena = Arena.ofConfined()) {
            assertThrows(
                    IllegalArgumentException.class,
                    () -> Tensor.of(arena, DType.I32, new double[] {0x1p31}, 1));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> Tensor.of(arena, DType.I64, new double[] {0x1p63}, 1));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> Tensor.of(arena, DType.I64, new double[] {.5}, 1));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> Tensor.of(arena, DType.U8, new double[] {256}, 1));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> Tensor.of(DType.BOOL, new double[] {2}, 1));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> Tensor.of(arena, DType.F32, new double[] {1, 2}, 3));
            assertThrows(IllegalArgumentException.class, () -> Tensor.zeros(arena, DType.F32, -1));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> Tensor.zeros(arena, DType.F32, 1L << 40, 1L << 40));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> Tensor.zeros(arena, DType.F32, 1).getLong(0));
            assertThrows(
                    IndexOutOfBoundsException.class,
                    () -> Tensor.zeros(arena, DType.F32, 2).getDouble(2));
            assertThrows(
                    IndexOutOfBoundsException.class,
                    () -> Tensor.zeros(arena, DType.F32, 2).getDouble(0, 0));
            assertThrows(
                    IndexOutOfBoundsException.class,
                    () -> Tensor.zeros(arena, DType.F32, 2).slice(0, 1, 3));
        }
    }

    @Test
    void wrapsForeignMemoryWithoutACopy() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment segment = arena.allocate(ValueLayout.JAVA_FLOAT, 6);
            Tensor columns = Tensor.wrap(segment, DType.F32, new long[] {2, 3}, new long[] {1, 2});
            columns.setDouble(5, 1, 2);
            assertEquals(5, segment.getAtIndex(ValueLayout.JAVA_FLOAT, 5));
            assertEquals(segment.address(), columns.address());

            ByteBuffer buffer = ByteBuffer.allocateDirect(20).order(ByteOrder.nativeOrder());
            buffer.putInt(4, 77);
            assertEquals(77, Tensor.wrap(buffer.position(4), DType.I32, 4).getLong(0));

            Tensor foreign =
                    Tensor.ofAddress(
                            segment.address(), DType.F32, new long[] {6}, new long[] {1}, null);
            assertEquals(5, foreign.getDouble(5));
            foreign.close();
            assertEquals(
                    5, columns.getDouble(1, 2), "closing the view of an address leaves the memory");
        }
    }

    @Test
    void integersOfFourBytes() {
        try (Arena arena = Arena.ofConfined();
                Tensor owned = Tensor.of(new int[] {7, -8, Integer.MIN_VALUE}, 3)) {
            Tensor borrowed = Tensor.of(arena, new int[] {7, -8, Integer.MIN_VALUE}, 3, 1);
            for (Tensor tensor : new Tensor[] {owned, borrowed}) {
                assertEquals(DType.I32, tensor.dtype());
                assertArrayEquals(new long[] {7, -8, Integer.MIN_VALUE}, tensor.toLongs());
            }
            assertThrows(IllegalArgumentException.class, () -> Tensor.of(new int[2], 3));
        }
    }

    /** A new buffer is big-endian, whatever the machine is: its numbers would be misread. */
    @Test
    void refusesBuffersInAnotherByteOrder() {
        ByteBuffer buffer = ByteBuffer.allocateDirect(16).order(ByteOrder.BIG_ENDIAN);
        String message =
                assertThrows(
                                IllegalArgumentException.class,
                                () -> Tensor.wrap(buffer, DType.F32, 4))
                        .getMessage();
        assertEquals(
                "buffer of F32 [4] is BIG_ENDIAN, expected the machine's order: call"
                        + " buffer.order(ByteOrder.nativeOrder())",
                message);
    }

    @Test
    void refusesMemoryThatCannotServe() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment segment = arena.allocate(16, 8);
            assertThrows(IllegalArgumentException.class, () -> Tensor.wrap(segment, DType.F32, 5));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> Tensor.wrap(segment.asSlice(1), DType.F32, 1));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> Tensor.wrap(MemorySegment.ofArray(new float[4]), DType.F32, 4));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> Tensor.wrap(ByteBuffer.allocate(16), DType.F32, 4));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> Tensor.wrap(segment, DType.F32, new long[] {2}, new long[] {-1}));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> Tensor.wrap(segment, DType.F32, new long[] {2}, new long[] {1, 1}));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> Tensor.ofAddress(0, DType.F32, new long[] {1}, new long[] {1}, null));
        }
    }
}
