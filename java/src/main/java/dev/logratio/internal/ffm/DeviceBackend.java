package dev.logratio.internal.ffm;

import dev.logratio.DeviceInfo;
import dev.logratio.bindings.logratio_h;
import dev.logratio.bindings.lr_cuda;
import dev.logratio.bindings.lr_device_info;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * The CUDA kernels, on a GPU or emulated: a call asks first how much workspace it needs, and then
 * runs with that much.
 */
abstract sealed class DeviceBackend extends NativeBackend permits CudaBackend, EmulatorBackend {
    DeviceBackend(String name, int deviceType) {
        super(name, deviceType);
    }

    /** The library does not read values on a device. */
    @Override
    public final boolean checksValues() {
        return false;
    }

    /**
     * What runs calls on a device. The library must be loaded.
     *
     * @param deviceType DLPack's number
     * @throws BackendUnavailableException if nothing does; the message says what is missing
     */
    static DeviceInfo info(int deviceType, int index) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment info = arena.allocate(lr_device_info.layout());
            lr_device_info.size(info, lr_device_info.sizeof());
            NativeStatus.check(logratio_h.lr_device(deviceType, index, info));
            return new DeviceInfo(
                    lr_device_info.name(info).getString(0),
                    lr_device_info.driver_version(info),
                    lr_device_info.runtime_version(info),
                    lr_device_info.compute_capability(info),
                    lr_device_info.multiprocessors(info),
                    lr_device_info.memory_bytes(info));
        }
    }

    /**
     * Writes a call's {@code lr_cuda}, and asks how much workspace the call needs; nothing runs.
     *
     * @return where the struct is
     */
    final long prepare(NativeCall args, long stream) {
        long cuda = args.pointToCuda();
        args.put(cuda + lr_cuda.stream$offset(), stream);
        args.call();
        if (workspaceBytes(args, cuda) <= 0) {
            throw new IllegalStateException(
                    "the native library did not take the call to the " + name() + " backend");
        }
        return cuda;
    }

    static long workspaceBytes(NativeCall args, long cuda) {
        return args.get(cuda + lr_cuda.workspace_bytes$offset());
    }
}
