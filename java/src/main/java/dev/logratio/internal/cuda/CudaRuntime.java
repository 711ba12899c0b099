package dev.logratio.internal.cuda;

import dev.logratio.BackendUnavailableException;

/**
 * The functions of CUDA's runtime that are used. Memory, streams and events are addresses; stream 0
 * is the legacy default stream. A call works on the device that it names, and leaves the thread's
 * current device as it was.
 *
 * <p>A failure is an {@link IllegalStateException} that names CUDA's function and CUDA's reason, or
 * an {@link OutOfMemoryError}; a {@link BackendUnavailableException} where there is no such device.
 */
public interface CudaRuntime {
    /**
     * The runtime that this process uses.
     *
     * @return always the same
     * @throws BackendUnavailableException if there is no GPU, driver or CUDA library; the message
     *     says which
     */
    static CudaRuntime get() {
        return CudaRuntimes.get();
    }

    // ---- Devices ----

    int deviceCount();

    int currentDevice();

    void setCurrentDevice(int device);

    void synchronizeDevice(int device);

    // ---- Memory ----

    long allocate(int device, long bytes);

    void free(int device, long address);

    /** Queues writing a value to every byte. */
    void fill(int device, long stream, long address, byte value, long bytes);

    /** Pins host memory. */
    void pin(int device, long address, long bytes);

    void unpin(int device, long address);

    /** Queues a copy between places that are each on the device or on the host. */
    void copy(int device, long stream, Place to, Place from, long bytes);

    /** Where an end of a copy lies. */
    record Place(long address, boolean isHost) {}

    // ---- Streams ----

    long createStream(int device);

    void destroyStream(int device, long stream);

    void synchronizeStream(int device, long stream);

    boolean isStreamDone(int device, long stream);

    /** Lets what is queued on a stream from now on wait for an event. */
    void await(int device, long stream, long event);

    // ---- Events ----

    long createEvent(int device);

    void destroyEvent(int device, long event);

    void record(int device, long event, long stream);

    void synchronizeEvent(int device, long event);

    boolean isEventDone(int device, long event);

    /** The time from one event to another. */
    double milliseconds(int device, long start, long end);
}
