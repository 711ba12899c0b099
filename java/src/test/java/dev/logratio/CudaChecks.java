package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.cuda.Cuda;
import dev.logratio.cuda.CudaEvent;
import dev.logratio.cuda.CudaStream;
import dev.logratio.cuda.CudaTensors;
import dev.logratio.loss.Dlrml;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** What only a GPU can show: tensors in its memory, streams, events, graphs, and more elements than 31 bits count. */
@Tag("gpu")
class CudaChecks {
    private static final int ROWS = 64;
    private static final int VOCABULARY = 32_003;
    private static final int SEQUENCES = 8;

    private final CudaStream stream = CudaStream.create(0);
    private final Backend cuda = Backend.cuda(stream);

    @AfterEach
    void closeStream() {
        stream.close();
    }

    @Test
    void copiesThereAndBack() {
        try (Arena arena = Arena.ofConfined()) {
            Tensor host = random(arena, DType.F32, 5, 3, 41);
            for (Tensor view : new Tensor[] {host, host.slice(1, 0, 2), host.select(2, 7), host.slice(0, 2, 2)}) {
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

    /** The same bits on tensors of the device, on a stream of ours or by its address, as staged from the host. */
    @Test
    void deviceTensorsGiveWhatHostTensorsGive() {
        try (Arena arena = Arena.ofConfined();
                CudaStream own = CudaStream.create(0);
                CudaStream foreign = CudaStream.ofAddress(0, own.address())) {
            for (DType dtype : new DType[] {DType.F32, DType.BF16, DType.F16}) {
                Tensor logits = random(arena, dtype, ROWS, VOCABULARY);
                Rows host = new Rows(logits, labels(arena), Tensor.zeros(arena, DType.F64, ROWS), Tensor.zeros(arena, DType.F64, ROWS),
                        Tensor.zeros(arena, dtype, ROWS, VOCABULARY), Tensor.zeros(arena, DType.F32, ROWS).fill(.5));
                host.run(Backend.cudaOnHostTensors());
                for (CudaStream on : new CudaStream[] {stream, CudaStream.legacy(0), foreign}) {
                    try (Rows there = host.toDevice(on)) {
                        there.run(Backend.cuda(on));
                        try (Rows back = there.toHost(on)) {
                            assertArrayEquals(bytes(host.logp), bytes(back.logp), dtype + " logp on " + on);
                            assertArrayEquals(bytes(host.lse), bytes(back.lse), dtype + " lse on " + on);
                            assertArrayEquals(bytes(host.gradient), bytes(back.gradient), dtype + " gradient on " + on);
                        }
                    }
                }
            }
        }
    }

    @Test
    void wrongPlacesAreRefused() {
        try (Tensor logits = CudaTensors.zeros(0, DType.F32, 4, 5); Tensor labels = Tensor.zeros(DType.I64, 4)) {
            assertEquals("labels is I64 [4] in host memory, expected CUDA 0 for the backend cuda: copy it there first, with CudaTensors.toDevice",
                    assertThrows(IllegalArgumentException.class, () -> TokenLogprobs.of(logits, labels).run(cuda)).getMessage());
            assertThrows(IllegalArgumentException.class, () -> TokenLogprobs.of(logits, labels).run(Backend.cpu()));
            assertThrows(IllegalArgumentException.class, () -> TokenLogprobs.of(logits, labels).run(Backend.cudaOnHostTensors()));
            assertThrows(IllegalStateException.class, () -> logits.getDouble(0, 0));
            assertThrows(BackendUnavailableException.class, () -> Logratio.cudaDevice(1000));
        }
    }

    @Test
    void badLabelsAreCountedAndStayAlone() {
        try (Tensor logits = CudaTensors.zeros(0, DType.F32, 4, 5);
                Tensor labels = toDevice(Tensor.of(new long[] {2, 5, -1, -100}, 4));
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
    void repeatedCallsAllocateNothing() {
        try (Arena arena = Arena.ofConfined();
                Rows rows = new Rows(random(arena, DType.BF16, 4, VOCABULARY), labels(arena).slice(0, 0, 4), Tensor.zeros(arena, DType.F64, 4),
                        Tensor.zeros(arena, DType.F64, 4), Tensor.zeros(arena, DType.BF16, 4, VOCABULARY),
                        Tensor.zeros(arena, DType.F32, 4).fill(1)).toDevice(stream)) {
            rows.run(cuda);
            long workspace = stream.workspace(1).address();
            long free = freeBytes();
            for (int i = 0; i < 200; i++) {
                rows.run(cuda);
            }
            assertEquals(workspace, stream.workspace(1).address());
            assertEquals(free, freeBytes());
            Tensor larger = stream.workspace(64 << 20);
            assertNotEquals(workspace, larger.address());
            assertEquals(larger.address(), stream.workspace(1).address());
        }
    }

    private static long freeBytes() {
        Cuda.synchronize(0);
        long[] free = new long[1];
        assertEquals(0, jcuda.runtime.JCuda.cudaMemGetInfo(free, new long[1]));
        return free[0];
    }

    /** Calls become a graph, which then works on whatever stands in the tensors. */
    @Test
    void callsCanBeCaptured() {
        try (Arena arena = Arena.ofConfined()) {
            Tensor first = random(arena, DType.BF16, ROWS, VOCABULARY);
            Tensor second = Tensor.zeros(arena, DType.BF16, ROWS, VOCABULARY).fill(.25);
            Rows host = new Rows(first, labels(arena), Tensor.zeros(arena, DType.F64, ROWS), Tensor.zeros(arena, DType.F64, ROWS),
                    Tensor.zeros(arena, DType.BF16, ROWS, VOCABULARY), Tensor.zeros(arena, DType.F32, ROWS).fill(1));
            try (Rows there = host.toDevice(stream)) {
                there.run(cuda); // allocates the workspace
                stream.synchronize();
                try (GraphCapture graph = new GraphCapture(stream, () -> there.run(cuda))) {
                    CudaTensors.copyAsync(there.logits, second, stream);
                    graph.launch();
                    try (Tensor logp = CudaTensors.toHost(there.logp, stream)) {
                        assertEquals(-Math.log(VOCABULARY), logp.getDouble(ROWS - 1), 1e-5);
                    }
                    CudaTensors.copyAsync(there.logits, first, stream);
                    graph.launch();
                    try (Rows back = there.toHost(stream)) {
                        host.run(Backend.cudaOnHostTensors());
                        assertArrayEquals(bytes(host.logp), bytes(back.logp));
                        assertArrayEquals(bytes(host.gradient), bytes(back.gradient));
                    }
                }
            }
        }
    }

    /** A step without metrics can be captured, and leaves the gradient that a step with metrics leaves. */
    @Test
    void wholeStepsCanBeCaptured() {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logits = random(arena, DType.BF16, SEQUENCES, ROWS / SEQUENCES, VOCABULARY);
            Tensor labels = labels(arena).reshape(SEQUENCES, ROWS / SEQUENCES);
            Tensor losses = Tensor.zeros(arena, DType.F32, SEQUENCES / 2);
            Tensor gradient = Tensor.zeros(arena, DType.BF16, logits.shape());
            StepMetrics metrics = PreferenceStep.of(new Dlrml(), logits, labels)
                    .losses(losses).gradLogits(gradient).run(Backend.cudaOnHostTensors());
            assertEquals(Arrays.stream(losses.toDoubles()).average().orElseThrow(), metrics.loss(), 1e-6);
            try (Tensor logitsThere = CudaTensors.toDevice(logits, stream);
                    Tensor labelsThere = CudaTensors.toDevice(labels, stream);
                    Tensor lossesThere = CudaTensors.zeros(0, DType.F32, SEQUENCES / 2)) {
                PreferenceStep step = PreferenceStep.of(new Dlrml(), logitsThere, labelsThere).losses(lossesThere).inPlace();
                assertEquals(metrics, step.run(cuda));
                try (GraphCapture graph = new GraphCapture(stream, () -> step.launch(cuda))) {
                    CudaTensors.copyAsync(logitsThere, logits, stream);
                    graph.launch();
                    try (Tensor back = CudaTensors.toHost(logitsThere, stream); Tensor lossesBack = CudaTensors.toHost(lossesThere, stream)) {
                        assertArrayEquals(bytes(gradient), bytes(back));
                        assertArrayEquals(bytes(losses), bytes(lossesBack));
                    }
                }
            }
        }
    }

    @Test
    void theExampleOfTheReadme() {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logits = random(arena, DType.BF16, SEQUENCES, ROWS / SEQUENCES, VOCABULARY);
            Tensor labels = labels(arena).reshape(SEQUENCES, ROWS / SEQUENCES);
            Tensor reference = random(arena, DType.F32, SEQUENCES);
            double expected = PreferenceStep.of(new Dlrml(), logits, labels).referenceLogps(reference).run(Backend.reference()).loss();
            try (Tensor logitsThere = CudaTensors.toDevice(logits, stream);
                    Tensor labelsThere = CudaTensors.toDevice(labels, stream);
                    Tensor referenceThere = CudaTensors.toDevice(reference, stream)) {
                double loss = ReadmeCudaExample.step(logitsThere.address(), labelsThere.address(), referenceThere.address(), stream.address(),
                        SEQUENCES / 2, ROWS / SEQUENCES, VOCABULARY);
                assertEquals(expected, loss, 2e-5 * expected);
            }
        }
    }

    /** 4.6 GB of BF16: offsets of rows go past 2^31 elements, and there are more rows than 65535. */
    @Test
    void moreElementsThan31Bits() {
        long vocabulary = 32_768;
        long rows = (1L << 31) / vocabulary + 5000;
        try (Arena arena = Arena.ofConfined();
                Tensor logits = CudaTensors.zeros(0, DType.BF16, rows, vocabulary);
                Tensor labels = CudaTensors.zeros(0, DType.I64, rows);
                Tensor logp = CudaTensors.zeros(0, DType.F32, rows);
                Tensor lse = CudaTensors.zeros(0, DType.F64, rows);
                Tensor upstream = toDevice(Tensor.zeros(DType.F32, rows).fill(1))) {
            assertTrue(rows > 65_535 && rows * vocabulary > 1L << 31);
            Tensor last = random(arena, DType.BF16, 1, vocabulary);
            CudaTensors.copyAsync(logits.slice(0, rows - 1, rows), last, stream);
            TokenLogprobs.of(logits, labels).logp(logp).lse(lse).run(cuda);
            TokenLogprobsBackward.of(logits, labels, lse).gradLogp(upstream).inPlace().run(cuda);

            Tensor expected = Tensor.zeros(arena, DType.F64, 1);
            Tensor expectedLse = Tensor.zeros(arena, DType.F64, 1);
            Tensor gradient = Tensor.zeros(arena, DType.BF16, 1, vocabulary);
            Tensor label = Tensor.zeros(arena, DType.I64, 1);
            TokenLogprobs.of(last, label).logp(expected).lse(expectedLse).run(Backend.reference());
            TokenLogprobsBackward.of(last, label, expectedLse).gradLogp(Tensor.zeros(arena, DType.F32, 1).fill(1)).gradLogits(gradient)
                    .run(Backend.reference());
            try (Tensor back = CudaTensors.toHost(logp, stream);
                    Tensor lastBack = CudaTensors.toHost(logits.slice(0, rows - 1, rows), stream);
                    Tensor middle = CudaTensors.toHost(logits.slice(0, rows - 2, rows - 1), stream)) {
                Expect.asPromised("last logp", DType.F32, expected.toDoubles(), new double[] {back.getDouble(rows - 1)});
                Expect.asPromised("last gradient", DType.BF16, gradient.toDoubles(), lastBack.toDoubles());
                for (long row = 0; row < rows - 1; row += 997) {
                    assertEquals(-Math.log(vocabulary), back.getDouble(row), 1e-5);
                }
                assertEquals(1 - 1. / vocabulary, middle.getDouble(0, 0), 1e-2);
                assertEquals(-1. / vocabulary, middle.getDouble(0, vocabulary - 1), 1e-6);
            }
        }
    }

    /** A forward and a backward, and their tensors. */
    private record Rows(Tensor logits, Tensor labels, Tensor logp, Tensor lse, Tensor gradient, Tensor upstream) implements AutoCloseable {
        void run(Backend backend) {
            TokenLogprobs.of(logits, labels).logp(logp).lse(lse).run(backend);
            TokenLogprobsBackward.of(logits, labels, lse).gradLogp(upstream).gradLogits(gradient).run(backend);
        }

        Rows toDevice(CudaStream on) {
            return new Rows(CudaTensors.toDevice(logits, on), CudaTensors.toDevice(labels, on), CudaTensors.toDevice(logp, on),
                    CudaTensors.toDevice(lse, on), CudaTensors.toDevice(gradient, on), CudaTensors.toDevice(upstream, on));
        }

        Rows toHost(CudaStream on) {
            return new Rows(CudaTensors.toHost(logits, on), CudaTensors.toHost(labels, on), CudaTensors.toHost(logp, on),
                    CudaTensors.toHost(lse, on), CudaTensors.toHost(gradient, on), CudaTensors.toHost(upstream, on));
        }

        @Override
        public void close() {
            logits.close();
            labels.close();
            logp.close();
            lse.close();
            gradient.close();
            upstream.close();
        }
    }

    private Tensor toDevice(Tensor host) {
        try (host) {
            return CudaTensors.toDevice(host, stream);
        }
    }

    private static Tensor labels(Arena arena) {
        return Tensor.of(arena, new Random(2).longs(ROWS, 0, VOCABULARY).toArray(), ROWS);
    }

    private static Tensor random(Arena arena, DType dtype, long... shape) {
        Tensor tensor = Tensor.zeros(arena, dtype, shape);
        Random random = new Random(11);
        Tensor flat = tensor.reshape(tensor.elementCount());
        for (long i = 0; i < flat.elementCount(); i++) {
            flat.setDouble(6 * random.nextDouble() - 3, i);
        }
        return tensor;
    }

    private static byte[] bytes(Tensor tensor) {
        return tensor.segment().toArray(ValueLayout.JAVA_BYTE);
    }
}
