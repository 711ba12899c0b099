package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.logratio.bindings.logratio_h;
import dev.logratio.cuda.Cuda;
import dev.logratio.cuda.CudaEvent;
import dev.logratio.cuda.CudaStream;
import dev.logratio.cuda.CudaTensors;
import dev.logratio.internal.cuda.DeviceStream;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Tensors in a GPU's memory, streams and events. */
@Tag("gpu")
class CudaChecks {
    private static final int ROWS = 16;
    private static final int VOCABULARY = 32_003;

    private final CudaStream stream = CudaStream.create(0);
    private final Backend cuda = stream.backend();

    @AfterEach
    void closeStream() {
        stream.close();
    }

    @Test
    void copiesThereAndBack() {
        try (Arena arena = Arena.ofConfined()) {
            Tensor host = CudaRows.logits(arena, DType.F32, 5, 3, 41);
            for (Tensor view :
                    new Tensor[] {
                        host, host.slice(1, 0, 2), host.select(2, 7), host.slice(0, 2, 2)
                    }) {
                try (Tensor there = CudaTensors.toDevice(view, stream);
                        Tensor back = CudaTensors.toHost(there, stream)) {
                    assertEquals(Device.cuda(0), there.device());
                    assertArrayEquals(view.toDoubles(), back.toDoubles());
                }
            }
            try (Tensor there = CudaTensors.toDevice(host, stream);
                    Tensor column = CudaTensors.toHost(there.select(2, 7).slice(0, 1, 4), stream);
                    Tensor zeros = CudaTensors.zeros(0, DType.I32, 1000);
                    Tensor none = CudaTensors.toHost(zeros, stream)) {
                assertArrayEquals(host.select(2, 7).slice(0, 1, 4).toDoubles(), column.toDoubles());
                assertArrayEquals(new double[1000], none.toDoubles());
            }
        }
    }

    @Test
    void pinnedMemoryAndEvents() {
        long elements = 1 << 24;
        try (Tensor pinned = CudaTensors.pinned(0, DType.F32, elements);
                Tensor there = CudaTensors.empty(0, DType.F32, elements);
                Tensor back = CudaTensors.pinned(0, DType.F32, elements);
                CudaEvent start = CudaEvent.create(0);
                CudaEvent end = CudaEvent.create(0);
                CudaStream other = CudaStream.create(0)) {
            pinned.setDouble(3.5, elements - 1);
            start.record(stream);
            CudaTensors.copyAsync(there, pinned, stream);
            end.record(stream);
            other.await(end);
            CudaTensors.copyAsync(back, there, other);
            other.synchronize();
            assertTrue(start.isDone() && end.isDone() && stream.isDone());
            assertEquals(3.5, back.getDouble(elements - 1));
            double milliseconds = end.millisecondsSince(start);
            assertTrue(milliseconds > .05 && milliseconds < 1000, milliseconds + " ms for 64 MB");
        }
    }

    /**
     * The same bits on tensors of the device, on a stream of ours or by its address, as staged from
     * the host.
     */
    @Test
    void deviceTensorsGiveWhatHostTensorsGive() {
        try (Arena arena = Arena.ofConfined();
                CudaStream own = CudaStream.create(0);
                CudaStream foreign = CudaStream.ofAddress(0, own.address())) {
            for (DType dtype : new DType[] {DType.F32, DType.BF16, DType.F16}) {
                CudaRows host = CudaRows.random(arena, dtype, ROWS, VOCABULARY);
                host.run(Backend.cudaOnHostTensors());
                for (CudaStream on : new CudaStream[] {stream, CudaStream.legacy(0), foreign}) {
                    try (CudaRows there = host.toDevice(on)) {
                        there.run(on.backend());
                        try (CudaRows back = there.toHost(on)) {
                            assertArrayEquals(
                                    CudaRows.bytes(host.logp()),
                                    CudaRows.bytes(back.logp()),
                                    dtype + " logp on " + on);
                            assertArrayEquals(
                                    CudaRows.bytes(host.lse()),
                                    CudaRows.bytes(back.lse()),
                                    dtype + " lse on " + on);
                            assertArrayEquals(
                                    CudaRows.bytes(host.gradient()),
                                    CudaRows.bytes(back.gradient()),
                                    dtype + " gradient on " + on);
                        }
                    }
                }
            }
        }
    }

    @Test
    void wrongPlacesAreRefused() {
        try (Tensor logits = CudaTensors.zeros(0, DType.F32, 4, 5);
                Tensor labels = Tensor.zeros(DType.I64, 4)) {
            assertEquals(
                    "labels is I64 [4] in host memory, expected CUDA 0 for the backend cuda: copy"
                            + " it there first, with CudaTensors.toDevice",
                    assertThrows(
                                    IllegalArgumentException.class,
                                    () -> TokenLogprobs.of(logits, labels).run(cuda))
                            .getMessage());
            assertThrows(
                    IllegalArgumentException.class,
                    () -> TokenLogprobs.of(logits, labels).run(Backend.cpu()));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> TokenLogprobs.of(logits, labels).run(Backend.cudaOnHostTensors()));
            assertThrows(IllegalStateException.class, () -> logits.getDouble(0, 0));
            assertThrows(BackendUnavailableException.class, () -> Logratio.cudaDevice(1000));
        }
    }

    @Test
    void badLabelsAreCountedAndStayAlone() {
        try (Tensor logits = CudaTensors.zeros(0, DType.F32, 4, 5);
                Tensor host = Tensor.of(new long[] {2, 5, -1, -100}, 4);
                Tensor labels = CudaTensors.toDevice(host, stream);
                Tensor logp = CudaTensors.zeros(0, DType.F32, 4)) {
            assertEquals(0, stream.countBadValues());
            TokenLogprobs.of(logits, labels).logp(logp).run(cuda);
            try (Tensor back = CudaTensors.toHost(logp, stream)) {
                assertEquals(-Math.log(5), back.getDouble(0), 1e-6);
                assertTrue(Double.isNaN(back.getDouble(1)) && Double.isNaN(back.getDouble(2)));
                assertEquals(0, back.getDouble(3));
            }
            assertEquals(2, stream.countBadValues());
        }
    }

    @Test
    void failuresNameTheCall() {
        String lacking =
                assertThrows(
                                OutOfMemoryError.class,
                                () -> CudaTensors.empty(0, DType.U8, 1L << 60).close())
                        .getMessage();
        assertTrue(
                lacking.startsWith(
                        "cudaMalloc of 1152921504606846976 bytes failed:"
                                + " cudaErrorMemoryAllocation, "),
                lacking);
        try (CudaEvent start = CudaEvent.create(0);
                CudaEvent end = CudaEvent.create(0)) {
            String early =
                    assertThrows(IllegalStateException.class, () -> end.millisecondsSince(start))
                            .getMessage();
            assertTrue(
                    early.startsWith(
                            "cudaEventElapsedTime failed: cudaErrorInvalidResourceHandle, "),
                    early);
            // A failure that was reported is none of the next call's.
            stream.synchronize();
            start.record(stream);
            end.record(stream).synchronize();
            assertTrue(end.millisecondsSince(start) >= 0);
        }
        assertThrows(BackendUnavailableException.class, () -> Cuda.setCurrentDevice(1000));
        assertThrows(BackendUnavailableException.class, () -> CudaStream.create(1000));
    }

    @Test
    void repeatedCallsAllocateNothing() {
        try (Arena arena = Arena.ofConfined();
                CudaRows rows =
                        CudaRows.random(arena, DType.BF16, 4, VOCABULARY).toDevice(stream)) {
            rows.run(cuda);
            DeviceStream shared = (DeviceStream) stream;
            long workspace = shared.workspace(1).address();
            long free = freeBytes();
            for (int i = 0; i < 100; i++) {
                rows.run(cuda);
            }
            assertEquals(workspace, shared.workspace(1).address());
            assertEquals(free, freeBytes());
            Tensor larger = shared.workspace(64 << 20);
            assertNotEquals(workspace, larger.address());
            assertEquals(larger.address(), shared.workspace(1).address());
        }
    }

    private static long freeBytes() {
        Cuda.synchronize(0);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment free = arena.allocate(JAVA_LONG);
            MemorySegment total = arena.allocate(JAVA_LONG);
            int status = logratio_h.lr_device_memory(logratio_h.kDLCUDA(), 0, free, total);
            assertEquals(logratio_h.LR_OK(), status);
            return free.get(JAVA_LONG, 0);
        }
    }
}
