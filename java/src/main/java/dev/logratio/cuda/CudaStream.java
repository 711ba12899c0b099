package dev.logratio.cuda;

import dev.logratio.Backend;
import dev.logratio.BackendUnavailableException;
import dev.logratio.internal.cuda.DeviceStream;
import dev.logratio.internal.ffm.CudaBackend;

/**
 * A queue of work on a device: its own, that of another library, or the legacy default stream. It
 * also keeps the workspace that the CUDA backend's calls on it share, so one object should serve a
 * stream as long as it is in use. A graph that was captured from its calls uses that workspace,
 * too: it must not run beside other work of this object, on whichever stream it is launched.
 *
 * <p>May be used by any number of threads at once.
 *
 * @since 0.1.0
 */
public sealed interface CudaStream extends AutoCloseable permits DeviceStream {
    /**
     * A new stream, which waits for the legacy default stream as that does for it.
     *
     * @param device from 0
     * @return the stream; close it
     * @throws BackendUnavailableException if there is no GPU, driver or CUDA library, or no such
     *     device; the message says which
     */
    static CudaStream create(int device) {
        return DeviceStream.create(device);
    }

    /**
     * A stream of another library.
     *
     * @param device from 0
     * @param address its {@code cudaStream_t}, {@code torch.cuda.current_stream().cuda_stream} in
     *     PyTorch; 0 is the legacy default stream
     * @return the stream; closing it frees its workspace, not the stream
     */
    static CudaStream ofAddress(int device, long address) {
        return DeviceStream.ofAddress(device, address);
    }

    /**
     * The legacy default stream of a device.
     *
     * @param device from 0
     * @return the stream, always the same; closing it does nothing
     */
    static CudaStream legacy(int device) {
        return DeviceStream.legacy(device);
    }

    /**
     * The device that the stream is on.
     *
     * @return from 0
     */
    int device();

    /**
     * The stream's {@code cudaStream_t}.
     *
     * @return 0 for the legacy default stream
     */
    long address();

    /**
     * The CUDA backend on this stream. Its tensors are in the memory of the stream's device; a call
     * starts the work and returns, except for {@link dev.logratio.PreferenceStep#run}, whose
     * metrics are waited for. So tensors must stay open until the stream has done the work, and
     * values on the device are not checked beforehand: a label that is out of range gives NaN in
     * its row and gradient 0, and {@link #countBadValues} tells. The first calls of a stream
     * allocate its workspace; a repeated call allocates nothing and can be captured in a graph.
     *
     * @return a backend
     * @throws BackendUnavailableException if there is no GPU, driver or CUDA library; the message
     *     says which
     */
    default Backend backend() {
        return CudaBackend.on(this, false);
    }

    /**
     * Waits until the stream has done its work.
     *
     * @throws IllegalStateException if work on the device has failed
     */
    void synchronize();

    /**
     * Whether the stream has done its work.
     *
     * @return false while there is some left
     * @throws IllegalStateException if work on the device has failed
     */
    boolean isDone();

    /**
     * Lets what is queued from now on wait for an event.
     *
     * @param event recorded on this stream or any other
     */
    void await(CudaEvent event);

    /**
     * Waits for the stream and counts the bad values that the CUDA backend's calls on it have met:
     * labels that are neither in the vocabulary nor the ignore index, and mask weights that are
     * negative or not finite. Their rows give NaN, gradient 0, or do not count. So are ends of
     * packed sequences that do not rise from 0 to the number of tokens; every result is then NaN.
     *
     * @return how many there were since the stream was first used
     * @throws IllegalStateException if this is closed
     */
    long countBadValues();

    /**
     * Waits for the stream, frees its workspace, and destroys it if it is our own; does nothing on
     * the legacy default stream.
     */
    @Override
    void close();
}
