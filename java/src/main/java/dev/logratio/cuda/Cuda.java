package dev.logratio.cuda;

import dev.logratio.BackendUnavailableException;
import dev.logratio.internal.cuda.CudaRuntime;

/**
 * The CUDA devices of this machine.
 *
 * @since 0.1.0
 */
public final class Cuda {
    private Cuda() {}

    /**
     * How many devices there are.
     *
     * @return at least 1
     * @throws BackendUnavailableException if there is no GPU, driver or CUDA library; the message
     *     says which
     */
    public static int deviceCount() {
        return CudaRuntime.get().deviceCount();
    }

    /**
     * The device on which the calling thread's CUDA calls work where they name none.
     *
     * @return from 0
     * @throws BackendUnavailableException if there is no GPU, driver or CUDA library; the message
     *     says which
     */
    public static int currentDevice() {
        return CudaRuntime.get().currentDevice();
    }

    /**
     * Sets the calling thread's current device. Nothing of this library depends on it: tensors and
     * streams know their devices.
     *
     * @param device from 0
     * @throws BackendUnavailableException if there is no GPU, driver or CUDA library, or no such
     *     device; the message says which
     */
    public static void setCurrentDevice(int device) {
        CudaRuntime.get().setCurrentDevice(device);
    }

    /**
     * Waits for all work on a device, and reports a failure of it.
     *
     * @param device from 0
     * @throws BackendUnavailableException if there is no GPU, driver or CUDA library; the message
     *     says which
     * @throws IllegalStateException if work on the device has failed
     */
    public static void synchronize(int device) {
        CudaRuntime.get().synchronizeDevice(device);
    }
}
