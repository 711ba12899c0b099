package dev.logratio.internal.tensor;

import dev.logratio.DType;

import java.util.Arrays;
import java.util.Objects;

/** Arithmetic on shapes and strides, in elements unless said otherwise. */
final class Shapes {
    private Shapes() {}

    static long elementCount(long[] shape) {
        Objects.requireNonNull(shape, "shape");
        long count = 1;
        boolean empty = false;
        for (long size : shape) {
            requireNonNegative(size, shape);
            empty |= size == 0;
        }
        try {
            for (long size : shape) {
                count = empty ? 0 : Math.multiplyExact(count, size);
            }
        } catch (ArithmeticException e) {
            throw new IllegalArgumentException(
                    "shape " + Arrays.toString(shape) + " has more than 2^63 elements");
        }
        return count;
    }

    private static void requireNonNegative(long size, long[] shape) {
        if (size < 0) {
            throw new IllegalArgumentException(
                    "shape is " + Arrays.toString(shape) + ", expected sizes >= 0");
        }
    }

    static void requireElements(long count, long[] shape) {
        if (elementCount(shape) != count) {
            throw new IllegalArgumentException(
                    "shape is "
                            + Arrays.toString(shape)
                            + ", expected one of "
                            + count
                            + " elements");
        }
    }

    static long[] contiguousStrides(long[] shape) {
        Objects.requireNonNull(shape, "shape");
        long[] strides = new long[shape.length];
        long stride = 1;
        try {
            for (int d = shape.length - 1; d >= 0; d--) {
                strides[d] = stride;
                stride = Math.multiplyExact(stride, Math.max(shape[d], 1));
            }
        } catch (ArithmeticException e) {
            throw tooLarge(shape, strides);
        }
        return strides;
    }

    static boolean isContiguous(long[] shape, long[] strides) {
        long stride = 1;
        for (int d = shape.length - 1; d >= 0; d--) {
            if (shape[d] == 0) {
                return true;
            }
            if (shape[d] != 1 && strides[d] != stride) {
                return false;
            }
            stride *= shape[d];
        }
        return true;
    }

    /** Bytes from the first element to the end of the last; 0 if there is none. */
    static long extentBytes(DType dtype, long[] shape, long[] strides) {
        Objects.requireNonNull(dtype, "dtype");
        Objects.requireNonNull(shape, "shape");
        Objects.requireNonNull(strides, "strides");
        if (shape.length != strides.length) {
            throw new IllegalArgumentException(
                    "strides are "
                            + Arrays.toString(strides)
                            + ", expected one for each size of "
                            + Arrays.toString(shape));
        }
        boolean empty = false;
        long last = 0;
        try {
            for (int d = 0; d < shape.length; d++) {
                requireNonNegative(shape[d], shape);
                if (strides[d] < 0) {
                    throw new IllegalArgumentException(
                            "strides are " + Arrays.toString(strides) + ", expected numbers >= 0");
                }
                empty |= shape[d] == 0;
                last =
                        Math.addExact(
                                last, Math.multiplyExact(Math.max(shape[d] - 1, 0), strides[d]));
            }
            return empty ? 0 : Math.multiplyExact(Math.addExact(last, 1), (long) dtype.bytes());
        } catch (ArithmeticException e) {
            throw tooLarge(shape, strides);
        }
    }

    private static IllegalArgumentException tooLarge(long[] shape, long[] strides) {
        return new IllegalArgumentException(
                "shape "
                        + Arrays.toString(shape)
                        + " with strides "
                        + Arrays.toString(strides)
                        + " is larger than any memory");
    }
}
