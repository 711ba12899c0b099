package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.logratio.internal.ffm.CudaBackend;

import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.stream.Stream;

/** Rows whose offset is past 2^31 elements, in a sparse file that takes a few pages. */
class LargeTensorTest {
    private static final long ROW_STRIDE = (1L << 31) + 3;
    private static final int VOCABULARY = 1000;

    static Stream<Backend> backends() {
        // To a GPU the file would be copied whole; CudaLargeChecks is for it.
        return TestBackends.all().filter(backend -> !(backend instanceof CudaBackend));
    }

    @ParameterizedTest(allowZeroInvocations = true) // on a GPU
    @MethodSource("backends")
    void offsetsPast31Bits(Backend backend, @TempDir Path folder) throws IOException {
        try (Arena arena = Arena.ofConfined();
                FileChannel file =
                        FileChannel.open(
                                folder.resolve("sparse"),
                                StandardOpenOption.CREATE_NEW,
                                StandardOpenOption.READ,
                                StandardOpenOption.WRITE)) {
            long bytes = (ROW_STRIDE + VOCABULARY) * DType.BF16.bytes();
            MemorySegment segment = file.map(FileChannel.MapMode.READ_WRITE, 0, bytes, arena);
            Tensor logits =
                    Tensor.wrap(
                            segment,
                            DType.BF16,
                            new long[] {2, VOCABULARY},
                            new long[] {ROW_STRIDE, 1});
            Tensor labels = Tensor.of(arena, new long[] {0, 999}, 2);
            logits.setDouble(8, 1, 999);
            assertEquals(8, logits.getDouble(1, 999));
            Tensor logp = Tensor.zeros(arena, DType.F64, 2);
            Tensor lse = Tensor.zeros(arena, DType.F64, 2);
            TokenLogprobs.of(logits, labels).logp(logp).lse(lse).run(backend);
            double expected = -Math.log1p(999 * Math.exp(-8));
            Expect.asPromised(
                    "logp", DType.F32, new double[] {-Math.log(1000), expected}, logp.toDoubles());
            TokenLogprobsBackward.of(logits, labels, lse)
                    .gradLogp(Tensor.zeros(arena, DType.F32, 2).fill(1))
                    .inPlace()
                    .run(backend);
            assertEquals(1 - Math.exp(expected), logits.getDouble(1, 999), 1e-3);
            assertEquals(-1e-3, logits.getDouble(0, 999), 1e-5);
        }
    }
}
