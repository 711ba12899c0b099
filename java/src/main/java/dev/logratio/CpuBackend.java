package dev.logratio;

import dev.logratio.bindings.logratio_h;

import java.lang.foreign.MemorySegment;

/** The native library's CPU kernels. */
final class CpuBackend extends NativeBackend {
    private static volatile CpuBackend instance;

    private final String instructionSet;

    private CpuBackend(String instructionSet) {
        super("cpu");
        this.instructionSet = instructionSet;
    }

    /** The backend; each failed attempt throws anew, and says the same. */
    static CpuBackend instance() {
        CpuBackend ready = instance;
        if (ready == null) {
            ready = load();
            instance = ready;
        }
        return ready;
    }

    private static CpuBackend load() {
        loadLibrary("cpu");
        MemorySegment name = logratio_h.lr_cpu_instruction_set();
        if (name.address() == 0) {
            throw new BackendUnavailableException(
                    "the cpu backend is unavailable: " + logratio_h.lr_last_error().getString(0));
        }
        return new CpuBackend(name.getString(0));
    }

    @Override
    String detail() {
        return instructionSet;
    }

    @Override
    NativeCall begin(long structBytes, long cudaField) {
        return new NativeCall(structBytes, cudaField, logratio_h.kDLCPU(), null);
    }

    @Override
    void run(NativeCall args, NativeFunction function) {
        args.check(function.call(args.memory()));
    }

    @Override
    void runWithMetrics(NativeCall args, NativeFunction function, long field, long metrics) {
        run(args, function);
    }
}
