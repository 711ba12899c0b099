package dev.logratio.internal.tensor;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import dev.logratio.DType;

import java.lang.foreign.MemorySegment;

/** Elements of every dtype in memory, by their offset in elements. */
final class Elements {
    private Elements() {}

    static double loadDouble(DType dtype, MemorySegment data, long offset) {
        return switch (dtype) {
            case F64 -> data.getAtIndex(JAVA_DOUBLE, offset);
            case F32 -> data.getAtIndex(JAVA_FLOAT, offset);
            case BF16 -> Floats.fromBfloat16(data.getAtIndex(JAVA_SHORT, offset));
            case F16 -> Float.float16ToFloat(data.getAtIndex(JAVA_SHORT, offset));
            case I64, I32, U8, BOOL -> loadLong(dtype, data, offset);
        };
    }

    static long loadLong(DType dtype, MemorySegment data, long offset) {
        return switch (dtype) {
            case I64 -> data.getAtIndex(JAVA_LONG, offset);
            case I32 -> data.getAtIndex(JAVA_INT, offset);
            case U8 -> data.get(JAVA_BYTE, offset) & 0xff;
            case BOOL -> data.get(JAVA_BYTE, offset) == 0 ? 0 : 1;
            case F64, F32, BF16, F16 -> throw new AssertionError(dtype);
        };
    }

    /** Sets an element, rounding once. */
    static void storeDouble(DType dtype, MemorySegment data, long offset, double value) {
        switch (dtype) {
            case F64 -> data.setAtIndex(JAVA_DOUBLE, offset, value);
            case F32 -> data.setAtIndex(JAVA_FLOAT, offset, (float) value);
            case BF16 -> data.setAtIndex(JAVA_SHORT, offset, Floats.toBfloat16(value));
            case F16 -> data.setAtIndex(JAVA_SHORT, offset, Floats.toFloat16(value));
            case I64, I32, U8, BOOL -> {
                // 2^63 as a double casts to the largest long, which is not it.
                if ((long) value != value || value == 0x1p63) {
                    throw new IllegalArgumentException("value " + value + " does not fit " + dtype);
                }
                storeLong(dtype, data, offset, (long) value);
            }
        }
    }

    static void storeLong(DType dtype, MemorySegment data, long offset, long value) {
        switch (dtype) {
            case I64 -> data.setAtIndex(JAVA_LONG, offset, value);
            case I32 -> {
                requireIn(dtype, value, Integer.MIN_VALUE, Integer.MAX_VALUE);
                data.setAtIndex(JAVA_INT, offset, (int) value);
            }
            case U8 -> {
                requireIn(dtype, value, 0, 255);
                data.set(JAVA_BYTE, offset, (byte) value);
            }
            case BOOL -> {
                requireIn(dtype, value, 0, 1);
                data.set(JAVA_BYTE, offset, (byte) value);
            }
            case F32 -> data.setAtIndex(JAVA_FLOAT, offset, (float) value);
            case F64, BF16, F16 -> storeDouble(dtype, data, offset, value);
        }
    }

    private static void requireIn(DType dtype, long value, long least, long most) {
        if (value < least || value > most) {
            throw new IllegalArgumentException("value " + value + " does not fit " + dtype);
        }
    }
}
