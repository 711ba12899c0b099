package jcuda.runtime;

import jcuda.NativePointerObject;
import jcuda.Pointer;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.reflect.Field;
import java.util.Map;
import java.util.TreeMap;

/**
 * JCuda's class of this name on a machine without a GPU, for tests: two devices whose memory is the
 * host's and whose work is done when a call returns. It knows what is allocated, pinned and made,
 * and answers with CUDA's errors where an address, a kind of copy, a device or a handle is wrong.
 */
public final class JCuda {
    public static final int cudaHostRegisterDefault = 0;

    private static final int DEVICES = 2;
    private static final long TOTAL = 1L << 33;

    private record Allocation(Arena arena, int device, long bytes) {}

    private static final TreeMap<Long, Allocation> ALLOCATIONS = new TreeMap<>();
    private static final TreeMap<Long, Long> PINNED = new TreeMap<>();
    private static final TreeMap<Long, Integer> STREAMS = new TreeMap<>();
    private static final TreeMap<Long, Long> EVENTS =
            new TreeMap<>(); // when they were recorded, 0: not yet
    private static final ThreadLocal<Integer> CURRENT = ThreadLocal.withInitial(() -> 0);
    private static long handles = 0x1000;

    private JCuda() {}

    public static synchronized int cudaGetDeviceCount(int[] count) {
        count[0] = DEVICES;
        return 0;
    }

    public static int cudaGetDevice(int[] device) {
        device[0] = CURRENT.get();
        return 0;
    }

    public static int cudaSetDevice(int device) {
        if (device < 0 || device >= DEVICES) {
            return cudaError.cudaErrorInvalidDevice;
        }
        CURRENT.set(device);
        return 0;
    }

    public static int cudaDeviceSynchronize() {
        return 0;
    }

    public static synchronized int cudaMalloc(Pointer pointer, long bytes) {
        if (used() + bytes > TOTAL) {
            return cudaError.cudaErrorMemoryAllocation;
        }
        Arena arena = Arena.ofShared();
        MemorySegment memory = arena.allocate(bytes, 256).fill((byte) 0xff);
        ALLOCATIONS.put(memory.address(), new Allocation(arena, CURRENT.get(), bytes));
        set(pointer, memory.address());
        return 0;
    }

    public static synchronized int cudaFree(Pointer pointer) {
        Allocation allocation = ALLOCATIONS.get(get(pointer));
        if (allocation == null || allocation.device != CURRENT.get()) {
            return cudaError.cudaErrorInvalidValue;
        }
        ALLOCATIONS.remove(get(pointer));
        allocation.arena.close();
        return 0;
    }

    public static synchronized int cudaMemGetInfo(long[] free, long[] total) {
        free[0] = TOTAL - used();
        total[0] = TOTAL;
        return 0;
    }

    private static long used() {
        return ALLOCATIONS.values().stream().mapToLong(Allocation::bytes).sum();
    }

    public static synchronized int cudaMemsetAsync(
            Pointer pointer, int value, long bytes, cudaStream_t stream) {
        if (!isStream(stream) || !isOnDevice(get(pointer), bytes)) {
            return cudaError.cudaErrorInvalidValue;
        }
        memory(get(pointer), bytes).fill((byte) value);
        return 0;
    }

    public static synchronized int cudaHostRegister(Pointer pointer, long bytes, int flags) {
        PINNED.put(get(pointer), bytes);
        return 0;
    }

    public static synchronized int cudaHostUnregister(Pointer pointer) {
        return PINNED.remove(get(pointer)) == null ? cudaError.cudaErrorInvalidValue : 0;
    }

    public static synchronized int cudaMemcpyAsync(
            Pointer to, Pointer from, long bytes, int kind, cudaStream_t stream) {
        boolean toDevice =
                kind == cudaMemcpyKind.cudaMemcpyHostToDevice
                        || kind == cudaMemcpyKind.cudaMemcpyDeviceToDevice;
        boolean fromDevice =
                kind == cudaMemcpyKind.cudaMemcpyDeviceToHost
                        || kind == cudaMemcpyKind.cudaMemcpyDeviceToDevice;
        if (!isStream(stream)
                || isOnDevice(get(to), bytes) != toDevice
                || isOnDevice(get(from), bytes) != fromDevice) {
            return cudaError.cudaErrorInvalidValue;
        }
        memory(get(to), bytes).copyFrom(memory(get(from), bytes));
        return 0;
    }

    public static synchronized int cudaStreamCreate(cudaStream_t stream) {
        set(stream, handles += 8);
        STREAMS.put(get(stream), CURRENT.get());
        return 0;
    }

    public static synchronized int cudaStreamDestroy(cudaStream_t stream) {
        return STREAMS.remove(get(stream)) == null ? cudaError.cudaErrorInvalidResourceHandle : 0;
    }

    public static synchronized int cudaStreamSynchronize(cudaStream_t stream) {
        return isStream(stream) ? 0 : cudaError.cudaErrorInvalidResourceHandle;
    }

    public static synchronized int cudaStreamQuery(cudaStream_t stream) {
        return isStream(stream) ? 0 : cudaError.cudaErrorInvalidResourceHandle;
    }

    public static synchronized int cudaStreamWaitEvent(
            cudaStream_t stream, cudaEvent_t event, int flags) {
        return isStream(stream) && EVENTS.containsKey(get(event))
                ? 0
                : cudaError.cudaErrorInvalidResourceHandle;
    }

    public static synchronized int cudaEventCreate(cudaEvent_t event) {
        set(event, handles += 8);
        EVENTS.put(get(event), 0L);
        return 0;
    }

    public static synchronized int cudaEventDestroy(cudaEvent_t event) {
        return EVENTS.remove(get(event)) == null ? cudaError.cudaErrorInvalidResourceHandle : 0;
    }

    public static synchronized int cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
        if (!isStream(stream) || EVENTS.replace(get(event), System.nanoTime()) == null) {
            return cudaError.cudaErrorInvalidResourceHandle;
        }
        return 0;
    }

    public static synchronized int cudaEventSynchronize(cudaEvent_t event) {
        return EVENTS.containsKey(get(event)) ? 0 : cudaError.cudaErrorInvalidResourceHandle;
    }

    public static synchronized int cudaEventQuery(cudaEvent_t event) {
        return cudaEventSynchronize(event);
    }

    public static synchronized int cudaEventElapsedTime(
            float[] milliseconds, cudaEvent_t start, cudaEvent_t end) {
        Long from = EVENTS.get(get(start));
        Long to = EVENTS.get(get(end));
        if (from == null || to == null || from == 0 || to == 0) {
            return cudaError.cudaErrorInvalidResourceHandle;
        }
        milliseconds[0] = (to - from) / 1e6f;
        return 0;
    }

    public static String cudaGetErrorString(int error) {
        return "as the JCuda of the tests says";
    }

    private static boolean isStream(cudaStream_t stream) {
        long address = get(stream);
        return address == 0 || Integer.valueOf(CURRENT.get()).equals(STREAMS.get(address));
    }

    private static boolean isOnDevice(long address, long bytes) {
        Map.Entry<Long, Allocation> below = ALLOCATIONS.floorEntry(address);
        return below != null && address + bytes <= below.getKey() + below.getValue().bytes;
    }

    private static MemorySegment memory(long address, long bytes) {
        return MemorySegment.ofAddress(address).reinterpret(bytes);
    }

    // JCuda's own natives write and read this field.
    private static final Field ADDRESS;

    static {
        try {
            ADDRESS = NativePointerObject.class.getDeclaredField("nativePointer");
            ADDRESS.setAccessible(true);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    private static long get(NativePointerObject object) {
        try {
            return ADDRESS.getLong(object);
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(e);
        }
    }

    private static void set(NativePointerObject object, long address) {
        try {
            ADDRESS.setLong(object, address);
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(e);
        }
    }
}
