package dev.logratio.cuda;

import dev.logratio.BackendUnavailableException;

import jcuda.runtime.cudaEvent_t;

/** A point in a stream's work, to wait for and to measure time between. */
public final class CudaEvent implements AutoCloseable {
    private final int device;
    private final cudaEvent_t handle;
    private boolean closed;

    private CudaEvent(int device, cudaEvent_t handle) {
        this.device = device;
        this.handle = handle;
    }

    /**
     * A new event.
     *
     * @param device from 0, of the streams that it will be recorded on
     * @return the event; close it
     * @throws BackendUnavailableException if there is no GPU, driver or CUDA library; the message
     *     says which
     */
    public static CudaEvent create(int device) {
        cudaEvent_t[] handle = new cudaEvent_t[1];
        Cuda.on(device, () -> handle[0] = JCudaCalls.createEvent());
        return new CudaEvent(device, handle[0]);
    }

    /**
     * Marks the end of all that is queued on a stream by now.
     *
     * @param stream on the event's device
     * @return this
     */
    public CudaEvent record(CudaStream stream) {
        Cuda.on(device, () -> JCudaCalls.record(handle, stream));
        return this;
    }

    /** Waits until the work before the event is done. */
    public void synchronize() {
        Cuda.on(device, () -> JCudaCalls.synchronize(handle));
    }

    /**
     * Whether the work before the event is done.
     *
     * @return false while there is some left
     */
    public boolean isDone() {
        boolean[] done = new boolean[1];
        Cuda.on(device, () -> done[0] = JCudaCalls.isDone(handle));
        return done[0];
    }

    /**
     * The time between two events that have both been reached, with a resolution of about half a
     * microsecond.
     *
     * @param start the earlier event
     * @return milliseconds
     * @throws IllegalStateException if one was not recorded, or not reached yet
     */
    public double millisecondsSince(CudaEvent start) {
        double[] time = new double[1];
        Cuda.on(device, () -> time[0] = JCudaCalls.milliseconds(start.handle, handle));
        return time[0];
    }

    cudaEvent_t handle() {
        return handle;
    }

    @Override
    public synchronized void close() {
        if (!closed) {
            closed = true;
            Cuda.on(device, () -> JCudaCalls.destroy(handle));
        }
    }
}
