package dev.logratio.cuda;

import dev.logratio.BackendUnavailableException;
import dev.logratio.Logratio;

/** The CUDA devices of this machine. */
public final class Cuda {
    private static volatile boolean available;

    private Cuda() {}

    /**
     * How many devices there are.
     *
     * @return at least 1
     * @throws BackendUnavailableException if there is no GPU, driver or CUDA library; the message
     *     says which
     */
    public static int deviceCount() {
        requireAvailable();
        return JCudaCalls.deviceCount();
    }

    /**
     * The device on which the calling thread's CUDA calls work where they name none.
     *
     * @return from 0
     * @throws BackendUnavailableException if there is no GPU, driver or CUDA library; the message
     *     says which
     */
    public static int currentDevice() {
        requireAvailable();
        return JCudaCalls.currentDevice();
    }

    /**
     * Sets the calling thread's current device. Nothing of this library depends on it: tensors and
     * streams know their devices.
     *
     * @param device from 0
     * @throws BackendUnavailableException if there is no GPU, driver or CUDA library; the message
     *     says which
     * @throws IllegalStateException if there is no such device
     */
    public static void setCurrentDevice(int device) {
        requireAvailable();
        JCudaCalls.setDevice(device);
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
        on(device, JCudaCalls::synchronizeDevice);
    }

    /** Does something with a device current, and leaves the thread's current device as it was. */
    static void on(int device, Runnable work) {
        requireAvailable();
        int before = JCudaCalls.currentDevice();
        if (before == device) {
            work.run();
            return;
        }
        JCudaCalls.setDevice(device);
        try {
            work.run();
        } finally {
            JCudaCalls.setDevice(before);
        }
    }

    /**
     * Nothing of JCuda is touched before the native library has found a device. Success alone is
     * remembered.
     */
    private static void requireAvailable() {
        if (available) {
            return;
        }
        Logratio.cudaDevice(0);
        JCudaLibrary.load();
        available = true;
    }
}
