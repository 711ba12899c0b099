package dev.logratio.cuda;

import dev.logratio.BackendUnavailableException;
import dev.logratio.internal.cuda.DeviceEvent;

/**
 * A point in a stream's work, to wait for and to measure time between.
 *
 * @since 0.1.0
 */
public sealed interface CudaEvent extends AutoCloseable permits DeviceEvent {
    /**
     * A new event.
     *
     * @param device from 0, of the streams that it will be recorded on
     * @return the event; close it
     * @throws BackendUnavailableException if there is no GPU, driver or CUDA library, or no such
     *     device; the message says which
     */
    static CudaEvent create(int device) {
        return DeviceEvent.create(device);
    }

    /**
     * An event of another library.
     *
     * @param device from 0
     * @param address its {@code cudaEvent_t}
     * @return the event; closing it does nothing
     */
    static CudaEvent ofAddress(int device, long address) {
        return DeviceEvent.ofAddress(device, address);
    }

    /**
     * The device that the event is on.
     *
     * @return from 0
     */
    int device();

    /**
     * The event's {@code cudaEvent_t}.
     *
     * @return never 0
     */
    long address();

    /**
     * Marks the end of all that is queued on a stream by now.
     *
     * @param stream on the event's device
     * @return this
     */
    CudaEvent record(CudaStream stream);

    /** Waits until the work before the event is done. */
    void synchronize();

    /**
     * Whether the work before the event is done.
     *
     * @return false while there is some left
     */
    boolean isDone();

    /**
     * The time between two events that have both been reached, with a resolution of about half a
     * microsecond.
     *
     * @param start the earlier event
     * @return milliseconds
     * @throws IllegalStateException if one was not recorded, or not reached yet
     */
    double millisecondsSince(CudaEvent start);

    /** Destroys the event if it is our own. */
    @Override
    void close();
}
