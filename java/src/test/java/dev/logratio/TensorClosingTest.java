package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.loss.Dlrml;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Who owns memory, and what happens when it is closed at the wrong time. */
class TensorClosingTest {
    @Test
    void useAfterCloseNamesTheTensor() {
        Tensor tensor = Tensor.zeros(DType.F32, 2, 3);
        Tensor view = tensor.select(0, 1);
        tensor.close();
        tensor.close();
        IllegalStateException thrown = assertThrows(IllegalStateException.class, () -> tensor.getDouble(0, 0));
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
            Tensor tensor = Tensor.ofAddress(address, DType.F64, new long[] {1}, new long[] {1}, closed::incrementAndGet);
            tensor.close();
            tensor.close();
            assertEquals(1, closed.get());
            assertThrows(IllegalStateException.class, () -> tensor.getDouble(0));
        }
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
        IllegalStateException thrown = assertThrows(
                IllegalStateException.class,
                () -> PairLoss.of(new Dlrml(), chosen, rejected).loss(loss).run(backend));
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
            Thread other = new Thread(() -> {
                try {
                    PairLoss.of(new Dlrml(), logps, logps).run(backend);
                } catch (IllegalStateException e) {
                    thrown[0] = e;
                }
            });
            other.start();
            other.join();
            assertTrue(thrown[0].getMessage().contains("confined arena of another thread"), String.valueOf(thrown[0]));
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void argumentsOfACallCannotBeClosed(Backend backend) {
        Tensor logits = Tensor.zeros(DType.F32, 100, 10_000);
        try (Arguments arguments = new Arguments(backend)) {
            arguments.input("logits", logits);
            assertFalse(closes(logits));
            assertEquals(0, logits.getDouble(99, 9_999));
        }
        assertTrue(closes(logits));
    }

    /** An input is closed while an operation runs, as often as it takes for a close to come during a call and not between two. */
    @Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    @ParameterizedTest
    @MethodSource("backends")
    void memoryInUseCannotBeClosed(Backend backend) throws InterruptedException {
        boolean refused;
        do {
            refused = refusesToCloseInARunningCall(backend);
        } while (!refused);
    }

    /** One thread runs an operation again and again, another closes its input as soon as it is let: whether it was refused at first. */
    private static boolean refusesToCloseInARunningCall(Backend backend) throws InterruptedException {
        Tensor logits = Tensor.zeros(DType.F32, 100, 10_000);
        Tensor labels = Tensor.zeros(DType.I64, 100);
        Tensor logp = Tensor.zeros(DType.F32, 100);
        AtomicInteger completed = new AtomicInteger();
        String[] ending = new String[1];
        Thread worker = new Thread(() -> {
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
            assertEquals("tensor F32 [100, 10000] is in use by an operation: close it when the operation has returned", e.getMessage());
            return false;
        }
    }

    @Test
    void callsLeakNoMemory() throws IOException {
        Backend cpu = TestBackends.cpu();
        try (Arena arena = Arena.ofConfined()) {
            Tensor logps = Tensor.zeros(arena, DType.F32, 4);
            Tensor loss = Tensor.zeros(arena, DType.F32, 4);
            PairLoss call = PairLoss.of(new Dlrml(), logps, logps).loss(loss);
            run(call, cpu, 20_000);
            long before = residentKilobytes();
            run(call, cpu, 200_000); // each call takes some 3 KB: a leak of half of them would be 300 MB
            assertTrue(residentKilobytes() - before < 100_000, before + " KB grew to " + residentKilobytes());
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
