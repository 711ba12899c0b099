package dev.logratio.internal.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.logratio.BackendUnavailableException;
import dev.logratio.bindings.logratio_h;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.function.Function;
import java.util.function.ToIntFunction;

/** CUDA's runtime by the functions of the native library, which must be loaded. */
final class LibraryRuntime implements CudaRuntime {
    private static final int CUDA = logratio_h.kDLCUDA();

    @Override
    public int deviceCount() {
        return integer(count -> logratio_h.lr_device_count(CUDA, count));
    }

    @Override
    public int currentDevice() {
        return integer(device -> logratio_h.lr_device_current(CUDA, device));
    }

    @Override
    public void setCurrentDevice(int device) {
        check(logratio_h.lr_device_make_current(CUDA, device));
    }

    @Override
    public void synchronizeDevice(int device) {
        check(logratio_h.lr_device_synchronize(CUDA, device));
    }

    @Override
    public long allocate(int device, long bytes) {
        return address(memory -> logratio_h.lr_device_allocate(CUDA, device, bytes, memory));
    }

    @Override
    public void free(int device, long address) {
        check(logratio_h.lr_device_free(CUDA, device, at(address)));
    }

    @Override
    public void fill(int device, long stream, long address, byte value, long bytes) {
        check(
                logratio_h.lr_device_fill(
                        CUDA, device, at(stream), at(address), Byte.toUnsignedInt(value), bytes));
    }

    @Override
    public void pin(int device, long address, long bytes) {
        check(logratio_h.lr_device_pin(CUDA, device, at(address), bytes));
    }

    @Override
    public void unpin(int device, long address) {
        check(logratio_h.lr_device_unpin(CUDA, device, at(address)));
    }

    @Override
    public void copy(int device, long stream, Place to, Place from, long bytes) {
        check(
                logratio_h.lr_device_copy(
                        CUDA, device, at(stream), at(to.address()), at(from.address()), bytes));
    }

    @Override
    public long createStream(int device) {
        return address(stream -> logratio_h.lr_stream_create(CUDA, device, stream));
    }

    @Override
    public void destroyStream(int device, long stream) {
        check(logratio_h.lr_stream_destroy(CUDA, device, at(stream)));
    }

    @Override
    public void synchronizeStream(int device, long stream) {
        check(logratio_h.lr_stream_synchronize(CUDA, device, at(stream)));
    }

    @Override
    public boolean isStreamDone(int device, long stream) {
        return integer(done -> logratio_h.lr_stream_query(CUDA, device, at(stream), done)) != 0;
    }

    @Override
    public void await(int device, long stream, long event) {
        check(logratio_h.lr_stream_wait(CUDA, device, at(stream), at(event)));
    }

    @Override
    public long createEvent(int device) {
        return address(event -> logratio_h.lr_event_create(CUDA, device, event));
    }

    @Override
    public void destroyEvent(int device, long event) {
        check(logratio_h.lr_event_destroy(CUDA, device, at(event)));
    }

    @Override
    public void record(int device, long event, long stream) {
        check(logratio_h.lr_event_record(CUDA, device, at(event), at(stream)));
    }

    @Override
    public void synchronizeEvent(int device, long event) {
        check(logratio_h.lr_event_synchronize(CUDA, device, at(event)));
    }

    @Override
    public boolean isEventDone(int device, long event) {
        return integer(done -> logratio_h.lr_event_query(CUDA, device, at(event), done)) != 0;
    }

    @Override
    public double milliseconds(int device, long start, long end) {
        return output(
                JAVA_DOUBLE,
                time -> logratio_h.lr_event_elapsed(CUDA, device, at(start), at(end), time),
                time -> time.get(JAVA_DOUBLE, 0));
    }

    private static int integer(ToIntFunction<MemorySegment> call) {
        return output(JAVA_INT, call, result -> result.get(JAVA_INT, 0));
    }

    private static long address(ToIntFunction<MemorySegment> call) {
        return output(ADDRESS, call, result -> result.get(ADDRESS, 0).address());
    }

    /** What a call writes through its output argument. */
    private static <T> T output(
            ValueLayout layout,
            ToIntFunction<MemorySegment> call,
            Function<MemorySegment, T> result) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment output = arena.allocate(layout);
            check(call.applyAsInt(output));
            return result.apply(output);
        }
    }

    private static MemorySegment at(long address) {
        return MemorySegment.ofAddress(address);
    }

    private static void check(int status) {
        if (status == logratio_h.LR_OK()) {
            return;
        }
        String text = logratio_h.lr_last_error().getString(0);
        if (status == logratio_h.LR_UNAVAILABLE()) {
            throw new BackendUnavailableException(text);
        }
        if (status == logratio_h.LR_OUT_OF_MEMORY()) {
            throw new OutOfMemoryError(text);
        }
        throw new IllegalStateException(text);
    }
}
