package dev.logratio;

import dev.logratio.internal.tensor.StridedTensor;
import dev.logratio.internal.tensor.Tensors;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;

/**
 * A strided view of numbers outside the Java heap: dtype, shape and strides over a {@link
 * MemorySegment}, or over the memory of a CUDA device. Slicing, selecting and reshaping are free,
 * and foreign memory is wrapped without a copy.
 *
 * <p>Ownership is explicit. A tensor from {@link #zeros(DType, long...)}, an {@code of} without an
 * arena, or {@link #ofAddress} owns its memory, and {@link #close} frees it for the tensor and all
 * its views. Any thread may close it, and opening and closing take less than a microsecond, for
 * memory at an address and small new tensors, however busy other threads are. Owned memory cannot
 * be closed while an operation or another method uses it. Use after close is an {@link
 * IllegalStateException}.
 *
 * <p>Every other tensor borrows: closing it does nothing, and its memory goes with its arena or
 * whatever else holds it. The arena must stay open until every operation on its tensors has
 * returned. To close a shared arena ({@link Arena#ofShared}), Java waits for every thread of the
 * process, which takes milliseconds where they are busy. A confined arena has no such wait, nor has
 * an owned tensor.
 *
 * <p>The host cannot read the memory of a device: methods that read or write elements are an {@link
 * IllegalStateException} there, and {@link dev.logratio.cuda.CudaTensors} copies between the two.
 * All else is the same on both.
 *
 * <p>Reading from several threads is safe; writing is as safe as writing an array is. A tensor in a
 * confined arena belongs to the arena's thread.
 *
 * <p>Every factory that takes values and a shape throws an {@link IllegalArgumentException} if the
 * shape has another number of elements.
 *
 * {@snippet file="Examples.java" region="memory"}
 *
 * @since 0.1.0
 */
public sealed interface Tensor extends AutoCloseable permits StridedTensor {
    // ---- New tensors ----

    /**
     * {@return a new tensor of zeros that owns its memory; close it}
     *
     * @param dtype element type
     * @param shape sizes, each &ge; 0; none for a single number
     * @throws IllegalArgumentException if a size is negative or the whole too large
     */
    static Tensor zeros(DType dtype, long... shape) {
        return Tensors.zeros(dtype, shape);
    }

    /**
     * {@return a new tensor of zeros in an arena}
     *
     * @param arena frees the memory when it is closed
     * @param dtype element type
     * @param shape sizes, each &ge; 0; none for a single number
     * @throws IllegalArgumentException if a size is negative or the whole too large
     */
    static Tensor zeros(Arena arena, DType dtype, long... shape) {
        return Tensors.zeros(arena, dtype, shape);
    }

    /**
     * {@return a new tensor that owns its memory, of values rounded once to the dtype; close it}
     *
     * @param dtype element type
     * @param values row-major
     * @param shape sizes
     * @throws IllegalArgumentException if an integer dtype cannot hold a value
     */
    static Tensor of(DType dtype, double[] values, long... shape) {
        return Tensors.of(dtype, values, shape);
    }

    /**
     * {@return a new tensor in an arena, of values rounded once to the dtype}
     *
     * @param arena frees the memory when it is closed
     * @param dtype element type
     * @param values row-major
     * @param shape sizes
     * @throws IllegalArgumentException if an integer dtype cannot hold a value
     */
    static Tensor of(Arena arena, DType dtype, double[] values, long... shape) {
        return Tensors.of(arena, dtype, values, shape);
    }

    /**
     * {@return a new F32 tensor that owns its memory; close it}
     *
     * @param values row-major
     * @param shape sizes
     */
    static Tensor of(float[] values, long... shape) {
        return Tensors.of(values, shape);
    }

    /**
     * {@return a new F32 tensor in an arena}
     *
     * @param arena frees the memory when it is closed
     * @param values row-major
     * @param shape sizes
     */
    static Tensor of(Arena arena, float[] values, long... shape) {
        return Tensors.of(arena, values, shape);
    }

    /**
     * {@return a new I64 tensor that owns its memory; close it}
     *
     * @param values row-major
     * @param shape sizes
     */
    static Tensor of(long[] values, long... shape) {
        return Tensors.of(values, shape);
    }

    /**
     * {@return a new I64 tensor in an arena}
     *
     * @param arena frees the memory when it is closed
     * @param values row-major
     * @param shape sizes
     */
    static Tensor of(Arena arena, long[] values, long... shape) {
        return Tensors.of(arena, values, shape);
    }

    /**
     * {@return a new I32 tensor that owns its memory; close it}
     *
     * @param values row-major
     * @param shape sizes
     */
    static Tensor of(int[] values, long... shape) {
        return Tensors.of(values, shape);
    }

    /**
     * {@return a new I32 tensor in an arena}
     *
     * @param arena frees the memory when it is closed
     * @param values row-major
     * @param shape sizes
     */
    static Tensor of(Arena arena, int[] values, long... shape) {
        return Tensors.of(arena, values, shape);
    }

    /**
     * {@return a new BOOL tensor that owns its memory; close it}
     *
     * @param values row-major
     * @param shape sizes
     */
    static Tensor of(boolean[] values, long... shape) {
        return Tensors.of(values, shape);
    }

    /**
     * {@return a new BOOL tensor in an arena}
     *
     * @param arena frees the memory when it is closed
     * @param values row-major
     * @param shape sizes
     */
    static Tensor of(Arena arena, boolean[] values, long... shape) {
        return Tensors.of(arena, values, shape);
    }

    // ---- Foreign memory, without a copy ----

    /**
     * {@return a contiguous tensor over the beginning of a segment} The segment keeps its owner,
     * and its arena must stay open until every operation on the tensor has returned.
     *
     * @param segment native memory, aligned to the dtype's size
     * @param dtype element type
     * @param shape sizes
     * @throws IllegalArgumentException if the segment is on the Java heap, too small or not aligned
     */
    static Tensor wrap(MemorySegment segment, DType dtype, long... shape) {
        return Tensors.wrap(segment, dtype, shape);
    }

    /**
     * {@return a strided tensor over a segment, its first element at the segment's beginning} The
     * segment keeps its owner, and its arena must stay open until every operation on the tensor has
     * returned.
     *
     * @param segment native memory, aligned to the dtype's size
     * @param dtype element type
     * @param shape sizes
     * @param strides elements from one index to the next in each dimension, &ge; 0
     * @throws IllegalArgumentException if the segment is on the Java heap, too small or not
     *     aligned, or a stride is negative
     */
    static Tensor wrap(MemorySegment segment, DType dtype, long[] shape, long[] strides) {
        return Tensors.wrap(segment, dtype, shape, strides);
    }

    /**
     * {@return a contiguous tensor over a direct buffer from its position on, which it keeps alive}
     *
     * @param buffer a direct buffer in the machine's byte order ({@link
     *     java.nio.ByteOrder#nativeOrder}; a new buffer is big-endian until its order is set); at
     *     most 2 GiB, unlike a segment
     * @param dtype element type
     * @param shape sizes
     * @throws IllegalArgumentException if the buffer is not direct or in another byte order, or
     *     what remains of it is too small or not aligned
     */
    static Tensor wrap(ByteBuffer buffer, DType dtype, long... shape) {
        return Tensors.wrap(buffer, dtype, shape);
    }

    /**
     * {@return a tensor over host memory at an address; close it} The caller vouches that the
     * memory is there for as long as the tensor is open. (This is a restricted operation: Java
     * wants {@code --enable-native-access}, as for the native library.)
     *
     * @param address that of the first element, a multiple of the dtype's size
     * @param dtype element type
     * @param shape sizes
     * @param strides elements from one index to the next in each dimension, &ge; 0
     * @param onClose runs once, when the tensor is closed; may be {@code null}
     * @throws IllegalArgumentException if the address is not aligned or a stride is negative
     */
    static Tensor ofAddress(
            long address, DType dtype, long[] shape, long[] strides, Runnable onClose) {
        return Tensors.ofAddress(address, dtype, shape, strides, onClose);
    }

    /**
     * {@return a tensor over memory at an address on a device: a pointer of PyTorch, cuDNN or any
     * other library; close it} The caller vouches that the memory is there for as long as the
     * tensor is open and calls that were given it run.
     *
     * @param device where the memory is
     * @param address that of the first element, a multiple of the dtype's size
     * @param dtype element type
     * @param shape sizes
     * @param strides elements from one index to the next in each dimension, &ge; 0
     * @param onClose runs once, when the tensor is closed; may be {@code null}
     * @throws IllegalArgumentException if the address is not aligned or a stride is negative
     */
    static Tensor ofAddress(
            Device device,
            long address,
            DType dtype,
            long[] shape,
            long[] strides,
            Runnable onClose) {
        return Tensors.ofAddress(device, address, dtype, shape, strides, onClose);
    }

    /**
     * {@return a contiguous tensor over memory at an address on a device, as above; close it}
     *
     * @param device where the memory is
     * @param address that of the first element, a multiple of the dtype's size
     * @param dtype element type
     * @param shape sizes
     * @param onClose runs once, when the tensor is closed; may be {@code null}
     * @throws IllegalArgumentException if the address is not aligned
     */
    static Tensor ofAddress(
            Device device, long address, DType dtype, long[] shape, Runnable onClose) {
        return Tensors.ofAddress(device, address, dtype, shape, onClose);
    }

    // ---- What it is ----

    /** {@return where the memory is: the host or a CUDA device} */
    Device device();

    /** {@return the element type} */
    DType dtype();

    /** {@return the sizes of all dimensions, a copy} */
    long[] shape();

    /** {@return the strides of all dimensions in elements, a copy} */
    long[] strides();

    /** {@return the number of dimensions, 0 for a single number} */
    int rank();

    /**
     * {@return the size of a dimension}
     *
     * @param dim from 0
     * @throws IndexOutOfBoundsException if there is no such dimension
     */
    long size(int dim);

    /** {@return the number of elements, the product of the sizes} */
    long elementCount();

    /**
     * {@return whether the elements lie side by side in row-major order, as those of every new
     * tensor do}
     */
    boolean isContiguous();

    /**
     * The memory from the first element to the last. The segment of an owned tensor is closed with
     * it. From then on an access is an {@link IllegalStateException}, and closing the tensor takes
     * as long as closing a shared arena does: milliseconds where other threads are busy. {@link
     * #fill}, {@link #copyFrom} and the methods that read or write elements have no such cost.
     *
     * @return a segment that lives as long as the tensor's memory
     * @throws IllegalStateException if the tensor is closed or on a device
     */
    MemorySegment segment();

    /**
     * {@return the address of the first element, good for as long as the memory is open}
     *
     * @throws IllegalStateException if the tensor is closed
     */
    long address();

    /**
     * Dtype and shape, as in {@code "F32 [2, 3]"}, and the device if it is one: {@code "F32 [2, 3]
     * on CUDA 0"}.
     */
    @Override
    String toString();

    // ---- Views, which close with this tensor's memory ----

    /**
     * {@return the part of a dimension from one index to another}
     *
     * @param dim from 0
     * @param from first index
     * @param to index after the last
     * @throws IndexOutOfBoundsException unless 0 &le; from &le; to &le; size(dim)
     */
    Tensor slice(int dim, long from, long to);

    /**
     * {@return one index of a dimension, without that dimension}
     *
     * @param dim from 0
     * @param index from 0
     * @throws IndexOutOfBoundsException unless 0 &le; index &lt; size(dim)
     */
    Tensor select(int dim, long index);

    /**
     * {@return the same elements in row-major order under another shape}
     *
     * @param shape sizes, with the same number of elements
     * @throws IllegalArgumentException if the number of elements differs or this tensor is not
     *     contiguous
     */
    Tensor reshape(long... shape);

    // ---- Elements: an IllegalStateException if the tensor is closed or on a device ----

    /**
     * {@return an element as a double, whatever the dtype}
     *
     * @param index one index per dimension
     * @throws IndexOutOfBoundsException if an index is out of bounds
     */
    double getDouble(long... index);

    /**
     * {@return an element of an integer, U8 or BOOL tensor}
     *
     * @param index one index per dimension
     * @throws IllegalArgumentException if the dtype is a float
     * @throws IndexOutOfBoundsException if an index is out of bounds
     */
    long getLong(long... index);

    /**
     * Sets an element, rounding once.
     *
     * @param value the value
     * @param index one index per dimension
     * @throws IllegalArgumentException if the dtype is not a float and cannot hold the value
     * @throws IndexOutOfBoundsException if an index is out of bounds
     */
    void setDouble(double value, long... index);

    /**
     * Sets an element; a float dtype rounds.
     *
     * @param value the value
     * @param index one index per dimension
     * @throws IllegalArgumentException if the dtype is not a float and cannot hold the value
     * @throws IndexOutOfBoundsException if an index is out of bounds
     */
    void setLong(long value, long... index);

    /** {@return all elements as doubles, a new array, row-major} */
    double[] toDoubles();

    /** {@return all elements as floats, F64 rounded to nearest, a new array, row-major} */
    float[] toFloats();

    /**
     * {@return all elements of an integer, U8 or BOOL tensor, a new array, row-major}
     *
     * @throws IllegalArgumentException if the dtype is a float
     */
    long[] toLongs();

    /**
     * Sets every element to one value, rounding once.
     *
     * @param value the value
     * @return this
     * @throws IllegalArgumentException if the dtype is not a float and cannot hold the value
     */
    Tensor fill(double value);

    /**
     * Copies another tensor's elements, converting the dtype: to a float with one rounding, to
     * anything else exactly.
     *
     * @param source a tensor of the same shape that does not overlap this one
     * @return this
     * @throws IllegalArgumentException if the shapes differ, or this dtype is not a float and
     *     cannot hold a value exactly
     */
    Tensor copyFrom(Tensor source);

    /**
     * Frees the memory if this tensor, or the one it is a view of, owns it; does nothing otherwise,
     * or the second time.
     *
     * @throws IllegalStateException if an operation, or a method that reads or writes elements, is
     *     using the memory
     */
    @Override
    void close();
}
