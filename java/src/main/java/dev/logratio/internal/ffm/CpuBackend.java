package dev.logratio.internal.ffm;

import dev.logratio.BackendUnavailableException;
import dev.logratio.GemmInfo;
import dev.logratio.bindings.logratio_h;

import java.lang.foreign.MemorySegment;

/** The native library's CPU kernels. */
public final class CpuBackend extends NativeBackend {
    private static volatile CpuBackend instance;

    private final String instructionSet;

    private CpuBackend(String instructionSet) {
        super("cpu", logratio_h.kDLCPU());
        this.instructionSet = instructionSet;
    }

    /** The backend; each failed attempt throws anew, and says the same. */
    public static CpuBackend instance() {
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
    public String detail() {
        return instructionSet;
    }

    /** Threads that an operation may use, the caller included. */
    public int threads() {
        return logratio_h.lr_threads();
    }

    /** Sets them; the library tells what there may be. */
    public void setThreads(int threads) {
        NativeStatus.check(logratio_h.lr_set_threads(threads));
    }

    /** What makes the matrix products of linear operations. */
    public GemmInfo gemm() {
        return Gemm.ofCpu();
    }

    /** The library looks at labels and masks itself: once is enough. */
    @Override
    public boolean checksValues() {
        return true;
    }

    @Override
    Staging staging() {
        return null;
    }

    @Override
    void prepareProducts() {
        Gemm.open();
    }

    @Override
    void run(NativeCall args) {
        args.call();
    }

    @Override
    void runWithMetrics(NativeCall args, long field, long metrics) {
        args.call();
    }
}
