package dev.logratio.internal.ffm;

import dev.logratio.bindings.NativeMemory;
import dev.logratio.bindings.logratio_h;
import dev.logratio.bindings.lr_cuda;

import java.lang.foreign.Arena;

/**
 * The CUDA kernels on the host, thread by thread, for tests. Its memory is the host's, so it takes
 * host tensors.
 */
public final class EmulatorBackend extends DeviceBackend {
    private static volatile EmulatorBackend instance;

    private final String detail;
    private final Staging.Space space; // null: tensors are used where they are

    EmulatorBackend(String detail, Staging.Space space) {
        super("emulator", logratio_h.kDLExtDev());
        this.detail = detail;
        this.space = space;
    }

    public static EmulatorBackend instance() {
        EmulatorBackend ready = instance;
        if (ready == null) {
            loadLibrary("emulator");
            ready = new EmulatorBackend(info(logratio_h.kDLExtDev(), 0).name(), null);
            instance = ready;
        }
        return ready;
    }

    @Override
    public String detail() {
        return detail;
    }

    @Override
    Staging staging() {
        return space == null ? null : new Staging(space);
    }

    @Override
    void run(NativeCall args) {
        args.toDevice();
        long cuda = prepare(args, 0);
        try (Arena arena = Arena.ofConfined()) {
            args.put(
                    cuda + lr_cuda.workspace$offset(),
                    arena.allocate(workspaceBytes(args, cuda), NativeMemory.DEVICE_ALIGNMENT)
                            .address());
            args.call();
        }
        args.toHost();
    }

    @Override
    void runWithMetrics(NativeCall args, long field, long metrics) {
        run(args);
    }
}
