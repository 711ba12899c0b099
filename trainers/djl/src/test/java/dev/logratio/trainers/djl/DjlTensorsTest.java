package dev.logratio.trainers.djl;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;

import dev.logratio.DType;
import dev.logratio.Tensor;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.lang.reflect.Proxy;

class DjlTensorsTest {
    private final NDManager manager = NDManager.newBaseManager(Device.cpu());

    @AfterEach
    void close() {
        manager.close();
    }

    @Test
    void sharesTheArraysMemory() {
        NDArray array = manager.arange(24f).reshape(2, 3, 4);
        try (Tensor view = DjlTensors.view("array", array);
                Tensor again = DjlTensors.view("array", array)) {
            assertArrayEquals(new long[] {2, 3, 4}, view.shape());
            assertEquals(view.address(), again.address());
            assertEquals(23, view.getDouble(1, 2, 3));
            view.setDouble(-5, 0, 2, 1);
            assertEquals(-5, array.getFloat(0, 2, 1));
            array.muli(2);
            assertEquals(-10, view.getDouble(0, 2, 1));
        }
    }

    @Test
    void seesAContiguousPartWhereItLies() {
        NDArray array = manager.arange(24f).reshape(2, 3, 4);
        try (Tensor part = DjlTensors.view("part", array.get(1));
                Tensor whole = DjlTensors.view("whole", array)) {
            assertEquals(whole.address() + 12 * Float.BYTES, part.address());
            part.setDouble(99, 2, 3);
            assertEquals(99, array.getFloat(1, 2, 3));
        }
    }

    @ParameterizedTest
    @CsvSource({"FLOAT64,F64", "FLOAT32,F32", "FLOAT16,F16", "INT64,I64", "INT32,I32", "UINT8,U8"})
    void keepsTheType(DataType type, DType expected) {
        NDArray array = manager.create(new float[] {0, 1, 2, 3}).toType(type, false);
        try (Tensor view = DjlTensors.view("array", array)) {
            assertEquals(expected, view.dtype());
            assertArrayEquals(new double[] {0, 1, 2, 3}, view.toDoubles());
        }
    }

    @Test
    void readsBooleans() {
        try (Tensor view =
                DjlTensors.view("mask", manager.create(new boolean[] {true, false, true}))) {
            assertEquals(DType.BOOL, view.dtype());
            assertArrayEquals(new double[] {1, 0, 1}, view.toDoubles());
        }
    }

    @Test
    void refusesWhatWouldBeACopy() {
        NDArray transposed = manager.arange(6f).reshape(2, 3).transpose();
        String message =
                assertThrows(
                                IllegalArgumentException.class,
                                () -> DjlTensors.view("logits", transposed))
                        .getMessage();
        assertTrue(message.startsWith("logits is not contiguous"), message);
    }

    @Test
    void refusesAnotherDevice() {
        NDArray onGpu =
                (NDArray)
                        Proxy.newProxyInstance(
                                getClass().getClassLoader(),
                                new Class<?>[] {NDArray.class},
                                (proxy, method, args) -> {
                                    if (method.getName().equals("getDevice")) {
                                        return Device.gpu(1);
                                    }
                                    throw new AssertionError("touched by " + method);
                                });
        String message =
                assertThrows(IllegalArgumentException.class, () -> DjlTensors.view("logits", onGpu))
                        .getMessage();
        assertEquals(
                "logits lies on gpu(1); expected an array on the CPU, as DJL hands out no device"
                        + " pointers: array.toDevice(Device.cpu(), false) makes one, and"
                        + " logratio-pytorch works on the GPU",
                message);
    }

    @Test
    void refusesATypeThatTensorsDoNotHave() {
        NDArray bytes = manager.zeros(new Shape(2), DataType.INT8);
        assertTrue(
                assertThrows(IllegalArgumentException.class, () -> DjlTensors.view("labels", bytes))
                        .getMessage()
                        .startsWith("labels is of type"));
    }
}
