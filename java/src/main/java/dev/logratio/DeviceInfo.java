package dev.logratio;

/**
 * What runs the CUDA kernels.
 *
 * @param name as the driver gives it, {@code "NVIDIA H100 80GB HBM3"}
 * @param driverVersion of CUDA that the driver supports, 13000 is 13.0; 0 for the emulator
 * @param runtimeVersion of CUDA that the library was built with
 * @param computeCapability 90 is 9.0
 * @param multiprocessors number of them
 * @param memoryBytes of the device
 * @since 0.1.0
 */
public record DeviceInfo(
        String name,
        int driverVersion,
        int runtimeVersion,
        int computeCapability,
        int multiprocessors,
        long memoryBytes) {}
