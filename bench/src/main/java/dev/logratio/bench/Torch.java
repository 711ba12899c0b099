package dev.logratio.bench;

import dev.logratio.DType;

import org.bytedeco.javacpp.Pointer;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

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
        try (TensorOptions options = new TensorOptions(type(tensor.dtype()))) {
            return torch.from_blob(
                    new Address(tensor.address()), tensor.shape(), tensor.strides(), options);
        }
    }

    /** A leaf that shares the memory and whose gradient autograd collects. */
    static Tensor leaf(Tensor tensor) {
        return tensor.detach().requires_grad_(true);
    }

    private static ScalarType type(DType dtype) {
        return switch (dtype) {
            case F64 -> ScalarType.Double;
            case F32 -> ScalarType.Float;
            case BF16 -> ScalarType.BFloat16;
            case F16 -> ScalarType.Half;
            case I64 -> ScalarType.Long;
            case I32 -> ScalarType.Int;
            case U8 -> ScalarType.Byte;
            case BOOL -> ScalarType.Bool;
        };
    }

    /** JavaCPP makes pointers from addresses only inside a subclass. */
    private static final class Address extends Pointer {
        Address(long address) {
            this.address = address;
        }
    }
}
