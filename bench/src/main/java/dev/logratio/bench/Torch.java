package dev.logratio.bench;

import dev.logratio.trainers.pytorch.TorchTensors;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;

/** libtorch's tensors over our memory. */
final class Torch {
    static {
        // JavaCPP compares the resident size of the whole process, our inputs included, with a
        // multiple of the Java heap.
        System.setProperty("org.bytedeco.javacpp.maxPhysicalBytes", "0");
    }

    private Torch() {}

    /** Sets libtorch's threads to ours. */
    static void threads(int threads) {
        torch.set_num_threads(threads);
    }

    /** A view, nothing copied; valid while the tensor's memory is. */
    static Tensor view(dev.logratio.Tensor tensor) {
        return TorchTensors.torch(tensor);
    }

    /** A leaf that shares the memory and whose gradient autograd collects. */
    static Tensor leaf(Tensor tensor) {
        return tensor.detach().requires_grad_(true);
    }
}
