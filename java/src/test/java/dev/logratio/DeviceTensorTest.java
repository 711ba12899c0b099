package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.cuda.CudaStream;
import dev.logratio.internal.ffm.CudaBackend;
import dev.logratio.internal.tensor.StridedTensor;
import dev.logratio.loss.Dlrml;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;

/**
 * Tensors in device memory as the host sees them; no device is needed, as nothing of them is ever
 * read here.
 */
class DeviceTensorTest {
    private static final long ADDRESS = 0x7f0000000000L;

    private static Tensor onDevice(int device, DType dtype, long... shape) {
        return Tensor.ofAddress(Device.cuda(device), ADDRESS, dtype, shape, null);
    }

    @Test
    void viewsAreAddressesAlone() {
        Tensor tensor = onDevice(1, DType.BF16, 2, 3, 5);
        assertEquals(Device.cuda(1), tensor.device());
        assertEquals("BF16 [2, 3, 5] on CUDA 1", tensor.toString());
        assertEquals(ADDRESS, tensor.address());
        assertEquals(ADDRESS + 60, ((StridedTensor) tensor).end());
        Tensor view = tensor.slice(1, 1, 3).select(2, 4);
        assertEquals(ADDRESS + 2 * (5 + 4), view.address());
        assertArrayEquals(new long[] {2, 2}, view.shape());
        assertArrayEquals(new long[] {15, 5}, view.strides());
        assertEquals(view.address() + 2 * (15 + 5 + 1), ((StridedTensor) view).end());
        assertEquals(Device.cuda(1), view.device());
        assertArrayEquals(new long[] {30}, tensor.reshape(30).shape());
        assertEquals(Device.CPU, Tensor.wrap(Arena.ofAuto().allocate(4, 4), DType.F32, 1).device());
    }

    @Test
    void theHostIsRefusedEveryAccess() {
        Tensor tensor = onDevice(0, DType.F32, 2, 3);
        Tensor whole = onDevice(0, DType.I64, 2);
        List<Executable> accesses =
                List.of(
                        tensor::segment,
                        () -> tensor.getDouble(0, 0),
                        () -> tensor.setDouble(1, 0, 0),
                        () -> tensor.setLong(1, 0, 0),
                        () -> tensor.fill(0),
                        tensor::toDoubles,
                        tensor::toFloats,
                        () -> tensor.copyFrom(Tensor.zeros(Arena.ofAuto(), DType.F32, 2, 3)),
                        () -> Tensor.zeros(Arena.ofAuto(), DType.F32, 2, 3).copyFrom(tensor));
        for (Executable access : accesses) {
            IllegalStateException thrown = assertThrows(IllegalStateException.class, access);
            assertEquals(
                    "tensor F32 [2, 3] on CUDA 0 is in device memory: copy it to the host first,"
                            + " with CudaTensors.toHost",
                    thrown.getMessage());
        }
        assertThrows(IllegalStateException.class, () -> whole.getLong(0));
        assertThrows(IllegalStateException.class, whole::toLongs);
    }

    /** Should a check ever forget where a tensor is, it ends in an exception. */
    @Test
    void uncheckedAccessDoesNotReachTheMemory() {
        StridedTensor tensor = (StridedTensor) onDevice(0, DType.F32, 2, 3);
        assertThrows(IndexOutOfBoundsException.class, () -> tensor.loadDouble(0));
        assertThrows(IndexOutOfBoundsException.class, () -> tensor.select(0, 1).storeDouble(0, 1));
    }

    @Test
    void closingRunsOnceAndEndsUse() {
        AtomicInteger closed = new AtomicInteger();
        Tensor tensor =
                Tensor.ofAddress(
                        Device.cuda(0),
                        ADDRESS,
                        DType.F32,
                        new long[] {4},
                        new long[] {2},
                        closed::incrementAndGet);
        Tensor view = tensor.slice(0, 1, 2);
        tensor.close();
        tensor.close();
        assertEquals(1, closed.get());
        assertEquals(
                "tensor F32 [1] on CUDA 0 is closed",
                assertThrows(IllegalStateException.class, view::address).getMessage());
        Tensor borrowed = onDevice(0, DType.F32, 4);
        borrowed.close();
        assertThrows(IllegalStateException.class, borrowed::address);
    }

    @Test
    void mistakesNameTheTensor() {
        assertEquals(
                "address of F32 [2] is 0, expected memory",
                thrown(() -> Tensor.ofAddress(Device.cuda(0), 0, DType.F32, new long[] {2}, null)));
        assertEquals(
                "segment of F32 [2] starts at address 0x7f0000000002, expected a multiple of 4",
                thrown(
                        () ->
                                Tensor.ofAddress(
                                        Device.cuda(0),
                                        ADDRESS + 2,
                                        DType.F32,
                                        new long[] {2},
                                        null)));
        assertEquals("device index is -1, expected a number >= 0", thrown(() -> Device.cuda(-1)));
        assertFalse(Device.cuda(0).isHost());
        assertTrue(Device.CPU.isHost());
        assertEquals(
                0,
                Tensor.ofAddress(Device.cuda(0), 0, DType.F32, new long[] {0, 3}, null)
                        .elementCount());
    }

    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    /** They work on host tensors, staged or not. */
    @ParameterizedTest
    @MethodSource("backends")
    void otherBackendsRefuseDeviceTensors(Backend backend) {
        Tensor host = Tensor.zeros(Arena.ofAuto(), DType.I64, 4);
        Tensor logits = onDevice(0, DType.F32, 4, 5);
        assertEquals(
                "logits is F32 [4, 5] on CUDA 0, expected host memory for the backend "
                        + backend
                        + ": copy it there first, with CudaTensors.toHost",
                thrown(() -> TokenLogprobs.of(logits, host).run(backend)));
        assertEquals(
                "policy_rejected is F32 [4] on CUDA 2, expected host memory for the backend "
                        + backend
                        + ": copy it there first, with CudaTensors.toHost",
                thrown(
                        () ->
                                PairLoss.of(
                                                new Dlrml(),
                                                Tensor.zeros(Arena.ofAuto(), DType.F32, 4),
                                                onDevice(2, DType.F32, 4))
                                        .referenceFree()
                                        .run(backend)));
    }

    @Test
    void cudaRefusesHostTensorsAndOtherDevices() {
        Backend cuda = new CudaBackend(CudaStream.legacy(0), "none", false);
        Tensor host = Tensor.zeros(Arena.ofAuto(), DType.I64, 4);
        Tensor logits = onDevice(0, DType.F32, 4, 5);
        assertEquals(
                "labels is I64 [4] in host memory, expected CUDA 0 for the backend cuda: copy it"
                        + " there first, with CudaTensors.toDevice",
                thrown(() -> TokenLogprobs.of(logits, host).run(cuda)));
        assertEquals(
                "labels is I64 [4] on CUDA 1, expected CUDA 0, where the backend's stream is",
                thrown(() -> TokenLogprobs.of(logits, onDevice(1, DType.I64, 4)).run(cuda)));
        assertEquals(
                "logp is F32 [3] on CUDA 0, expected shape [4], as labels is I64 [4] on CUDA 0",
                thrown(
                        () ->
                                TokenLogprobs.of(logits, onDevice(0, DType.I64, 4))
                                        .logp(onDevice(0, DType.F32, 3))
                                        .run(cuda)));
    }

    private static String thrown(Executable mistake) {
        return assertThrows(IllegalArgumentException.class, mistake).getMessage();
    }
}
