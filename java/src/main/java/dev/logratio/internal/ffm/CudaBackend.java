package dev.logratio.internal.ffm;

import dev.logratio.DType;
import dev.logratio.DeviceInfo;
import dev.logratio.GemmInfo;
import dev.logratio.Tensor;
import dev.logratio.bindings.NativeMemory;
import dev.logratio.bindings.logratio_h;
import dev.logratio.bindings.lr_cuda;
import dev.logratio.bindings.lr_step_metrics;
import dev.logratio.cuda.CudaStream;
import dev.logratio.cuda.CudaTensors;
import dev.logratio.internal.check.Operand;
import dev.logratio.internal.cuda.DeviceStream;
import dev.logratio.internal.tensor.StridedTensor;

import java.lang.foreign.MemorySegment;

/** The CUDA kernels on a stream of a GPU. */
public final class CudaBackend extends DeviceBackend {
    private final DeviceStream stream;
    private final String detail;
    private final boolean staged;

    public CudaBackend(CudaStream stream, String detail, boolean staged) {
        super("cuda", logratio_h.kDLCUDA());
        this.stream = (DeviceStream) stream;
        this.detail = detail;
        this.staged = staged;
    }

    /**
     * On tensors of the stream's device or, staged, on host tensors that are copied there and back.
     */
    public static CudaBackend on(CudaStream stream, boolean staged) {
        DeviceInfo info = info(stream.device());
        return new CudaBackend(
                stream,
                info.name()
                        + ", compute capability "
                        + info.computeCapability() / 10
                        + "."
                        + info.computeCapability() % 10
                        + ", CUDA "
                        + version(info.runtimeVersion())
                        + " on a driver for "
                        + version(info.driverVersion()),
                staged);
    }

    /** On the legacy default stream of the first device. */
    public static CudaBackend onDefaultStream(boolean staged) {
        return on(CudaStream.legacy(0), staged);
    }

    /** What a CUDA device is. */
    public static DeviceInfo info(int index) {
        loadLibrary("cuda");
        return info(logratio_h.kDLCUDA(), index);
    }

    /** What makes the matrix products of linear operations on a CUDA device. */
    public static GemmInfo gemm(int index) {
        loadLibrary("cuda");
        return Gemm.ofDevice(logratio_h.kDLCUDA(), index);
    }

    private static String version(int number) {
        return number / 1000 + "." + number % 1000 / 10;
    }

    @Override
    public String detail() {
        return detail;
    }

    @Override
    public void requireItsMemory(Operand operand, StridedTensor tensor) {
        if (staged) {
            super.requireItsMemory(operand, tensor);
        } else if (tensor.device().isHost()) {
            throw new IllegalArgumentException(
                    operand.id()
                            + " is "
                            + tensor
                            + " in host memory, expected CUDA "
                            + stream.device()
                            + " for the backend cuda: copy it there first, with"
                            + " CudaTensors.toDevice");
        } else if (tensor.device().index() != stream.device()) {
            throw new IllegalArgumentException(
                    operand.id()
                            + " is "
                            + tensor
                            + ", expected CUDA "
                            + stream.device()
                            + ", where the backend's stream is");
        }
    }

    @Override
    Staging staging() {
        return staged ? new Staging(new StreamSpace(stream)) : null;
    }

    @Override
    void run(NativeCall args) {
        args.toDevice();
        // Calls on a stream share its workspace, so their kernels must not mingle.
        synchronized (stream) {
            long cuda = prepare(args, stream.address());
            launch(args, cuda, stream.workspace(workspaceBytes(args, cuda)));
        }
        args.toHost();
    }

    /** The metrics are written on the device, past the workspace, and waited for. */
    @Override
    void runWithMetrics(NativeCall args, long field, long metrics) {
        args.toDevice();
        synchronized (stream) {
            long cuda = prepare(args, stream.address());
            long offset = NativeMemory.deviceBytes(workspaceBytes(args, cuda));
            long end = offset + lr_step_metrics.sizeof();
            Tensor workspace = stream.workspace(end);
            Tensor onDevice = workspace.slice(0, offset, end);
            args.put(field, onDevice.address());
            launch(args, cuda, workspace);
            MemorySegment host = args.part(metrics, lr_step_metrics.sizeof());
            CudaTensors.copyAsync(
                    Tensor.wrap(host, DType.U8, lr_step_metrics.sizeof()), onDevice, stream);
            stream.synchronize();
        }
        args.toHost();
    }

    private void launch(NativeCall args, long cuda, Tensor workspace) {
        args.put(cuda + lr_cuda.workspace$offset(), workspace.address());
        args.put(cuda + lr_cuda.bad_values$offset(), stream.badValues().address());
        args.call();
    }

    /** Device memory for staging: all on the stream, in its order. */
    private record StreamSpace(CudaStream stream) implements Staging.Space {
        @Override
        public Tensor allocate(long bytes) {
            return CudaTensors.empty(stream.device(), DType.U8, bytes);
        }

        @Override
        public void copy(Tensor to, Tensor from) {
            CudaTensors.copyAsync(to, from, stream);
        }

        @Override
        public void await() {
            stream.synchronize();
        }
    }
}
