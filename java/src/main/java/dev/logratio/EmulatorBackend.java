package dev.logratio;

import dev.logratio.bindings.logratio_h;
import dev.logratio.bindings.lr_cuda;

import java.lang.foreign.Arena;

/**
 * The CUDA kernels on the host, thread by thread, for tests. Its memory is the host's, so it takes
 * host tensors.
 */
final class EmulatorBackend extends DeviceBackend {
    private static final long ALIGNMENT = 256;

    private static volatile EmulatorBackend instance;

    private final String detail;
    private final Staging.Space space; // null: tensors are used where they are

    EmulatorBackend(String detail, Staging.Space space) {
        super("emulator");
        this.detail = detail;
        this.space = space;
    }

    static EmulatorBackend instance() {
        EmulatorBackend ready = instance;
        if (ready == null) {
            loadLibrary("emulator");
            ready = new EmulatorBackend(info(logratio_h.kDLExtDev(), 0).name(), null);
            instance = ready;
        }
        return ready;
    }

    @Override
    String detail() {
        return detail;
    }

    @Override
    NativeCall begin(long structBytes, long cudaField) {
        Staging staging = space == null ? null : new Staging(space);
        return new NativeCall(structBytes, cudaField, logratio_h.kDLExtDev(), staging);
    }

    @Override
    void run(NativeCall args, NativeFunction function) {
        args.toDevice();
        long cuda = prepare(args, function, 0);
        try (Arena arena = Arena.ofConfined()) {
            args.put(
                    cuda + lr_cuda.workspace$offset(),
                    arena.allocate(workspaceBytes(args, cuda), ALIGNMENT).address());
            args.check(function.call(args.memory()));
        }
        args.toHost();
    }

    @Override
    void runWithMetrics(NativeCall args, NativeFunction function, long field, long metrics) {
        run(args, function);
    }
}
