package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.logratio.loss.Dlrml;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** Who owns memory, and what happens when it is closed at the wrong time. */
class TensorClosingTest {
    @Test
    void useAfterCloseNamesTheTensor() {
        Tensor tensor = Tensor.zeros(DType.F32, 2, 3);
        Tensor view = tensor.select(0, 1);
        tensor.close();
        tensor.close();
        IllegalStateException thrown =
                assertThrows(IllegalStateException.class, () -> tensor.getDouble(0, 0));
        assertEquals("tensor F32 [2, 3] is closed", thrown.getMessage());
        assertThrows(IllegalStateException.class, () -> view.setDouble(1, 0));
        assertThrows(IllegalStateException.class, view::segment);
        assertThrows(IllegalStateException.class, tensor::address);
        assertThrows(IllegalStateException.class, tensor::toDoubles);
    }

    @Test
    void closingAViewClosesItsOwner() {
        Tensor tensor = Tensor.zeros(DType.F32, 2);
        tensor.slice(0, 0, 1).close();
        assertThrows(IllegalStateException.class, () -> tensor.getDouble(0));
    }

    @Test
    void anArenaFreesItsTensors() {
        Tensor tensor;
        try (Arena arena = Arena.ofShared()) {
            tensor = Tensor.zeros(arena, DType.F32, 2);
            tensor.close();
            assertEquals(0, tensor.getDouble(0), "closing a tensor in an arena does nothing");
        }
        assertThrows(IllegalStateException.class, () -> tensor.getDouble(0));
    }

    @Test
    void onCloseRunsOnce() {
        AtomicInteger closed = new AtomicInteger();
        try (Arena arena = Arena.ofConfined()) {
            long address = arena.allocate(8, 8).address();
            Tensor tensor =
                    Tensor.ofAddress(
                            address,
                            DType.F64,
                            new long[] {1},
                            new long[] {1},
                            closed::incrementAndGet);
            tensor.close();
            tensor.close();
            assertEquals(1, closed.get());
            assertThrows(IllegalStateException.class, () -> tensor.getDouble(0));
        }
    }

    @Test
    void segmentsEndWithTheirTensor() {
        Tensor tensor = Tensor.of(new float[] {1, 2, 3}, 3);
        MemorySegment whole = tensor.segment();
        MemorySegment part = tensor.slice(0, 2, 3).segment();
        assertEquals(4, part.byteSize());
        assertEquals(3, part.get(JAVA_FLOAT, 0));
        tensor.close();
        assertThrows(IllegalStateException.class, () -> whole.get(JAVA_FLOAT, 0));
        assertThrows(IllegalStateException.class, () -> part.set(JAVA_FLOAT, 0, 1));
    }

    /** Whoever reads beside a close gets a value or an exception. */
    @Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    @Test
    void elementsAreNotReadOnceTheMemoryIsFreed() throws InterruptedException {
        for (int round = 0; round < 50; round++) {
            Tensor tensor = Tensor.zeros(DType.F64, 1 << 16).fill(7);
            AtomicInteger reads = new AtomicInteger();
            String[] ending = new String[1];
            Thread reader =
                    new Thread(
                            () -> {
                                try {
                                    for (long i = 0; ; i = (i + 4099) & 0xffff) {
                                        double value = tensor.getDouble(i);
                                        if (value != 7) {
                                            ending[0] = "read " + value;
                                            return;
                                        }
                                        reads.incrementAndGet();
                                    }
                                } catch (IllegalStateException e) {
                                    ending[0] = e.getMessage();
                                }
                            });
            reader.start();
            while (reads.get() == 0) {
                Thread.onSpinWait();
            }
            while (true) {
                try {
                    tensor.close();
                    break;
                } catch (IllegalStateException e) {
                    assertTrue(e.getMessage().contains("is in use"), e.getMessage());
                }
            }
            reader.join();
            assertEquals("tensor F64 [65536] is closed", ending[0]);
        }
    }

    /**
     * A shared arena for each tensor would make every close wait for all of these threads, which
     * takes milliseconds.
     */
    @Test
    void otherThreadsDoNotSlowClosingDown() throws InterruptedException {
        AtomicBoolean stop = new AtomicBoolean();
        List<Thread> busy =
                IntStream.range(0, 8)
                        .mapToObj(
                                k ->
                                        Thread.ofPlatform()
                                                .start(
                                                        () -> {
                                                            double x = k;
                                                            while (!stop.get()) {
                                                                for (int i = 0; i < 1000; i++) {
                                                                    x = Math.sin(x) + 1;
                                                                }
                                                            }
                                                        }))
                        .toList();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = arena.allocate(64, 64);
            long[] shape = {16};
            long[] strides = {1};
            assertTakesUnderAMillisecond(
                    () -> Tensor.ofAddress(memory.address(), DType.F32, shape, strides, null));
            assertTakesUnderAMillisecond(() -> Tensor.wrap(memory, DType.F32, shape));
            assertTakesUnderAMillisecond(() -> Tensor.zeros(DType.F32, shape));
        } finally {
            stop.set(true);
            for (Thread thread : busy) {
                thread.join();
            }
        }
    }

    private static void assertTakesUnderAMillisecond(Supplier<Tensor> open) {
        long[] nanoseconds = new long[201];
        for (int i = 0; i < nanoseconds.length; i++) {
            long start = System.nanoTime();
            open.get().close();
            nanoseconds[i] = System.nanoTime() - start;
        }
        Arrays.sort(nanoseconds);
        long median = nanoseconds[nanoseconds.length / 2];
        assertTrue(median < 1_000_000, median + " ns"); // some 100 ns
    }

    @Test
    void largeZerosTakeMemoryOnlyWhereTheyAreTouched() throws IOException {
        long before = residentKilobytes();
        for (int i = 0; i < 20; i++) { // of 1 GiB each
            try (Tensor zeros = Tensor.zeros(DType.F32, 1L << 28)) {
                assertEquals(0, zeros.getDouble((1L << 28) - 1));
                assertEquals(0, zeros.address() % 64);
            }
        }
        assertTrue(
                residentKilobytes() - before < 1_000_000,
                before + " KB grew to " + residentKilobytes());
    }

    @Test
    void closingGivesMemoryBack() throws IOException {
        long before = residentKilobytes();
        for (int i = 0; i < 100; i++) {
            Tensor.zeros(DType.U8, 10 << 20).fill(1).close();
            assertThrows(
                    IllegalArgumentException.class,
                    () -> Tensor.of(DType.BOOL, new double[] {1, 2}, 2));
        }
        assertTrue(
                residentKilobytes() - before < 500_000,
                before + " KB grew to " + residentKilobytes());
    }

    @Test
    void memoryThatIsNotThereIsAnError() {
        assertThrows(OutOfMemoryError.class, () -> Tensor.zeros(DType.U8, Long.MAX_VALUE / 2));
        assertThrows(OutOfMemoryError.class, () -> Tensor.zeros(DType.U8, Long.MAX_VALUE));
    }

    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    @ParameterizedTest
    @MethodSource("backends")
    void operationsRefuseClosedTensors(Backend backend) {
        Tensor chosen = Tensor.zeros(DType.F32, 2);
        Tensor rejected = Tensor.zeros(DType.F32, 2);
        Tensor loss = Tensor.zeros(DType.F32, 2);
        rejected.close();
        IllegalStateException thrown =
                assertThrows(
                        IllegalStateException.class,
                        () ->
                                PairLoss.of(new Dlrml(), chosen, rejected)
                                        .referenceFree()
                                        .losses(loss)
                                        .run(backend));
        assertEquals("policy_rejected is F32 [2], which is closed", thrown.getMessage());
        chosen.close(); // would fail if the refused call still held it
        loss.close();
    }

    @ParameterizedTest
    @MethodSource("backends")
    void operationsRefuseAnotherThreadsArena(Backend backend) throws InterruptedException {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logps = Tensor.zeros(arena, DType.F32, 2);
            Throwable[] thrown = new Throwable[1];
            Thread other =
                    new Thread(
                            () -> {
                                try {
                                    PairLoss.of(new Dlrml(), logps, logps)
                                            .referenceFree()
                                            .run(backend);
                                } catch (IllegalStateException e) {
                                    thrown[0] = e;
                                }
                            });
            other.start();
            other.join();
            assertTrue(
                    thrown[0].getMessage().contains("confined arena of another thread"),
                    String.valueOf(thrown[0]));
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void argumentsOfACallCannotBeClosed(Backend backend) {
        Tensor logits = Tensor.zeros(DType.F32, 100, 10_000);
        Tensor labels = Tensor.zeros(Arena.ofAuto(), DType.I64, 100);
        Tensor logp = Tensor.zeros(Arena.ofAuto(), DType.F32, 100);
        try (PreparedCall prepared = TokenLogprobs.of(logits, labels).logp(logp).prepare(backend)) {
            prepared.run();
            assertFalse(closes(logits));
            assertEquals(0, logits.getDouble(99, 9_999));
        }
        assertTrue(closes(logits));
    }

    /**
     * An input is closed while an operation runs, as often as it takes for a close to come during a
     * call and not between two.
     */
    @Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    @ParameterizedTest
    @MethodSource("backends")
    void memoryInUseCannotBeClosed(Backend backend) throws InterruptedException {
        boolean refused;
        do {
            refused = refusesToCloseInARunningCall(backend);
        } while (!refused);
    }

    /**
     * One thread runs an operation again and again, another closes its input as soon as it is let:
     * whether it was refused at first.
     */
    private static boolean refusesToCloseInARunningCall(Backend backend)
            throws InterruptedException {
        Tensor logits = Tensor.zeros(DType.F32, 100, 10_000);
        Tensor labels = Tensor.zeros(DType.I64, 100);
        Tensor logp = Tensor.zeros(DType.F32, 100);
        AtomicInteger completed = new AtomicInteger();
        String[] ending = new String[1];
        Thread worker =
                new Thread(
                        () -> {
                            try {
                                while (true) {
                                    TokenLogprobs.of(logits, labels).logp(logp).run(backend);
                                    completed.incrementAndGet();
                                }
                            } catch (IllegalStateException e) {
                                ending[0] = e.getMessage();
                            }
                        });
        worker.setDaemon(true);
        worker.start();
        while (completed.get() == 0) {
            Thread.onSpinWait();
        }
        boolean refused = false;
        while (!closes(logits)) {
            refused = true;
        }
        worker.join();
        assertEquals("logits is F32 [100, 10000], which is closed", ending[0]);
        assertEquals(-Math.log(10_000), logp.getDouble(99), 1e-5);
        labels.close();
        logp.close();
        return refused;
    }

    private static boolean closes(Tensor tensor) {
        try {
            tensor.close();
            return true;
        } catch (IllegalStateException e) {
            assertEquals(
                    "tensor F32 [100, 10000] is in use by an operation: close it when the operation"
                            + " has returned",
                    e.getMessage());
            return false;
        }
    }

    @Test
    void callsLeakNoMemory() throws IOException {
        Backend cpu = TestBackends.cpu();
        try (Arena arena = Arena.ofConfined()) {
            Tensor logps = Tensor.zeros(arena, DType.F32, 4);
            Tensor loss = Tensor.zeros(arena, DType.F32, 4);
            PairLoss call = PairLoss.of(new Dlrml(), logps, logps).referenceFree().losses(loss);
            run(call, cpu, 20_000);
            long before = residentKilobytes();
            run(
                    call, cpu,
                    200_000); // each call takes some 3 KB: a leak of half of them would be 300 MB
            assertTrue(
                    residentKilobytes() - before < 100_000,
                    before + " KB grew to " + residentKilobytes());
        }
    }

    private static void run(PairLoss call, Backend backend, int times) {
        for (int i = 0; i < times; i++) {
            call.run(backend);
        }
    }

    private static long residentKilobytes() throws IOException {
        return Files.readAllLines(Path.of("/proc/self/status")).stream()
                .filter(line -> line.startsWith("VmRSS:"))
                .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")))
                .findFirst()
                .orElseThrow();
    }
}
