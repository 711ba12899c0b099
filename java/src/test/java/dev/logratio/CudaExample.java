package dev.logratio;

import dev.logratio.cuda.CudaStream;
import dev.logratio.loss.Dlrml;

/** The example of docs/gpu.md. */
final class CudaExample {
    private CudaExample() {}

    // @start region="step"
    /**
     * One step on another library's GPU memory and stream, such as PyTorch's data_ptr() and
     * current_stream().cuda_stream.
     */
    static double step(
            long logitsPointer,
            long labelsPointer,
            long referencePointer,
            long streamPointer,
            long pairs,
            long tokens,
            long vocabulary) {
        Device gpu = Device.cuda(0);
        long sequences = 2 * pairs;
        try (CudaStream stream = CudaStream.ofAddress(0, streamPointer);
                Tensor logits =
                        Tensor.ofAddress(
                                gpu,
                                logitsPointer,
                                DType.BF16,
                                new long[] {sequences, tokens, vocabulary},
                                null);
                Tensor labels =
                        Tensor.ofAddress(
                                gpu,
                                labelsPointer,
                                DType.I64,
                                new long[] {sequences, tokens},
                                null);
                Tensor reference =
                        Tensor.ofAddress(
                                gpu, referencePointer, DType.F32, new long[] {sequences}, null)) {
            return PreferenceStep.of(new Dlrml(), logits, labels)
                    .referenceLogps(reference)
                    .inPlace() // the gradient takes the place of the logits
                    .run(stream.backend())
                    .loss();
        }
    }
    // @end
}
