package dev.logratio;

import java.util.Objects;

/**
 * Where a tensor's memory is.
 *
 * @param kind host memory, or that of a CUDA device
 * @param index of the CUDA device as CUDA counts them, from 0; 0 for the host
 * @since 0.1.0
 */
public record Device(Kind kind, int index) {
    /**
     * Kinds of memory.
     *
     * @since 0.1.0
     */
    public enum Kind {
        /** Host memory, pinned or not. */
        CPU,
        /** Memory of a CUDA device, which the host cannot read. */
        CUDA
    }

    /** Host memory. */
    public static final Device CPU = new Device(Kind.CPU, 0);

    /**
     * Memory on a device.
     *
     * @throws IllegalArgumentException if the index is negative, or not 0 for the host
     */
    public Device {
        Objects.requireNonNull(kind, "kind");
        if (index < 0 || kind == Kind.CPU && index != 0) {
            throw new IllegalArgumentException(
                    "device index is "
                            + index
                            + ", expected "
                            + (kind == Kind.CPU ? "0 for the host" : "a number >= 0"));
        }
    }

    /**
     * The memory of a CUDA device.
     *
     * @param index from 0
     * @return the device
     * @throws IllegalArgumentException if the index is negative
     */
    public static Device cuda(int index) {
        return new Device(Kind.CUDA, index);
    }

    /**
     * Whether Java can read and write the memory.
     *
     * @return true for host memory
     */
    public boolean isHost() {
        return kind == Kind.CPU;
    }

    /** {@code "host memory"}, or {@code "CUDA 0"} for the first CUDA device. */
    @Override
    public String toString() {
        return isHost() ? "host memory" : "CUDA " + index;
    }
}
