package dev.logratio.internal.cuda;

import dev.logratio.DType;
import dev.logratio.Device;
import dev.logratio.Tensor;
import dev.logratio.cuda.CudaEvent;
import dev.logratio.cuda.CudaStream;
import dev.logratio.cuda.CudaTensors;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** A stream by its address, with the device memory that the CUDA backend's calls on it share. */
public final class DeviceStream implements CudaStream {
    private static final long LEAST_WORKSPACE = 1 << 20;
    private static final Map<Integer, DeviceStream> LEGACY = new ConcurrentHashMap<>();

    private enum Origin {
        OWN,
        FOREIGN,
        LEGACY
    }

    private final int device;
    private final long address;
    private final Origin origin;
    // Growing; earlier ones may be part of captured graphs.
    private final List<Tensor> workspaces = new ArrayList<>();
    private Tensor badValues;
    private boolean closed;

    private DeviceStream(int device, long address, Origin origin) {
        this.device = device;
        this.address = address;
        this.origin = origin;
    }

    public static DeviceStream create(int device) {
        return new DeviceStream(device, CudaRuntime.get().createStream(device), Origin.OWN);
    }

    public static DeviceStream ofAddress(int device, long address) {
        return new DeviceStream(Device.cuda(device).index(), address, Origin.FOREIGN);
    }

    public static DeviceStream legacy(int device) {
        return LEGACY.computeIfAbsent(
                Device.cuda(device).index(), index -> new DeviceStream(index, 0, Origin.LEGACY));
    }

    @Override
    public int device() {
        return device;
    }

    @Override
    public long address() {
        return address;
    }

    @Override
    public void synchronize() {
        CudaRuntime.get().synchronizeStream(device, address);
    }

    @Override
    public boolean isDone() {
        return CudaRuntime.get().isStreamDone(device, address);
    }

    @Override
    public void await(CudaEvent event) {
        CudaRuntime.get().await(device, address, event.address());
    }

    /**
     * Scratch memory that the calls on this stream share. It is allocated when first asked for or
     * when more is asked for than there is; what was given before stays where it is until the
     * stream is closed, since captured graphs may use it.
     *
     * @param bytes how much is needed at least
     * @return U8 memory on the device, aligned to 256 bytes; not to be closed
     * @throws OutOfMemoryError if the device has no such memory left
     * @throws IllegalStateException if this is closed
     */
    public synchronized Tensor workspace(long bytes) {
        requireOpen();
        Tensor largest = workspaces.isEmpty() ? null : workspaces.getLast();
        if (largest == null || largest.elementCount() < bytes) {
            // At least twice as much, so that all the earlier ones together take no more than the
            // last.
            long size =
                    Math.max(bytes, largest == null ? LEAST_WORKSPACE : 2 * largest.elementCount());
            largest = CudaTensors.empty(device, DType.U8, size);
            workspaces.add(largest);
        }
        return largest;
    }

    /**
     * The number of bad values that the CUDA backend's calls on this stream have met.
     *
     * @return a count on the device, I64 [1]; not to be closed
     * @throws IllegalStateException if this is closed
     */
    public synchronized Tensor badValues() {
        requireOpen();
        if (badValues == null) {
            badValues = CudaTensors.zeros(device, DType.I64, 1);
        }
        return badValues;
    }

    @Override
    public long countBadValues() {
        try (Tensor count = CudaTensors.toHost(badValues(), this)) {
            return count.getLong(0);
        }
    }

    @Override
    public synchronized void close() {
        if (closed || origin == Origin.LEGACY) {
            return;
        }
        if (!workspaces.isEmpty() || badValues != null || origin == Origin.OWN) {
            synchronize();
        }
        closed = true;
        workspaces.forEach(Tensor::close);
        if (badValues != null) {
            badValues.close();
        }
        if (origin == Origin.OWN) {
            CudaRuntime.get().destroyStream(device, address);
        }
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException(this + " is closed");
        }
    }

    @Override
    public String toString() {
        return "CUDA stream 0x" + Long.toHexString(address) + " on CUDA " + device;
    }
}
