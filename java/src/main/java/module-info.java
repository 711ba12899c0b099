/**
 * Preference-optimisation losses on hand-written kernels: fused, never NaN where the maths has a
 * value, repeatable to the bit.
 *
 * <p>Tensors, operations and backends are in the package {@code dev.logratio}, the losses in {@link
 * dev.logratio.loss}. Two losses that compare a model with itself are in {@link
 * dev.logratio.misalignment}, what a program needs on NVIDIA GPUs is in {@link dev.logratio.cuda}.
 */
@SuppressWarnings("module") // dev.logratio.cli is compiled after this module
module dev.logratio {
    requires dev.logratio.bindings;
    requires static org.jspecify;
    // Netlib and JCuda are optional.
    requires static dev.ludovic.netlib.blas;
    requires static java.logging; // of JCuda, whose jar names no module that it needs
    requires static jcuda;

    exports dev.logratio;
    exports dev.logratio.cuda;
    exports dev.logratio.loss;
    exports dev.logratio.misalignment;

    // Its tables of operands and options are derived from these.
    exports dev.logratio.internal to
            dev.logratio.cli;
    exports dev.logratio.internal.check to
            dev.logratio.cli;
}
