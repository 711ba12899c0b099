package dev.logratio.internal.ffm;

import dev.logratio.BackendUnavailableException;
import dev.logratio.LinearPlan;
import dev.logratio.StepMetrics;
import dev.logratio.bindings.NativeLibrary;
import dev.logratio.bindings.NativeLibraryException;
import dev.logratio.bindings.lr_linear_plan;
import dev.logratio.bindings.lr_step_metrics;
import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.Engine;

import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicReference;

/** The native library: its argument structs are the same for every kind of device. */
abstract sealed class NativeBackend extends Engine permits CpuBackend, DeviceBackend {
    private final int deviceType;
    private final AtomicReference<NativeCall> spare = new AtomicReference<>();

    /** A backend for tensors of a kind of device, by DLPack's number. The library is loaded. */
    NativeBackend(String name, int deviceType) {
        super(name);
        this.deviceType = deviceType;
    }

    /**
     * Loads the native library if it is not loaded yet. Its bindings cannot be touched before.
     *
     * @throws BackendUnavailableException if it cannot be loaded; the message begins with the
     *     backend, and says why
     */
    static void loadLibrary(String backend) {
        try {
            NativeLibrary.load();
        } catch (NativeLibraryException e) {
            throw new BackendUnavailableException(
                    "the " + backend + " backend is unavailable: " + e.getMessage(), e);
        }
    }

    @Override
    public final boolean isReference() {
        return false;
    }

    /** What takes a call's host tensors to the device, null where they are used where they are. */
    abstract Staging staging();

    /** Gets ready for the matrix products of a call, which is of a linear operation. */
    void prepareProducts() {}

    /** Runs a call whose arguments are written. */
    abstract void run(NativeCall args);

    /**
     * As {@link #run}, of a call that points a field to the metrics, which it has at an offset when
     * this returns.
     */
    abstract void runWithMetrics(NativeCall args, long field, long metrics);

    /** The block is the one that the last call left, unless another call is at work with it. */
    @Override
    public final void execute(Call call) {
        if (call.signature().isLinear()) {
            prepareProducts();
        }
        NativeCall left = spare.getAndSet(null);
        NativeCall args = left == null ? new NativeCall(deviceType) : left;
        try {
            args.write(call, staging());
            if (call.wantsMetrics()) {
                long field = args.metrics();
                long metrics = args.pointTo(field, lr_step_metrics.sizeof());
                runWithMetrics(args, field, metrics);
                call.metrics(metrics(args.part(metrics, lr_step_metrics.sizeof())));
            } else {
                run(args);
            }
            if (args.plan() != null) {
                call.plan(plan(args.plan()));
            }
        } finally {
            args.done();
            spare.set(args);
        }
    }

    /** Arguments that stay where they are are written once; others are copied at every run. */
    @Override
    public final Bound bind(Call call) {
        if (staging() != null) {
            return super.bind(call);
        }
        if (call.signature().isLinear()) {
            prepareProducts();
        }
        NativeCall args = new NativeCall(deviceType);
        args.write(call, null);
        return () -> run(args);
    }

    private static LinearPlan plan(MemorySegment struct) {
        return new LinearPlan(
                LinearPlan.Method.values()[lr_linear_plan.method(struct)],
                lr_linear_plan.rows(struct),
                lr_linear_plan.kept_rows(struct),
                lr_linear_plan.recomputed_rows(struct),
                lr_linear_plan.block_rows(struct),
                lr_linear_plan.block_columns(struct),
                lr_linear_plan.operations(struct),
                lr_linear_plan.kept_bytes(struct),
                lr_linear_plan.accumulator_bytes(struct),
                lr_linear_plan.scratch_bytes(struct),
                lr_linear_plan.gemm(struct).getString(0));
    }

    private static StepMetrics metrics(MemorySegment struct) {
        return new StepMetrics(
                lr_step_metrics.loss(struct),
                lr_step_metrics.rewards_chosen(struct),
                lr_step_metrics.rewards_rejected(struct),
                lr_step_metrics.rewards_margin(struct),
                lr_step_metrics.rewards_accuracy(struct),
                lr_step_metrics.entropy(struct),
                lr_step_metrics.token_accuracy(struct),
                lr_step_metrics.logits_chosen(struct),
                lr_step_metrics.logits_rejected(struct),
                lr_step_metrics.grad_norm(struct),
                lr_step_metrics.nonfinite(struct));
    }
}
