package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.cuda.CudaStream;
import dev.logratio.cuda.CudaTensors;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

import java.lang.foreign.Arena;

/** More elements than 31 bits count. */
@Tag("gpu")
class CudaLargeChecks {

    private final CudaStream stream = CudaStream.create(0);
    private final Backend cuda = stream.backend();

    @AfterEach
    void closeStream() {
        stream.close();
    }

    /**
     * 4.6 GB of BF16: offsets of rows go past 2^31 elements, and there are more rows than 65535.
     */
    @Test
    void moreElementsThan31Bits() {
        long vocabulary = 32_768;
        long rows = (1L << 31) / vocabulary + 5000;
        try (Arena arena = Arena.ofConfined();
                Tensor logits = CudaTensors.zeros(0, DType.BF16, rows, vocabulary);
                Tensor labels = CudaTensors.zeros(0, DType.I64, rows);
                Tensor logp = CudaTensors.zeros(0, DType.F32, rows);
                Tensor lse = CudaTensors.zeros(0, DType.F64, rows);
                Tensor ones = Tensor.zeros(DType.F32, rows).fill(1);
                Tensor upstream = CudaTensors.toDevice(ones, stream)) {
            assertTrue(rows > 65_535 && rows * vocabulary > 1L << 31);
            Tensor last = CudaRows.logits(arena, DType.BF16, 1, vocabulary);
            CudaTensors.copyAsync(logits.slice(0, rows - 1, rows), last, stream);
            TokenLogprobs.of(logits, labels).logp(logp).lse(lse).run(cuda);
            TokenLogprobsBackward.of(logits, labels, lse).gradLogp(upstream).inPlace().run(cuda);

            Tensor expected = Tensor.zeros(arena, DType.F64, 1);
            Tensor expectedLse = Tensor.zeros(arena, DType.F64, 1);
            Tensor gradient = Tensor.zeros(arena, DType.BF16, 1, vocabulary);
            Tensor label = Tensor.zeros(arena, DType.I64, 1);
            TokenLogprobs.of(last, label).logp(expected).lse(expectedLse).run(Backend.reference());
            TokenLogprobsBackward.of(last, label, expectedLse)
                    .gradLogp(Tensor.zeros(arena, DType.F32, 1).fill(1))
                    .gradLogits(gradient)
                    .run(Backend.reference());
            try (Tensor back = CudaTensors.toHost(logp, stream);
                    Tensor lastBack = CudaTensors.toHost(logits.slice(0, rows - 1, rows), stream);
                    Tensor middle =
                            CudaTensors.toHost(logits.slice(0, rows - 2, rows - 1), stream)) {
                Expect.asPromised(
                        "last logp",
                        DType.F32,
                        expected.toDoubles(),
                        new double[] {back.getDouble(rows - 1)});
                Expect.asPromised(
                        "last gradient", DType.BF16, gradient.toDoubles(), lastBack.toDoubles());
                for (long row = 0; row < rows - 1; row += 997) {
                    assertEquals(-Math.log(vocabulary), back.getDouble(row), 1e-5);
                }
                assertEquals(1 - 1. / vocabulary, middle.getDouble(0, 0), 1e-2);
                assertEquals(-1. / vocabulary, middle.getDouble(0, vocabulary - 1), 1e-6);
            }
        }
    }
}
