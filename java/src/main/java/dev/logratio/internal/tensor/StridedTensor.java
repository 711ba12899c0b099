package dev.logratio.internal.tensor;

import dev.logratio.DType;
import dev.logratio.Device;
import dev.logratio.Tensor;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Objects;

/** The strided view behind {@link Tensor}, over host memory or over that of a device. */
public final class StridedTensor implements Tensor {
    private final Memory memory;
    private final Device device;
    private final DType dtype;
    private final long[] shape;
    private final long[] strides;

    /** Empty for a device's memory, so that a stray access is an exception and never a crash. */
    private final MemorySegment data;

    private final long count;
    private final boolean contiguous;
    private final long start;
    private final long end;

    /**
     * In host memory; {@code data} starts at the first element, shape and strides have been checked
     * against it.
     */
    StridedTensor(Memory memory, MemorySegment data, DType dtype, long[] shape, long[] strides) {
        this(memory, Device.CPU, data, data.byteSize(), dtype, shape, strides);
    }

    StridedTensor(
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

    // ---- What it is ----

    @Override
    public Device device() {
        return device;
    }

    @Override
    public DType dtype() {
        return dtype;
    }

    @Override
    public long[] shape() {
        return shape.clone();
    }

    @Override
    public long[] strides() {
        return strides.clone();
    }

    @Override
    public int rank() {
        return shape.length;
    }

    @Override
    public long size(int dim) {
        return shape[Objects.checkIndex(dim, shape.length)];
    }

    @Override
    public long elementCount() {
        return count;
    }

    @Override
    public boolean isContiguous() {
        return contiguous;
    }

    @Override
    public MemorySegment segment() {
        try (Memory.Use _ = hold()) {
            return memory.lend(data);
        }
    }

    @Override
    public long address() {
        requireOpen();
        return start;
    }

    @Override
    public String toString() {
        return describe(dtype, shape) + (device.isHost() ? "" : " on " + device);
    }

    static String describe(DType dtype, long[] shape) {
        return dtype + " " + Arrays.toString(shape);
    }

    // ---- Views ----

    @Override
    public StridedTensor slice(int dim, long from, long to) {
        Objects.checkFromToIndex(from, to, size(dim));
        long[] sizes = shape.clone();
        sizes[dim] = to - from;
        return view(from * strides[dim], sizes, strides);
    }

    @Override
    public StridedTensor select(int dim, long index) {
        Objects.checkIndex(index, size(dim));
        return view(index * strides[dim], without(shape, dim), without(strides, dim));
    }

    @Override
    public StridedTensor reshape(long... shape) {
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

    private StridedTensor view(long offset, long[] sizes, long[] steps) {
        long bytes = Shapes.extentBytes(dtype, sizes, steps);
        long from = bytes == 0 ? 0 : offset * dtype.bytes();
        MemorySegment part =
                device.isHost() ? data.asSlice(from, bytes) : MemorySegment.ofAddress(start + from);
        return new StridedTensor(memory, device, part, bytes, dtype, sizes, steps);
    }

    private static long[] without(long[] values, int dim) {
        long[] rest = new long[values.length - 1];
        System.arraycopy(values, 0, rest, 0, dim);
        System.arraycopy(values, dim + 1, rest, dim, rest.length - dim);
        return rest;
    }

    // ---- Elements ----

    @Override
    public double getDouble(long... index) {
        try (Memory.Use _ = hold()) {
            return loadDouble(offset(index));
        }
    }

    @Override
    public long getLong(long... index) {
        try (Memory.Use _ = hold()) {
            requireWhole();
            return loadLong(offset(index));
        }
    }

    @Override
    public void setDouble(double value, long... index) {
        try (Memory.Use _ = hold()) {
            storeDouble(offset(index), value);
        }
    }

    @Override
    public void setLong(long value, long... index) {
        try (Memory.Use _ = hold()) {
            storeLong(offset(index), value);
        }
    }

    @Override
    public double[] toDoubles() {
        try (Memory.Use _ = hold()) {
            double[] values = new double[arrayLength()];
            for (int i = 0; i < values.length; i++) {
                values[i] = loadDouble(offsetOf(i));
            }
            return values;
        }
    }

    @Override
    public float[] toFloats() {
        try (Memory.Use _ = hold()) {
            float[] values = new float[arrayLength()];
            for (int i = 0; i < values.length; i++) {
                values[i] = (float) loadDouble(offsetOf(i));
            }
            return values;
        }
    }

    @Override
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

    @Override
    public StridedTensor fill(double value) {
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

    @Override
    public StridedTensor copyFrom(Tensor source) {
        StridedTensor from = (StridedTensor) Objects.requireNonNull(source, "source");
        try (Memory.Use _ = hold();
                Memory.Use _ = from.hold()) {
            copyHeld(from);
            return this;
        }
    }

    private void copyHeld(StridedTensor source) {
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

    // ---- For the operations, which have checked what they do ----

    /** Keeps the memory from being closed until {@link #release}; false if it is closed. */
    public boolean acquire() {
        return memory.acquire();
    }

    public void release() {
        memory.release();
    }

    public boolean isOpen() {
        return memory.isOpen();
    }

    /** Without a check that the tensor is open. */
    public MemorySegment data() {
        return data;
    }

    /** The address of the first element, without a check that the tensor is open. */
    public long start() {
        return start;
    }

    /** The address after the last element, without a check that the tensor is open. */
    public long end() {
        return end;
    }

    /** The sizes themselves, not to be written. */
    public long[] sizes() {
        return shape;
    }

    /** The strides themselves, not to be written. */
    public long[] steps() {
        return strides;
    }

    /** Offset in elements of the element with this row-major number. */
    public long offsetOf(long number) {
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
    public double loadDouble(long offset) {
        return Elements.loadDouble(dtype, data, offset);
    }

    /** Loads an element of a dtype that is not a float. */
    public long loadLong(long offset) {
        return Elements.loadLong(dtype, data, offset);
    }

    /** Sets the element at an offset, in elements, rounding once. */
    public void storeDouble(long offset, double value) {
        Elements.storeDouble(dtype, data, offset, value);
    }

    /** Stores an element of a dtype that is not a float. */
    public void storeLong(long offset, long value) {
        Elements.storeLong(dtype, data, offset, value);
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
