package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.logratio.cuda.CudaStream;
import dev.logratio.cuda.CudaTensors;
import dev.logratio.loss.Dlrml;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

import java.lang.foreign.Arena;
import java.util.Arrays;

/** Whole steps on tensors in a GPU's memory. */
@Tag("gpu")
class CudaStepChecks {
    private static final int ROWS = 16;
    private static final int VOCABULARY = 32_003;
    private static final int SEQUENCES = 8;

    private final CudaStream stream = CudaStream.create(0);
    private final Backend cuda = stream.backend();

    @AfterEach
    void closeStream() {
        stream.close();
    }

    @Test
    void theExampleOfTheReadme() {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logits =
                    CudaRows.logits(arena, DType.BF16, SEQUENCES, ROWS / SEQUENCES, VOCABULARY);
            Tensor labels =
                    CudaRows.labels(arena, ROWS, VOCABULARY).reshape(SEQUENCES, ROWS / SEQUENCES);
            Tensor reference = CudaRows.logits(arena, DType.F32, SEQUENCES);
            double expected =
                    PreferenceStep.of(new Dlrml(), logits, labels)
                            .referenceLogps(reference)
                            .run(Backend.reference())
                            .loss();
            try (Tensor logitsThere = CudaTensors.toDevice(logits, stream);
                    Tensor labelsThere = CudaTensors.toDevice(labels, stream);
                    Tensor referenceThere = CudaTensors.toDevice(reference, stream)) {
                double loss =
                        CudaExample.step(
                                logitsThere.address(),
                                labelsThere.address(),
                                referenceThere.address(),
                                stream.address(),
                                SEQUENCES / 2,
                                ROWS / SEQUENCES,
                                VOCABULARY);
                assertEquals(expected, loss, 2e-5 * expected);
            }
        }
    }

    /**
     * The metrics, which are waited for, are those of the losses on the device; without them the
     * gradient is the same.
     */
    @Test
    void withMetricsAndWithout() {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logits =
                    CudaRows.logits(arena, DType.BF16, SEQUENCES, ROWS / SEQUENCES, VOCABULARY);
            Tensor labels =
                    CudaRows.labels(arena, ROWS, VOCABULARY).reshape(SEQUENCES, ROWS / SEQUENCES);
            Tensor losses = Tensor.zeros(arena, DType.F32, SEQUENCES / 2);
            Tensor gradient = Tensor.zeros(arena, DType.BF16, logits.shape());
            StepMetrics metrics =
                    PreferenceStep.of(new Dlrml(), logits, labels)
                            .referenceFree()
                            .losses(losses)
                            .gradLogits(gradient)
                            .run(Backend.cudaOnHostTensors());
            assertEquals(
                    Arrays.stream(losses.toDoubles()).average().orElseThrow(),
                    metrics.loss(),
                    1e-6);
            try (Tensor logitsThere = CudaTensors.toDevice(logits, stream);
                    Tensor labelsThere = CudaTensors.toDevice(labels, stream);
                    Tensor lossesThere = CudaTensors.zeros(0, DType.F32, SEQUENCES / 2)) {
                PreferenceStep step =
                        PreferenceStep.of(new Dlrml(), logitsThere, labelsThere)
                                .referenceFree()
                                .losses(lossesThere)
                                .inPlace();
                assertEquals(metrics, step.run(cuda));
                CudaTensors.copyAsync(logitsThere, logits, stream);
                step.launch(cuda);
                try (Tensor back = CudaTensors.toHost(logitsThere, stream);
                        Tensor lossesBack = CudaTensors.toHost(lossesThere, stream)) {
                    assertArrayEquals(CudaRows.bytes(gradient), CudaRows.bytes(back));
                    assertArrayEquals(CudaRows.bytes(losses), CudaRows.bytes(lossesBack));
                }
            }
        }
    }
}
