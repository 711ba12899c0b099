package dev.logratio.safetensors;

import java.util.Arrays;

/**
 * A tensor as a file describes it.
 *
 * @param dtype the format's name of the element type, such as {@code "F32"}; not each has a {@link
 *     dev.logratio.DType}
 * @param shape sizes &ge; 0, empty for a scalar
 * @since 0.1.0
 */
public record TensorInfo(String dtype, long[] shape) {
    /** Takes a copy of the shape. */
    public TensorInfo {
        shape = shape.clone();
    }

    /**
     * The sizes.
     *
     * @return a copy
     */
    @Override
    public long[] shape() {
        return shape.clone();
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof TensorInfo info
                && dtype.equals(info.dtype)
                && Arrays.equals(shape, info.shape);
    }

    @Override
    public int hashCode() {
        return 31 * dtype.hashCode() + Arrays.hashCode(shape);
    }

    /** Such as {@code "F32 [2, 3]"}. */
    @Override
    public String toString() {
        return dtype + " " + Arrays.toString(shape);
    }
}
