package dev.logratio;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import dev.logratio.bindings.NativeMemory;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Objects;

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
 */
public final class Tensor implements AutoCloseable {
    /** A cache line, and the widest vector register. */
    private static final long ALIGNMENT = 64;

    private final Memory memory;
    private final Device device;
    private final DType dtype;
    private final long[] shape;
    private final long[] strides;
    private final MemorySegment
            data; // of a device: empty, so that a stray access is an exception and never a crash
    private final long count;
    private final boolean contiguous;
    private final long start;
    private final long end;

    /**
     * In host memory; {@code data} starts at the first element, shape and strides have been checked
     * against it.
     */
    private Tensor(Memory memory, MemorySegment data, DType dtype, long[] shape, long[] strides) {
        this(memory, Device.CPU, data, data.byteSize(), dtype, shape, strides);
    }

    private Tensor(
            Memory memory,
            Device device,
            MemorySegment data,
            long bytes,
            DType dtype,
            long[] shape,
            long[] strides) {
        this.memory = memory;
        this.device = device;
        this.data = data;
        this.dtype = dtype;
        this.shape = shape;
        this.strides = strides;
        this.count = Shapes.elementCount(shape);
        this.contiguous = Shapes.isContiguous(shape, strides);
        this.start = data.address();
        this.end = start + bytes;
    }

    // ---- Making tensors ----

    /**
     * A new tensor of zeros that owns its memory.
     *
     * @param dtype element type
     * @param shape sizes, each &ge; 0; none for a single number
     * @return the tensor; close it
     * @throws IllegalArgumentException if a size is negative or the whole too large
     */
    public static Tensor zeros(DType dtype, long... shape) {
        long[] strides = Shapes.contiguousStrides(shape);
        long[] sizes = shape.clone();
        NativeMemory.Block block =
                NativeMemory.allocate(Shapes.extentBytes(dtype, sizes, strides), ALIGNMENT);
        try {
            return new Tensor(
                    Memory.owned(block.segment(), block.free()),
                    block.segment(),
                    dtype,
                    sizes,
                    strides);
        } catch (RuntimeException | Error e) {
            block.free().run();
            throw e;
        }
    }

    /**
     * A new tensor of zeros in an arena.
     *
     * @param arena what frees the memory
     * @param dtype element type
     * @param shape sizes, each &ge; 0; none for a single number
     * @return the tensor
     * @throws IllegalArgumentException if a size is negative or the whole too large
     */
    public static Tensor zeros(Arena arena, DType dtype, long... shape) {
        long[] strides = Shapes.contiguousStrides(shape);
        long[] sizes = shape.clone();
        long bytes = Shapes.extentBytes(dtype, sizes, strides);
        MemorySegment segment =
                Objects.requireNonNull(arena, "arena").allocate(Math.max(bytes, 1), ALIGNMENT);
        return new Tensor(
                Memory.borrowed(segment), segment.asSlice(0, bytes), dtype, sizes, strides);
    }

    /**
     * A new tensor that owns its memory, with given values, each rounded once to the dtype.
     *
     * @param dtype element type
     * @param values row-major
     * @param shape sizes
     * @return the tensor; close it
     * @throws IllegalArgumentException if the shape does not have as many elements, or an integer
     *     dtype cannot hold a value
     */
    public static Tensor of(DType dtype, double[] values, long... shape) {
        Shapes.requireElements(Objects.requireNonNull(values, "values").length, shape);
        return filledOrClosed(zeros(dtype, shape), values);
    }

    /**
     * A new tensor in an arena, with given values, each rounded once to the dtype.
     *
     * @param arena what frees the memory
     * @param dtype element type
     * @param values row-major
     * @param shape sizes
     * @return the tensor
     * @throws IllegalArgumentException if the shape does not have as many elements, or an integer
     *     dtype cannot hold a value
     */
    public static Tensor of(Arena arena, DType dtype, double[] values, long... shape) {
        Shapes.requireElements(Objects.requireNonNull(values, "values").length, shape);
        return filledOrClosed(zeros(arena, dtype, shape), values);
    }

    private static Tensor filledOrClosed(Tensor tensor, double[] values) {
        try {
            for (int i = 0; i < values.length; i++) {
                tensor.storeDouble(i, values[i]);
            }
            return tensor;
        } catch (RuntimeException | Error e) {
            tensor.close();
            throw e;
        }
    }

    /**
     * A new F32 tensor that owns its memory.
     *
     * @param values row-major
     * @param shape sizes
     * @return the tensor; close it
     * @throws IllegalArgumentException if the shape does not have as many elements
     */
    public static Tensor of(float[] values, long... shape) {
        Shapes.requireElements(Objects.requireNonNull(values, "values").length, shape);
        return zeros(DType.F32, shape).filledFrom(MemorySegment.ofArray(values));
    }

    /**
     * A new F32 tensor in an arena.
     *
     * @param arena what frees the memory
     * @param values row-major
     * @param shape sizes
     * @return the tensor
     * @throws IllegalArgumentException if the shape does not have as many elements
     */
    public static Tensor of(Arena arena, float[] values, long... shape) {
        Shapes.requireElements(Objects.requireNonNull(values, "values").length, shape);
        return zeros(arena, DType.F32, shape).filledFrom(MemorySegment.ofArray(values));
    }

    /**
     * A new I64 tensor that owns its memory.
     *
     * @param values row-major
     * @param shape sizes
     * @return the tensor; close it
     * @throws IllegalArgumentException if the shape does not have as many elements
     */
    public static Tensor of(long[] values, long... shape) {
        Shapes.requireElements(Objects.requireNonNull(values, "values").length, shape);
        return zeros(DType.I64, shape).filledFrom(MemorySegment.ofArray(values));
    }

    /**
     * A new I64 tensor in an arena.
     *
     * @param arena what frees the memory
     * @param values row-major
     * @param shape sizes
     * @return the tensor
     * @throws IllegalArgumentException if the shape does not have as many elements
     */
    public static Tensor of(Arena arena, long[] values, long... shape) {
        Shapes.requireElements(Objects.requireNonNull(values, "values").length, shape);
        return zeros(arena, DType.I64, shape).filledFrom(MemorySegment.ofArray(values));
    }

    /**
     * A new BOOL tensor that owns its memory.
     *
     * @param values row-major
     * @param shape sizes
     * @return the tensor; close it
     * @throws IllegalArgumentException if the shape does not have as many elements
     */
    public static Tensor of(boolean[] values, long... shape) {
        Shapes.requireElements(Objects.requireNonNull(values, "values").length, shape);
        return zeros(DType.BOOL, shape).filledFrom(values);
    }

    /**
     * A new BOOL tensor in an arena.
     *
     * @param arena what frees the memory
     * @param values row-major
     * @param shape sizes
     * @return the tensor
     * @throws IllegalArgumentException if the shape does not have as many elements
     */
    public static Tensor of(Arena arena, boolean[] values, long... shape) {
        Shapes.requireElements(Objects.requireNonNull(values, "values").length, shape);
        return zeros(arena, DType.BOOL, shape).filledFrom(values);
    }

    private Tensor filledFrom(MemorySegment values) {
        data.copyFrom(values);
        return this;
    }

    private Tensor filledFrom(boolean[] values) {
        for (int i = 0; i < values.length; i++) {
            data.set(JAVA_BYTE, i, (byte) (values[i] ? 1 : 0));
        }
        return this;
    }

    /**
     * A contiguous tensor over the beginning of a segment, without a copy. The segment keeps its
     * owner, and its arena must stay open until every operation on the tensor has returned.
     *
     * @param segment native memory, aligned to the dtype's size
     * @param dtype element type
     * @param shape sizes
     * @return the tensor
     * @throws IllegalArgumentException if the segment is on the Java heap, too small or not aligned
     */
    public static Tensor wrap(MemorySegment segment, DType dtype, long... shape) {
        return wrap(segment, dtype, shape, Shapes.contiguousStrides(shape));
    }

    /**
     * A strided tensor over a segment, its first element at the segment's beginning, without a
     * copy. The segment keeps its owner, and its arena must stay open until every operation on the
     * tensor has returned.
     *
     * @param segment native memory, aligned to the dtype's size
     * @param dtype element type
     * @param shape sizes
     * @param strides elements from one index to the next in each dimension, &ge; 0
     * @return the tensor
     * @throws IllegalArgumentException if the segment is on the Java heap, too small or not
     *     aligned, or a stride is negative
     */
    public static Tensor wrap(MemorySegment segment, DType dtype, long[] shape, long[] strides) {
        Objects.requireNonNull(segment, "segment");
        Objects.requireNonNull(shape, "shape");
        Objects.requireNonNull(strides, "strides");
        return wrap(Memory.borrowed(segment), dtype, shape.clone(), strides.clone());
    }

    private static Tensor wrap(Memory memory, DType dtype, long[] shape, long[] strides) {
        MemorySegment segment = memory.segment();
        long bytes = Shapes.extentBytes(dtype, shape, strides);
        String what = describe(dtype, shape);
        if (!segment.isNative()) {
            throw new IllegalArgumentException(
                    "segment of " + what + " is on the Java heap, expected native memory");
        }
        if (segment.byteSize() < bytes) {
            throw new IllegalArgumentException(
                    "segment of "
                            + what
                            + " has "
                            + segment.byteSize()
                            + " bytes, expected at least "
                            + bytes);
        }
        requireAligned(segment.address(), dtype, shape);
        return new Tensor(memory, segment.asSlice(0, bytes), dtype, shape, strides);
    }

    /**
     * A contiguous tensor over a direct buffer from its position on, without a copy. The buffer's
     * byte order is not looked at: elements are in the machine's order.
     *
     * @param buffer a direct buffer; at most 2 GiB, unlike a segment
     * @param dtype element type
     * @param shape sizes
     * @return the tensor, which keeps the buffer alive
     * @throws IllegalArgumentException if the buffer is not direct, or what remains of it too small
     *     or not aligned
     */
    public static Tensor wrap(ByteBuffer buffer, DType dtype, long... shape) {
        if (!Objects.requireNonNull(buffer, "buffer").isDirect()) {
            throw new IllegalArgumentException(
                    "buffer of "
                            + describe(dtype, shape)
                            + " is on the Java heap, expected a direct buffer");
        }
        return wrap(MemorySegment.ofBuffer(buffer), dtype, shape);
    }

    /**
     * A tensor over foreign memory at an address, without a copy. The caller vouches that the
     * memory is there, for as long as the tensor is open. (This is a restricted operation: Java
     * wants {@code --enable-native-access}, as for the native library.)
     *
     * @param address of the first element, a multiple of the dtype's size
     * @param dtype element type
     * @param shape sizes
     * @param strides elements from one index to the next in each dimension, &ge; 0
     * @param onClose runs once, when the tensor is closed; may be {@code null}
     * @return the tensor; close it
     * @throws IllegalArgumentException if the address is not aligned or a stride is negative
     */
    public static Tensor ofAddress(
            long address, DType dtype, long[] shape, long[] strides, Runnable onClose) {
        long bytes = Shapes.extentBytes(dtype, shape, strides);
        requireMemory(address, bytes, dtype, shape);
        return wrap(
                Memory.owned(NativeMemory.at(address, bytes), onClose),
                dtype,
                shape.clone(),
                strides.clone());
    }

    /**
     * A tensor over memory at an address on a device, without a copy: a pointer of PyTorch, cuDNN
     * or any other library. The caller vouches that the memory is there, for as long as the tensor
     * is open and calls that were given it run.
     *
     * @param device where the memory is; on the host as {@link #ofAddress(long, DType, long[],
     *     long[], Runnable)}
     * @param address of the first element, a multiple of the dtype's size
     * @param dtype element type
     * @param shape sizes
     * @param strides elements from one index to the next in each dimension, &ge; 0
     * @param onClose runs once, when the tensor is closed; may be {@code null}
     * @return the tensor; close it
     * @throws IllegalArgumentException if the address is not aligned or a stride is negative
     */
    public static Tensor ofAddress(
            Device device,
            long address,
            DType dtype,
            long[] shape,
            long[] strides,
            Runnable onClose) {
        if (Objects.requireNonNull(device, "device").isHost()) {
            return ofAddress(address, dtype, shape, strides, onClose);
        }
        long bytes = Shapes.extentBytes(dtype, shape, strides);
        requireMemory(address, bytes, dtype, shape);
        requireAligned(address, dtype, shape);
        Memory memory =
                Memory.owned(
                        MemorySegment.ofAddress(address),
                        onClose); // of no bytes: the host cannot read them
        return new Tensor(
                memory, device, memory.segment(), bytes, dtype, shape.clone(), strides.clone());
    }

    /**
     * A contiguous tensor over memory at an address on a device, without a copy. As above.
     *
     * @param device where the memory is
     * @param address of the first element, a multiple of the dtype's size
     * @param dtype element type
     * @param shape sizes
     * @param onClose runs once, when the tensor is closed; may be {@code null}
     * @return the tensor; close it
     * @throws IllegalArgumentException if the address is not aligned
     */
    public static Tensor ofAddress(
            Device device, long address, DType dtype, long[] shape, Runnable onClose) {
        return ofAddress(device, address, dtype, shape, Shapes.contiguousStrides(shape), onClose);
    }

    private static void requireMemory(long address, long bytes, DType dtype, long[] shape) {
        if (address == 0 && bytes > 0) {
            throw new IllegalArgumentException(
                    "address of " + describe(dtype, shape) + " is 0, expected memory");
        }
    }

    private static void requireAligned(long address, DType dtype, long[] shape) {
        if (address % dtype.bytes() != 0) {
            throw new IllegalArgumentException(
                    "segment of "
                            + describe(dtype, shape)
                            + " starts at address 0x"
                            + Long.toHexString(address)
                            + ", expected a multiple of "
                            + dtype.bytes());
        }
    }

    // ---- What it is ----

    /**
     * Where the memory is.
     *
     * @return the host or a CUDA device
     */
    public Device device() {
        return device;
    }

    /**
     * The element type.
     *
     * @return the dtype
     */
    public DType dtype() {
        return dtype;
    }

    /**
     * The sizes of all dimensions.
     *
     * @return a copy
     */
    public long[] shape() {
        return shape.clone();
    }

    /**
     * The strides of all dimensions, in elements.
     *
     * @return a copy
     */
    public long[] strides() {
        return strides.clone();
    }

    /**
     * The number of dimensions.
     *
     * @return 0 for a single number
     */
    public int rank() {
        return shape.length;
    }

    /**
     * The size of a dimension.
     *
     * @param dim from 0
     * @return the size
     * @throws IndexOutOfBoundsException if there is no such dimension
     */
    public long size(int dim) {
        return shape[Objects.checkIndex(dim, shape.length)];
    }

    /**
     * The number of elements.
     *
     * @return the product of the sizes
     */
    public long elementCount() {
        return count;
    }

    /**
     * Whether the elements lie side by side in row-major order.
     *
     * @return true for every new tensor
     */
    public boolean isContiguous() {
        return contiguous;
    }

    /**
     * The memory from the first element to the last. The segment of an owned tensor is closed with
     * it. From then on an access is an {@link IllegalStateException}, and closing the tensor takes
     * as long as closing a shared arena does: milliseconds where other threads are busy. {@link
     * #fill}, {@link #copyFrom} and the methods that read or write elements have no such cost.
     *
     * @return a segment that lives as long as the tensor's memory
     * @throws IllegalStateException if the tensor is closed or on a device
     */
    public MemorySegment segment() {
        try (Memory.Use _ = hold()) {
            return memory.lend(data);
        }
    }

    /**
     * The address of the first element.
     *
     * @return the address, good for as long as the memory is open
     * @throws IllegalStateException if the tensor is closed
     */
    public long address() {
        requireOpen();
        return start;
    }

    /**
     * Dtype and shape, as in {@code "F32 [2, 3]"}, and the device if it is one: {@code "F32 [2, 3]
     * on CUDA 0"}.
     */
    @Override
    public String toString() {
        return describe(dtype, shape) + (device.isHost() ? "" : " on " + device);
    }

    private static String describe(DType dtype, long[] shape) {
        return dtype + " " + Arrays.toString(shape);
    }

    // ---- Views ----

    /**
     * The part of a dimension from one index to another, as a view.
     *
     * @param dim from 0
     * @param from first index
     * @param to index after the last
     * @return the view, which closes with this tensor's memory
     * @throws IndexOutOfBoundsException unless 0 &le; from &le; to &le; size(dim)
     */
    public Tensor slice(int dim, long from, long to) {
        Objects.checkFromToIndex(from, to, size(dim));
        long[] sizes = shape.clone();
        sizes[dim] = to - from;
        return view(from * strides[dim], sizes, strides);
    }

    /**
     * One index of a dimension, as a view without that dimension.
     *
     * @param dim from 0
     * @param index from 0
     * @return the view, which closes with this tensor's memory
     * @throws IndexOutOfBoundsException unless 0 &le; index &lt; size(dim)
     */
    public Tensor select(int dim, long index) {
        Objects.checkIndex(index, size(dim));
        return view(index * strides[dim], without(shape, dim), without(strides, dim));
    }

    /**
     * The same elements in row-major order under another shape, as a view.
     *
     * @param shape sizes, with the same number of elements
     * @return the view, which closes with this tensor's memory
     * @throws IllegalArgumentException if the number of elements differs or this tensor is not
     *     contiguous
     */
    public Tensor reshape(long... shape) {
        Shapes.requireElements(count, shape);
        if (!contiguous) {
            throw new IllegalArgumentException(
                    this
                            + " with strides "
                            + Arrays.toString(strides)
                            + " is not contiguous, which reshape needs");
        }
        return view(0, shape.clone(), Shapes.contiguousStrides(shape));
    }

    private Tensor view(long offset, long[] sizes, long[] steps) {
        long bytes = Shapes.extentBytes(dtype, sizes, steps);
        long from = bytes == 0 ? 0 : offset * dtype.bytes();
        MemorySegment part =
                device.isHost() ? data.asSlice(from, bytes) : MemorySegment.ofAddress(start + from);
        return new Tensor(memory, device, part, bytes, dtype, sizes, steps);
    }

    private static long[] without(long[] values, int dim) {
        long[] rest = new long[values.length - 1];
        System.arraycopy(values, 0, rest, 0, dim);
        System.arraycopy(values, dim + 1, rest, dim, rest.length - dim);
        return rest;
    }

    // ---- Elements ----

    /**
     * An element as a double, whatever the dtype.
     *
     * @param index one index a dimension
     * @return the value
     * @throws IndexOutOfBoundsException if an index is out of bounds
     * @throws IllegalStateException if the tensor is closed or on a device
     */
    public double getDouble(long... index) {
        try (Memory.Use _ = hold()) {
            return loadDouble(offset(index));
        }
    }

    /**
     * An element of an integer, U8 or BOOL tensor.
     *
     * @param index one index a dimension
     * @return the value
     * @throws IllegalArgumentException if the dtype is a float
     * @throws IndexOutOfBoundsException if an index is out of bounds
     * @throws IllegalStateException if the tensor is closed or on a device
     */
    public long getLong(long... index) {
        try (Memory.Use _ = hold()) {
            requireWhole();
            return loadLong(offset(index));
        }
    }

    /**
     * Sets an element, rounding once.
     *
     * @param value the value
     * @param index one index a dimension
     * @throws IllegalArgumentException if the dtype is not a float and cannot hold the value
     *     exactly
     * @throws IndexOutOfBoundsException if an index is out of bounds
     * @throws IllegalStateException if the tensor is closed or on a device
     */
    public void setDouble(double value, long... index) {
        try (Memory.Use _ = hold()) {
            storeDouble(offset(index), value);
        }
    }

    /**
     * Sets an element; a float dtype rounds.
     *
     * @param value the value
     * @param index one index a dimension
     * @throws IllegalArgumentException if the dtype is not a float and cannot hold the value
     * @throws IndexOutOfBoundsException if an index is out of bounds
     * @throws IllegalStateException if the tensor is closed or on a device
     */
    public void setLong(long value, long... index) {
        try (Memory.Use _ = hold()) {
            storeLong(offset(index), value);
        }
    }

    /**
     * All elements as doubles.
     *
     * @return a new array, row-major
     * @throws IllegalStateException if the tensor is closed or on a device
     */
    public double[] toDoubles() {
        try (Memory.Use _ = hold()) {
            double[] values = new double[arrayLength()];
            for (int i = 0; i < values.length; i++) {
                values[i] = loadDouble(offsetOf(i));
            }
            return values;
        }
    }

    /**
     * All elements as floats, F64 rounded to nearest.
     *
     * @return a new array, row-major
     * @throws IllegalStateException if the tensor is closed or on a device
     */
    public float[] toFloats() {
        try (Memory.Use _ = hold()) {
            float[] values = new float[arrayLength()];
            for (int i = 0; i < values.length; i++) {
                values[i] = (float) loadDouble(offsetOf(i));
            }
            return values;
        }
    }

    /**
     * All elements of an integer, U8 or BOOL tensor.
     *
     * @return a new array, row-major
     * @throws IllegalArgumentException if the dtype is a float
     * @throws IllegalStateException if the tensor is closed or on a device
     */
    public long[] toLongs() {
        try (Memory.Use _ = hold()) {
            requireWhole();
            long[] values = new long[arrayLength()];
            for (int i = 0; i < values.length; i++) {
                values[i] = loadLong(offsetOf(i));
            }
            return values;
        }
    }

    /**
     * Sets every element to one value, rounding once.
     *
     * @param value the value
     * @return this
     * @throws IllegalArgumentException if the dtype is not a float and cannot hold the value
     *     exactly
     * @throws IllegalStateException if the tensor is closed or on a device
     */
    public Tensor fill(double value) {
        try (Memory.Use _ = hold()) {
            if (contiguous && count > 0) {
                storeDouble(0, value);
                repeatFirst();
            } else {
                for (long i = 0; i < count; i++) {
                    storeDouble(offsetOf(i), value);
                }
            }
            return this;
        }
    }

    /**
     * Copies another tensor's elements, converting the dtype: to a float with one rounding, to
     * anything else exactly.
     *
     * @param source of the same shape, not overlapping this tensor
     * @return this
     * @throws IllegalArgumentException if the shapes differ, or this dtype is not a float and
     *     cannot hold a value exactly
     * @throws IllegalStateException if a tensor is closed or on a device
     */
    public Tensor copyFrom(Tensor source) {
        Objects.requireNonNull(source, "source");
        try (Memory.Use _ = hold();
                Memory.Use _ = source.hold()) {
            copyHeld(source);
            return this;
        }
    }

    private void copyHeld(Tensor source) {
        if (!Arrays.equals(shape, source.shape)) {
            throw new IllegalArgumentException(
                    "source is " + source + ", expected shape " + Arrays.toString(shape));
        }
        if (dtype == source.dtype && contiguous && source.contiguous) {
            data.copyFrom(source.data);
        } else if (source.dtype.isFloat()) {
            for (long i = 0; i < count; i++) {
                storeDouble(offsetOf(i), source.loadDouble(source.offsetOf(i)));
            }
        } else {
            for (long i = 0; i < count; i++) {
                storeLong(offsetOf(i), source.loadLong(source.offsetOf(i)));
            }
        }
    }

    /** Copies the first element to all others, twice as many each time. */
    private void repeatFirst() {
        long bytes = data.byteSize();
        for (long done = dtype.bytes(); done < bytes; done *= 2) {
            MemorySegment.copy(data, 0, data, done, Math.min(done, bytes - done));
        }
    }

    private int arrayLength() {
        if (count > Integer.MAX_VALUE) {
            throw new IllegalArgumentException(
                    "tensor is " + this + ", expected at most 2^31-1 elements, as an array holds");
        }
        return (int) count;
    }

    // ---- Closing ----

    /**
     * Frees the memory if this tensor, or the one it is a view of, owns it; does nothing otherwise,
     * or the second time.
     *
     * @throws IllegalStateException if an operation, or a method that reads or writes elements, is
     *     using the memory
     */
    @Override
    public void close() {
        if (!memory.close()) {
            throw new IllegalStateException(
                    "tensor "
                            + this
                            + " is in use by an operation: close it when the operation has"
                            + " returned");
        }
    }

    private void requireOpen() {
        if (!memory.isOpen()) {
            throw new IllegalStateException("tensor " + this + " is closed");
        }
    }

    /** Keeps the memory from being closed while elements are read or written. */
    private Memory.Use hold() {
        if (!memory.acquire()) {
            throw new IllegalStateException("tensor " + this + " is closed");
        }
        if (!device.isHost()) {
            memory.release();
            throw new IllegalStateException(
                    "tensor "
                            + this
                            + " is in device memory: copy it to the host first, with"
                            + " CudaTensors.toHost");
        }
        return memory.use();
    }

    // ---- For the operations of this package ----

    Memory memory() {
        return memory;
    }

    /** Without a check that the tensor is open. */
    MemorySegment data() {
        return data;
    }

    /** The address of the first element, without a check that the tensor is open. */
    long start() {
        return start;
    }

    /** The address after the last element, without a check that the tensor is open. */
    long end() {
        return end;
    }

    /** The sizes themselves, not to be written. */
    long[] sizes() {
        return shape;
    }

    /** The strides themselves, not to be written. */
    long[] steps() {
        return strides;
    }

    /** Offset in elements of the element with this row-major number. */
    long offsetOf(long number) {
        if (contiguous) {
            return number;
        }
        long offset = 0;
        long rest = number;
        for (int d = shape.length - 1; d > 0; d--) {
            offset += rest % shape[d] * strides[d];
            rest /= shape[d];
        }
        return offset + rest * strides[0];
    }

    /** The element at an offset, in elements; nothing is checked but the memory's bounds. */
    double loadDouble(long offset) {
        return switch (dtype) {
            case F64 -> data.getAtIndex(JAVA_DOUBLE, offset);
            case F32 -> data.getAtIndex(JAVA_FLOAT, offset);
            case BF16 -> Floats.fromBfloat16(data.getAtIndex(JAVA_SHORT, offset));
            case F16 -> Float.float16ToFloat(data.getAtIndex(JAVA_SHORT, offset));
            case I64, I32, U8, BOOL -> loadLong(offset);
        };
    }

    /** As {@link #loadDouble}, for a dtype that is not a float. */
    long loadLong(long offset) {
        return switch (dtype) {
            case I64 -> data.getAtIndex(JAVA_LONG, offset);
            case I32 -> data.getAtIndex(JAVA_INT, offset);
            case U8 -> data.get(JAVA_BYTE, offset) & 0xff;
            case BOOL -> data.get(JAVA_BYTE, offset) == 0 ? 0 : 1;
            case F64, F32, BF16, F16 -> throw new AssertionError(dtype);
        };
    }

    /** Sets the element at an offset, in elements, rounding once. */
    void storeDouble(long offset, double value) {
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
                storeLong(offset, (long) value);
            }
        }
    }

    /** As {@link #storeDouble}. */
    void storeLong(long offset, long value) {
        switch (dtype) {
            case I64 -> data.setAtIndex(JAVA_LONG, offset, value);
            case I32 ->
                    data.setAtIndex(
                            JAVA_INT,
                            offset,
                            (int) inRange(value, Integer.MIN_VALUE, Integer.MAX_VALUE));
            case U8 -> data.set(JAVA_BYTE, offset, (byte) inRange(value, 0, 255));
            case BOOL -> data.set(JAVA_BYTE, offset, (byte) inRange(value, 0, 1));
            case F32 -> data.setAtIndex(JAVA_FLOAT, offset, (float) value);
            case F64, BF16, F16 -> storeDouble(offset, value);
        }
    }

    private long inRange(long value, long least, long most) {
        if (value < least || value > most) {
            throw new IllegalArgumentException("value " + value + " does not fit " + dtype);
        }
        return value;
    }

    private void requireWhole() {
        if (dtype.isFloat()) {
            throw new IllegalArgumentException(
                    "tensor is " + this + ", expected I64, I32, U8 or BOOL");
        }
    }

    private long offset(long[] index) {
        if (index.length != shape.length) {
            throw new IndexOutOfBoundsException(
                    "index "
                            + Arrays.toString(index)
                            + " of tensor "
                            + this
                            + ", expected "
                            + shape.length
                            + " numbers");
        }
        long offset = 0;
        for (int d = 0; d < index.length; d++) {
            if (index[d] < 0 || index[d] >= shape[d]) {
                throw new IndexOutOfBoundsException(
                        "index " + Arrays.toString(index) + " of tensor " + this);
            }
            offset += index[d] * strides[d];
        }
        return offset;
    }
}
