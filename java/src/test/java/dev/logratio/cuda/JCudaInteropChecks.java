package dev.logratio.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.DType;
import dev.logratio.Tensor;

import jcuda.Pointer;
import jcuda.runtime.JCuda;
import jcuda.runtime.cudaEvent_t;
import jcuda.runtime.cudaMemcpyKind;
import jcuda.runtime.cudaStream_t;

import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** JCuda's objects in our calls, and ours in its calls. */
@Tag("gpu")
class JCudaInteropChecks {
    private static final float[] VALUES = {1, 2, 3, 4, 5, 6, 7, 8};

    @BeforeAll
    static void load() {
        JCudaInterop.load();
    }

    @Test
    void memoryOfBoth() {
        Pointer pointer = new Pointer();
        assertEquals(0, JCuda.cudaMalloc(pointer, 32));
        try (CudaStream stream = CudaStream.create(0);
                Tensor host = Tensor.of(VALUES, 8);
                Tensor theirs = JCudaInterop.tensor(0, pointer, DType.F32, 2, 4);
                Tensor last = JCudaInterop.tensor(0, pointer.withByteOffset(16), DType.F32, 4);
                Tensor ours = CudaTensors.toDevice(host, stream)) {
            assertEquals(
                    0,
                    JCuda.cudaMemcpyAsync(
                            JCudaInterop.pointer(theirs),
                            JCudaInterop.pointer(ours),
                            32,
                            cudaMemcpyKind.cudaMemcpyDeviceToDevice,
                            JCudaInterop.stream(stream)));
            try (Tensor all = CudaTensors.toHost(theirs, stream);
                    Tensor half = CudaTensors.toHost(last, stream)) {
                assertArrayEquals(new double[] {1, 2, 3, 4, 5, 6, 7, 8}, all.toDoubles());
                assertArrayEquals(new double[] {5, 6, 7, 8}, half.toDoubles());
            }
        }
        assertEquals(0, JCuda.cudaFree(pointer));
    }

    @Test
    void streamsAndEventsOfBoth() {
        cudaStream_t stream = new cudaStream_t();
        cudaEvent_t event = new cudaEvent_t();
        assertEquals(0, JCuda.cudaStreamCreate(stream));
        assertEquals(0, JCuda.cudaEventCreate(event));
        try (CudaStream theirs = JCudaInterop.stream(0, stream);
                CudaEvent start = JCudaInterop.event(0, event);
                CudaEvent end = CudaEvent.create(0)) {
            assertEquals(stream, JCudaInterop.stream(theirs));
            assertEquals(event, JCudaInterop.event(start));
            start.record(theirs);
            assertEquals(0, JCuda.cudaEventRecord(JCudaInterop.event(end), stream));
            theirs.await(end);
            theirs.synchronize();
            assertTrue(start.isDone() && end.isDone() && theirs.isDone());
            assertTrue(end.millisecondsSince(start) >= 0);
        }
        // Closing ours left them alone.
        assertEquals(0, JCuda.cudaEventSynchronize(event));
        assertEquals(0, JCuda.cudaStreamSynchronize(stream));
        assertEquals(0, JCuda.cudaEventDestroy(event));
        assertEquals(0, JCuda.cudaStreamDestroy(stream));
    }

    @Test
    void theDefaultStream() {
        assertEquals(0, JCudaInterop.stream(0, null).address());
        assertEquals(new cudaStream_t(), JCudaInterop.stream(CudaStream.legacy(0)));
    }

    @Test
    void objectsThatNobodyHasSet() {
        Pointer array = Pointer.to(VALUES);
        assertTrue(
                assertThrows(
                                IllegalArgumentException.class,
                                () -> JCudaInterop.tensor(0, array, DType.F32, 8))
                        .getMessage()
                        .endsWith("expected one that JCuda's functions have set"));
        assertThrows(
                IllegalArgumentException.class, () -> JCudaInterop.event(0, new cudaEvent_t()));
    }
}
