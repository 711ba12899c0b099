package dev.logratio.trainers.pytorch;

import dev.logratio.Backend;
import dev.logratio.Device;
import dev.logratio.cuda.CudaStream;

import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.global.torch_cuda;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** What computes where PyTorch's tensors lie. */
final class TorchBackends {
    /** One object per stream, which keeps the workspace of its calls. */
    private static final Map<StreamKey, CudaStream> STREAMS = new ConcurrentHashMap<>();

    private record StreamKey(int device, long address) {}

    private TorchBackends() {}

    /**
     * The SIMD kernels for host memory, the CUDA kernels on PyTorch's current stream for that of a
     * device: they run after what PyTorch has queued there, and before what it queues next.
     */
    static Backend on(Device device) {
        return device.isHost() ? Backend.cpu() : Cuda.currentStream(device.index()).backend();
    }

    /** The classes of PyTorch's GPU build are looked for only where there is a GPU tensor. */
    private static final class Cuda {
        static CudaStream currentStream(int device) {
            try (PointerScope scope = new PointerScope()) {
                CUstream_st stream = torch_cuda.getCurrentCUDAStream((byte) device).stream();
                // JavaCPP's null is CUDA's legacy default stream.
                return stream == null
                        ? CudaStream.legacy(device)
                        : STREAMS.computeIfAbsent(
                                new StreamKey(device, stream.address()),
                                key -> CudaStream.ofAddress(key.device(), key.address()));
            }
        }
    }
}
