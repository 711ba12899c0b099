package dev.logratio.cuda;

import dev.logratio.BackendUnavailableException;
import dev.logratio.DType;
import dev.logratio.Device;
import dev.logratio.Tensor;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * A queue of work on a device: its own, that of another library, or the legacy default stream. It
 * also keeps the workspace that the CUDA backend's calls on it share, so one object should serve a
 * stream as long as it is in use.
 *
 * <p>May be used by any number of threads at once.
 */
public final class CudaStream implements AutoCloseable {
    private static final long LEAST_WORKSPACE = 1 << 20;
    private static final Map<Integer, CudaStream> LEGACY = new ConcurrentHashMap<>();

    private enum Origin {
        OWN,
        FOREIGN,
        LEGACY
    }

    private final int device;
    private final long address;
    private final Origin origin;
    private final List<Tensor> workspaces =
            new ArrayList<>(); // growing; earlier ones may be part of captured graphs
    private Tensor badValues;
    private boolean closed;

    private CudaStream(int device, long address, Origin origin) {
        this.device = device;
        this.address = address;
        this.origin = origin;
    }

    /**
     * A new stream, which waits for the legacy default stream as that does for it.
     *
     * @param device from 0
     * @return the stream; close it
     * @throws BackendUnavailableException if there is no GPU, driver or CUDA library; the message
     *     says which
     */
    public static CudaStream create(int device) {
        long[] address = new long[1];
        Cuda.on(device, () -> address[0] = JCudaCalls.createStream());
        return new CudaStream(device, address[0], Origin.OWN);
    }

    /**
     * A stream of another library.
     *
     * @param device from 0
     * @param address its {@code cudaStream_t}, {@code torch.cuda.current_stream().cuda_stream} in
     *     PyTorch; 0 is the legacy default stream
     * @return the stream; closing it frees its workspace, not the stream
     */
    public static CudaStream ofAddress(int device, long address) {
        return new CudaStream(Device.cuda(device).index(), address, Origin.FOREIGN);
    }

    /**
     * The legacy default stream of a device.
     *
     * @param device from 0
     * @return the stream, always the same; closing it does nothing
     */
    public static CudaStream legacy(int device) {
        return LEGACY.computeIfAbsent(
                Device.cuda(device).index(), index -> new CudaStream(index, 0, Origin.LEGACY));
    }

    /**
     * The device that the stream is on.
     *
     * @return from 0
     */
    public int device() {
        return device;
    }

    /**
     * The stream's {@code cudaStream_t}.
     *
     * @return 0 for the legacy default stream
     */
    public long address() {
        return address;
    }

    /**
     * Waits until the stream has done its work.
     *
     * @throws IllegalStateException if work on the device has failed
     */
    public void synchronize() {
        Cuda.on(device, () -> JCudaCalls.synchronize(this));
    }

    /**
     * Whether the stream has done its work.
     *
     * @return false while there is some left
     * @throws IllegalStateException if work on the device has failed
     */
    public boolean isDone() {
        boolean[] done = new boolean[1];
        Cuda.on(device, () -> done[0] = JCudaCalls.isDone(this));
        return done[0];
    }

    /**
     * Lets what is queued from now on wait for an event.
     *
     * @param event recorded on this stream or any other
     */
    public void await(CudaEvent event) {
        Cuda.on(device, () -> JCudaCalls.await(this, event.handle()));
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
     * The number of bad values that the CUDA backend's calls on this stream have met: labels that
     * are neither in the vocabulary nor the ignore index, and mask weights that are negative or not
     * finite. Their rows give NaN, gradient 0, or do not count.
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

    /**
     * Waits for the stream and reads {@link #badValues}.
     *
     * @return how many there were since the stream was first used
     */
    public long countBadValues() {
        try (Tensor count = CudaTensors.toHost(badValues(), this)) {
            return count.getLong(0);
        }
    }

    /**
     * Waits for the stream, frees its workspace, and destroys it if it is our own; does nothing on
     * the legacy default stream.
     */
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
            Cuda.on(device, () -> JCudaCalls.destroy(this));
        }
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException(this + " is closed");
        }
    }

    /** The stream's address and device. */
    @Override
    public String toString() {
        return "CUDA stream 0x" + Long.toHexString(address) + " on CUDA " + device;
    }
}
