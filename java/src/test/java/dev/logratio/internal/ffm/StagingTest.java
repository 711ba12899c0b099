package dev.logratio.internal.ffm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Tensor;
import dev.logratio.TokenLogprobs;
import dev.logratio.TokenLogprobsBackward;

import org.junit.jupiter.api.Test;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * Host tensors on their way to a device and back, where the device is the emulator with memory of
 * its own.
 */
class StagingTest {
    private static final long VOCABULARY = 300;

    private final List<Tensor> targets = new ArrayList<>();
    private final Backend direct = Backend.emulator();
    private final Backend staged =
            new EmulatorBackend(
                    "with memory of its own",
                    new Staging.Space() {
                        @Override
                        public Tensor allocate(long bytes) {
                            return Tensor.wrap(
                                    Arena.ofAuto().allocate(bytes, 256).fill((byte) 0x7f),
                                    DType.U8,
                                    bytes);
                        }

                        @Override
                        public void copy(Tensor to, Tensor from) {
                            targets.add(to);
                            to.copyFrom(from);
                        }

                        @Override
                        public void await() {} // copies are done when they return
                    });

    @Test
    void interleavedOutputsKeepWhatLiesBetween() {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logits = random(arena, DType.F32);
            Tensor labels = Tensor.zeros(arena, DType.I32, 4);
            Tensor there = Tensor.zeros(arena, DType.F64, 4, 3).fill(-7);
            Tensor here = Tensor.zeros(arena, DType.F64, 4, 3).fill(-7);
            TokenLogprobs.of(logits, labels)
                    .logp(there.select(1, 0))
                    .lse(there.select(1, 2))
                    .run(staged);
            TokenLogprobs.of(logits, labels)
                    .logp(here.select(1, 0))
                    .lse(here.select(1, 2))
                    .run(direct);
            assertArrayEquals(here.toDoubles(), there.toDoubles());
            assertEquals(-7, there.getDouble(2, 1));
            assertTrue(there.getDouble(2, 0) < 0);
            assertEquals(
                    3 + 1,
                    targets.size(),
                    "logits, labels, and both outputs in one piece; those back");
        }
    }

    @Test
    void inPlaceIsOnePiece() {
        for (DType dtype : new DType[] {DType.F32, DType.BF16}) {
            try (Arena arena = Arena.ofConfined()) {
                Tensor there = random(arena, dtype);
                Tensor here = Tensor.zeros(arena, dtype, there.shape()).copyFrom(there);
                backward(arena, there, staged);
                backward(arena, here, direct);
                assertArrayEquals(here.toDoubles(), there.toDoubles());
            }
        }
    }

    private static void backward(Arena arena, Tensor logits, Backend backend) {
        Tensor labels = Tensor.zeros(arena, DType.I64, 4);
        Tensor lse = Tensor.zeros(arena, DType.F64, 4);
        // Rows of a wider matrix, off the alignment of vectors: logits[:, 1:]
        Tensor rows = logits.slice(1, 1, VOCABULARY);
        TokenLogprobs.of(rows, labels).lse(lse).run(backend);
        TokenLogprobsBackward.of(rows, labels, lse)
                .gradLogp(Tensor.zeros(arena, DType.F32, 4).fill(1))
                .inPlace()
                .run(backend);
    }

    @Test
    void addressesKeepTheirAlignment() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = arena.allocate(4 * VOCABULARY * 4 + 256, 256).asSlice(12);
            Tensor logits =
                    Tensor.wrap(memory, DType.F32, 4, VOCABULARY)
                            .copyFrom(random(arena, DType.F32));
            Tensor labels = Tensor.zeros(arena, DType.I64, 4);
            TokenLogprobs.of(logits, labels).lse(Tensor.zeros(arena, DType.F32, 4)).run(staged);
            long bytes = 4 * VOCABULARY * 4;
            assertTrue(
                    targets.stream()
                            .anyMatch(
                                    piece ->
                                            piece.elementCount() == bytes
                                                    && piece.address() % 256 == 12),
                    targets::toString);
        }
    }

    @Test
    void inputsAreNotWritten() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = arena.allocate(4 * VOCABULARY * 4, 64);
            Tensor.wrap(memory, DType.F32, 4, VOCABULARY).copyFrom(random(arena, DType.F32));
            Tensor logits = Tensor.wrap(memory.asReadOnly(), DType.F32, 4, VOCABULARY);
            Tensor lse = Tensor.zeros(arena, DType.F32, 4);
            TokenLogprobs.of(logits, Tensor.zeros(arena, DType.I64, 4)).lse(lse).run(staged);
            assertTrue(lse.getDouble(3) > 0);
        }
    }

    private static Tensor random(Arena arena, DType dtype) {
        return Tensor.of(
                arena,
                dtype,
                new Random(3).doubles(4 * VOCABULARY, -2, 2).toArray(),
                4,
                VOCABULARY);
    }
}
