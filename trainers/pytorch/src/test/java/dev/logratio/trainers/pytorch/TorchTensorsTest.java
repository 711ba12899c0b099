package dev.logratio.trainers.pytorch;

import static dev.logratio.trainers.pytorch.Assert.assertBad;
import static dev.logratio.trainers.pytorch.Assert.assertNull;
import static dev.logratio.trainers.pytorch.Assert.assertState;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import dev.logratio.DType;
import dev.logratio.Device;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.DeviceType;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class TorchTensorsTest {
    private PointerScope scope;

    @BeforeEach
    void open() {
        scope = new PointerScope();
    }

    @AfterEach
    void close() {
        scope.close();
    }

    private static Tensor counting(ScalarType type, long... shape) {
        long count = 1;
        for (long size : shape) {
            count *= size;
        }
        return torch.arange(new Scalar(count)).view(shape).to(type);
    }

    @ParameterizedTest
    @CsvSource({
        "Double,F64",
        "Float,F32",
        "BFloat16,BF16",
        "Half,F16",
        "Long,I64",
        "Int,I32",
        "Byte,U8"
    })
    void sharesTheMemoryOfEveryType(ScalarType type, DType expected) {
        Tensor tensor = counting(type, 2, 3, 4);
        try (dev.logratio.Tensor view = TorchTensors.view("tensor", tensor)) {
            assertEquals(expected, view.dtype());
            assertEquals(Device.CPU, view.device());
            assertArrayEquals(new long[] {2, 3, 4}, view.shape());
            assertEquals(23, view.getDouble(1, 2, 3));
            view.setDouble(5, 0, 2, 1);
            assertEquals(5, tensor.select(0, 0).select(0, 2).select(0, 1).item_double());
            tensor.mul_(new Scalar(2));
            assertEquals(10, view.getDouble(0, 2, 1));
            Tensor back = TorchTensors.torch(view);
            assertEquals(type, back.scalar_type().intern());
            assertEquals(tensor.data_ptr(), back.data_ptr());
        }
    }

    @Test
    void readsBooleans() {
        try (dev.logratio.Tensor view =
                TorchTensors.view("mask", counting(ScalarType.Long, 3).gt(new Scalar(0)))) {
            assertEquals(DType.BOOL, view.dtype());
            assertArrayEquals(new double[] {0, 1, 1}, view.toDoubles());
            assertEquals(ScalarType.Bool, TorchTensors.torch(view).scalar_type().intern());
        }
    }

    @Test
    void keepsStrides() {
        Tensor slice = counting(ScalarType.Float, 2, 3, 4).narrow(1, 1, 2).transpose(0, 1);
        try (dev.logratio.Tensor view = TorchTensors.view("slice", slice)) {
            assertArrayEquals(new long[] {2, 2, 4}, view.shape());
            assertArrayEquals(new long[] {4, 12, 1}, view.strides());
            assertArrayEquals(
                    new double[] {4, 5, 6, 7, 16, 17, 18, 19, 8, 9, 10, 11, 20, 21, 22, 23},
                    view.toDoubles());
            Tensor back = TorchTensors.torch(view);
            assertArrayEquals(new long[] {4, 12, 1}, back.strides().vec().get());
            assertEquals(0, back.sub(slice).abs().max().item_double());
        }
    }

    @Test
    void viewsASingleNumberAndNone() {
        try (dev.logratio.Tensor number =
                        TorchTensors.view("number", torch.full(new long[0], new Scalar(7.0)));
                dev.logratio.Tensor none = TorchTensors.view("none", torch.empty(0, 3))) {
            assertEquals(7, number.getDouble());
            assertArrayEquals(new long[] {0, 3}, none.shape());
        }
    }

    @Test
    void keepsTheMemoryUntilItIsClosed() {
        Tensor tensor = counting(ScalarType.Float, 5);
        long users = tensor.use_count();
        dev.logratio.Tensor view = TorchTensors.view("tensor", tensor);
        assertEquals(users + 1, tensor.use_count());
        view.close();
        assertEquals(users, tensor.use_count());
    }

    @Test
    void outlivesTheTensorAndItsScope() {
        dev.logratio.Tensor ofScope;
        try (PointerScope inner = new PointerScope()) {
            ofScope = TorchTensors.view("tensor", counting(ScalarType.Float, 1 << 20));
        }
        Tensor closed = counting(ScalarType.Float, 1 << 20);
        dev.logratio.Tensor ofClosed = TorchTensors.view("tensor", closed);
        closed.close();
        // Were the memory free, PyTorch would hand it out for these.
        Tensor other = torch.zeros(1 << 20);
        Tensor another = torch.zeros(1 << 20);
        assertEquals((1 << 20) - 1, ofScope.getDouble((1 << 20) - 1));
        assertEquals((1 << 20) - 1, ofClosed.getDouble((1 << 20) - 1));
        assertFalse(other.isNull() || another.isNull());
        ofScope.close();
        ofClosed.close();
    }

    @ParameterizedTest
    @EnumSource(DType.class)
    void viewsOursWhereTheyLie(DType dtype) {
        try (dev.logratio.Tensor ours =
                dev.logratio.Tensor.of(dtype, new double[] {0, 1, 1, 0, 1, 0}, 2, 3)) {
            Tensor torchs = TorchTensors.torch(ours);
            assertEquals(ours.address(), torchs.data_ptr().address());
            assertArrayEquals(new double[] {0, 1, 1, 0, 1, 0}, Assert.values(torchs));
            assertFalse(torchs.requires_grad());
        }
    }

    @Test
    void tellsDevicesApart() {
        assertEquals(
                Device.cuda(2),
                TorchTensors.device(
                        "x", new org.bytedeco.pytorch.Device(DeviceType.CUDA, (byte) 2)));
        assertBad(
                "x lies on meta; expected a tensor on the CPU or a CUDA device",
                () -> TorchTensors.view("x", torch.ones(3).meta()));
        assertBad(
                "x lies on xpu:1; expected a tensor on the CPU or a CUDA device",
                () ->
                        TorchTensors.device(
                                "x", new org.bytedeco.pytorch.Device(DeviceType.XPU, (byte) 1)));
    }

    @Test
    void namesWhatIsWrong() {
        Tensor complex = torch.view_as_complex(torch.ones(3, 2));
        assertBad(
                "x is of type Char; expected Double, Float, BFloat16, Half, Long, Int, Byte or"
                        + " Bool",
                () -> TorchTensors.view("x", counting(ScalarType.Char, 3)));
        assertBad(
                "x is of type ComplexFloat; expected Double, Float, BFloat16, Half, Long, Int, Byte"
                        + " or Bool",
                () -> TorchTensors.view("x", complex));
        assertBad(
                "x is of layout Sparse; expected a strided tensor (to_dense() makes one)",
                () -> TorchTensors.view("x", torch.ones(3).to_sparse()));
        assertBad(
                "x is a view that negates or conjugates; expected a tensor with values of its own"
                        + " (resolve_neg().resolve_conj() makes one)",
                () -> TorchTensors.view("x", torch.imag(complex.conj())));
        assertBad("x is undefined; expected a tensor", () -> TorchTensors.view("x", new Tensor()));
        Tensor closed = torch.ones(3);
        closed.close();
        assertState(
                "x is closed; expected a tensor whose PointerScope is still open",
                () -> TorchTensors.view("x", closed));
        assertNull("x", () -> TorchTensors.view("x", null));
        assertNull("tensor", () -> TorchTensors.torch(null));
        dev.logratio.Tensor ours = dev.logratio.Tensor.zeros(DType.F32, 3);
        ours.close();
        assertState("tensor F32 [3] is closed", () -> TorchTensors.torch(ours));
    }
}
