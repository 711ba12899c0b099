package dev.logratio.cuda;

import dev.logratio.Backend;
import dev.logratio.BackendUnavailableException;
import dev.logratio.DType;
import dev.logratio.Logratio;
import dev.logratio.Tensor;

import jcuda.runtime.JCuda;
import jcuda.runtime.cudaError;

import java.util.List;

/**
 * Tries everything that needs a GPU, and prints what each attempt said; a class that fails to load
 * ends it with a stack trace.
 */
final class LoadingProgram {
    private LoadingProgram() {}

    public static void main(String[] args) {
        Backend.all().forEach(info -> System.out.println(info.name() + ": " + info.detail()));
        List<Runnable> attempts =
                List.of(
                        Backend::cuda,
                        Backend::cudaOnHostTensors,
                        () -> Backend.named("cuda"),
                        () -> Logratio.cudaDevice(0),
                        Cuda::deviceCount,
                        Cuda::currentDevice,
                        () -> Cuda.setCurrentDevice(0),
                        () -> Cuda.synchronize(0),
                        () -> CudaTensors.empty(0, DType.F32, 1),
                        () -> CudaTensors.zeros(0, DType.F32, 1),
                        () -> CudaTensors.pinned(0, DType.F32, 1),
                        () ->
                                CudaTensors.toDevice(
                                        Tensor.zeros(DType.F32, 1), CudaStream.legacy(0)),
                        () -> CudaStream.create(0),
                        () -> CudaStream.legacy(0).synchronize(),
                        () -> CudaStream.ofAddress(0, 2).isDone(),
                        () -> CudaStream.legacy(0).countBadValues(),
                        () -> CudaEvent.create(0),
                        () -> CudaEvent.ofAddress(0, 8).synchronize());
        for (Runnable attempt : attempts) {
            try {
                attempt.run();
                System.out.println("done");
            } catch (BackendUnavailableException e) {
                System.out.println(e.getMessage());
            }
        }
        if (args.length > 0) {
            WithJCuda.run();
        }
    }

    /** Not loaded where JCuda is absent. */
    private static final class WithJCuda {
        /** Without a driver, JCuda itself: its natives load, and CUDA answers. */
        static void run() {
            try {
                JCudaInterop.load();
                System.out.println(
                        "JCuda: " + cudaError.stringFor(JCuda.cudaGetDeviceCount(new int[1])));
            } catch (BackendUnavailableException e) {
                System.out.println("JCuda: " + e.getMessage());
            }
            System.out.println(JCudaInterop.stream(CudaStream.ofAddress(0, 0x1234)));
        }
    }
}
