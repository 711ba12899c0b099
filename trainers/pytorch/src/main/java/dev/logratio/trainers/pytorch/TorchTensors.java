package dev.logratio.trainers.pytorch;

import dev.logratio.DType;
import dev.logratio.Device;

import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.DeviceOptional;
import org.bytedeco.pytorch.MemoryFormatOptional;
import org.bytedeco.pytorch.ScalarTypeOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.DeviceType;
import org.bytedeco.pytorch.global.torch.Layout;
import org.bytedeco.pytorch.global.torch.ScalarType;

import java.util.Objects;

/**
 * Views of PyTorch's tensors as tensors of this library, and back: nothing is copied, a value
 * written to one is seen in the other.
 *
 * @since 0.1.0
 */
public final class TorchTensors {
    private TorchTensors() {}

    /**
     * Views a PyTorch tensor of any shape and strides, in host memory or that of a CUDA device.
     *
     * <p>The view shares in the ownership of the tensor: until it is closed the memory stays, even
     * if the tensor is closed or its {@link PointerScope} ends. (An operation of PyTorch that gives
     * the tensor other memory, such as {@code resize_}, leaves the view with the old.) To autograd
     * a value that is written through the view did not change.
     *
     * @param name names the tensor in error messages
     * @param tensor Double, Float, BFloat16, Half, Long, Int, Byte or Bool
     * @return a view of the tensor's shape, strides and type; close it
     * @throws IllegalArgumentException if the tensor is undefined, is not strided, lies on another
     *     kind of device or has a type that this library does not have
     * @throws IllegalStateException if the tensor is closed
     * @throws NullPointerException if the tensor is null; the message is its name
     */
    public static dev.logratio.Tensor view(String name, Tensor tensor) {
        requireOpen(name, tensor);
        try (PointerScope scope = new PointerScope()) {
            requireStrided(name, tensor);
            Device device = device(name, tensor.device());
            DType dtype = dtype(name, tensor.scalar_type());
            long[] shape = tensor.sizes().vec().get();
            long[] strides = tensor.strides().vec().get();
            Pointer data = tensor.data_ptr();
            long address = data == null ? 0 : data.address();
            // Another counted reference to the same memory, which no scope closes.
            Tensor owner = new Tensor(tensor).retainReference();
            return dev.logratio.Tensor.ofAddress(
                    device, address, dtype, shape, strides, owner::releaseReference);
        }
    }

    /**
     * Views a tensor of this library as one of PyTorch, without a gradient.
     *
     * <p>The PyTorch tensor does not keep the memory alive: whoever owns it must keep it open as
     * long as PyTorch uses the view.
     *
     * @param tensor of any type, shape and strides, on any device
     * @return a PyTorch tensor of the same memory
     * @throws IllegalStateException if the tensor is closed
     * @throws NullPointerException if the tensor is null; the message names it
     */
    public static Tensor torch(dev.logratio.Tensor tensor) {
        Objects.requireNonNull(tensor, "tensor");
        long address = tensor.address();
        try (TensorOptions options = new TensorOptions(scalarType(tensor.dtype()));
                var place = torchDevice(tensor.device());
                DeviceOptional there = new DeviceOptional(place);
                TensorOptions placed = options.device(there)) {
            return torch.from_blob(new Address(address), tensor.shape(), tensor.strides(), placed);
        }
    }

    private static org.bytedeco.pytorch.Device torchDevice(Device device) {
        return device.isHost()
                ? new org.bytedeco.pytorch.Device(DeviceType.CPU)
                : new org.bytedeco.pytorch.Device(DeviceType.CUDA, (byte) device.index());
    }

    /** New contiguous memory on the device of another tensor, in the caller's PointerScope. */
    static Tensor empty(Tensor beside, ScalarType type, long... shape) {
        try (TensorOptions options = beside.options();
                ScalarTypeOptional wanted = new ScalarTypeOptional(type);
                TensorOptions typed = options.dtype(wanted);
                MemoryFormatOptional contiguous = new MemoryFormatOptional()) {
            return torch.empty(shape, typed, contiguous);
        }
    }

    static void requireOpen(String name, Tensor tensor) {
        Objects.requireNonNull(tensor, name);
        if (tensor.isNull()) {
            throw new IllegalStateException(
                    name + " is closed; expected a tensor whose PointerScope is still open");
        }
        if (!tensor.defined()) {
            throw new IllegalArgumentException(name + " is undefined; expected a tensor");
        }
    }

    private static void requireStrided(String name, Tensor tensor) {
        if (tensor.is_nested() || tensor.layout().intern() != Layout.Strided) {
            throw new IllegalArgumentException(
                    name
                            + " is "
                            + (tensor.is_nested()
                                    ? "nested"
                                    : "of layout " + tensor.layout().intern())
                            + "; expected a strided tensor (to_dense() makes one)");
        }
        if (tensor.is_neg() || tensor.is_conj()) {
            throw new IllegalArgumentException(
                    name
                            + " is a view that negates or conjugates; expected a tensor with values"
                            + " of its own (resolve_neg().resolve_conj() makes one)");
        }
    }

    static Device device(String name, org.bytedeco.pytorch.Device device) {
        return switch (device.type().intern()) {
            case CPU -> Device.CPU;
            case CUDA -> Device.cuda(Math.max(device.index(), 0));
            default ->
                    throw new IllegalArgumentException(
                            name
                                    + " lies on "
                                    + device.str().getString()
                                    + "; expected a tensor on the CPU or a CUDA device");
        };
    }

    private static DType dtype(String name, ScalarType type) {
        return switch (type.intern()) {
            case Double -> DType.F64;
            case Float -> DType.F32;
            case BFloat16 -> DType.BF16;
            case Half -> DType.F16;
            case Long -> DType.I64;
            case Int -> DType.I32;
            case Byte -> DType.U8;
            case Bool -> DType.BOOL;
            default ->
                    throw new IllegalArgumentException(
                            name
                                    + " is of type "
                                    + type.intern()
                                    + "; expected Double, Float, BFloat16, Half, Long, Int, Byte or"
                                    + " Bool");
        };
    }

    private static ScalarType scalarType(DType dtype) {
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
