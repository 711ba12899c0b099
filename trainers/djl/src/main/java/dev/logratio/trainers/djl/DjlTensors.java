package dev.logratio.trainers.djl;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.index.NDIndex;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;

import dev.logratio.DType;
import dev.logratio.Tensor;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Objects;

/**
 * Views of DJL's arrays as tensors of this library. (DJL 0.36's PyTorch engine has no BFLOAT16:
 * making such an array ends the JVM.)
 *
 * @since 0.1.0
 */
public final class DjlTensors {
    private DjlTensors() {}

    /**
     * Views an array without a copy: a value written to one is seen in the other.
     *
     * <p>The view does not keep the array's memory alive. The array must stay open as long as the
     * view is used.
     *
     * @param name names the array in error messages
     * @param array a dense, contiguous array of any shape in the CPU's memory; FLOAT64, FLOAT32,
     *     FLOAT16, INT64, INT32, UINT8 or BOOLEAN
     * @return a contiguous tensor of the array's shape and type
     * @throws IllegalArgumentException if the array lies on another device, is not contiguous, or
     *     has a type that tensors do not have
     * @throws NullPointerException if the array is null; the message is its name
     */
    public static Tensor view(String name, NDArray array) {
        Objects.requireNonNull(array, name);
        if (!Device.cpu().equals(array.getDevice())) {
            throw new IllegalArgumentException(
                    name
                            + " lies on "
                            + array.getDevice()
                            + "; expected an array on the CPU, as DJL hands out no device pointers:"
                            + " array.toDevice(Device.cpu(), false) makes one, and logratio-pytorch"
                            + " works on the GPU");
        }
        DType dtype = dtype(name, array.getDataType());
        long[] shape = array.getShape().getShape();
        long[] strides = contiguousStrides(shape);
        if (array.size() == 0) {
            return Tensor.ofAddress(0, dtype, shape, strides, null);
        }
        // DJL's direct buffer of an array that is not contiguous is one of a copy, made anew each
        // time: two addresses give it away.
        // The first element's buffer stands for the whole, since a buffer cannot hold 2 GiB or
        // more.
        try (NDArray flat = array.reshape(-1);
                NDArray again = array.reshape(-1);
                NDArray first = flat.get(new NDIndex("0:1"));
                NDArray firstAgain = again.get(new NDIndex("0:1"))) {
            long address = address(first);
            if (address != address(firstAgain)) {
                throw new IllegalArgumentException(
                        name
                                + " is not contiguous; expected a contiguous array"
                                + " (array.duplicate() makes one)");
            }
            return Tensor.ofAddress(address, dtype, shape, strides, null);
        }
    }

    private static long address(NDArray array) {
        return MemorySegment.ofBuffer(array.toByteBuffer(true)).address();
    }

    private static long[] contiguousStrides(long[] shape) {
        long[] strides = new long[shape.length];
        long stride = 1;
        for (int dim = shape.length - 1; dim >= 0; dim--) {
            strides[dim] = stride;
            stride *= shape[dim];
        }
        return strides;
    }

    private static DType dtype(String name, DataType type) {
        return switch (type) {
            case FLOAT64 -> DType.F64;
            case FLOAT32 -> DType.F32;
            case FLOAT16 -> DType.F16;
            case INT64 -> DType.I64;
            case INT32 -> DType.I32;
            case UINT8 -> DType.U8;
            case BOOLEAN -> DType.BOOL;
            default ->
                    throw new IllegalArgumentException(
                            name
                                    + " is of type "
                                    + type
                                    + "; expected FLOAT64, FLOAT32, FLOAT16, INT64, INT32, UINT8 or"
                                    + " BOOLEAN");
        };
    }

    /** A float array as [N,V] rows; null of null. */
    static Tensor rows(String name, NDArray array) {
        if (array == null) {
            return null;
        }
        long columns = array.getShape().getLastDimension();
        return view(name, array).reshape(columns == 0 ? 0 : array.size() / columns, columns);
    }

    /** An array as one dimension; null of null. */
    static Tensor flat(String name, NDArray array) {
        return array == null ? null : view(name, array).reshape(array.size());
    }

    static NDArray emptyLike(NDArray logits) {
        return logits.getManager().create(logits.getShape(), logits.getDataType());
    }

    static NDArray only(String name, NDList list) {
        if (list.size() != 1) {
            throw new IllegalArgumentException(
                    name + " hold " + list.size() + " arrays; expected one");
        }
        return list.singletonOrThrow();
    }

    static void checkRows(String name, NDArray logits) {
        Objects.requireNonNull(logits, name);
        checkType(name, "is", logits);
        if (logits.getShape().dimension() < 2) {
            throw new IllegalArgumentException(
                    name + " has shape " + logits.getShape() + "; expected [N,V] or [B,T,V]");
        }
    }

    private static void checkType(String name, String is, NDArray logits) {
        switch (logits.getDataType()) {
            case FLOAT32, FLOAT16 -> {}
            default ->
                    throw new IllegalArgumentException(
                            name
                                    + " "
                                    + is
                                    + " of type "
                                    + logits.getDataType()
                                    + "; expected FLOAT32 or FLOAT16");
        }
    }

    static void checkLogits(NDArray logits, NDArray labels) {
        Objects.requireNonNull(logits, "logits");
        Objects.requireNonNull(labels, "labels");
        checkType("logits", "are", logits);
        long[] rows = logits.getShape().getShape();
        if (rows.length < 2
                || !Arrays.equals(
                        Arrays.copyOf(rows, rows.length - 1), labels.getShape().getShape())) {
            Shape expected = labels.getShape();
            throw new IllegalArgumentException(
                    "logits have shape "
                            + logits.getShape()
                            + "; expected the labels' shape "
                            + expected
                            + " and the vocabulary after it");
        }
    }
}
