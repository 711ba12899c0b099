package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.logratio.cuda.CudaStream;
import dev.logratio.cuda.CudaTensors;
import dev.logratio.loss.Bco;
import dev.logratio.loss.Dlrml;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

import java.lang.foreign.Arena;

/** Calls captured as graphs, which need the driver itself. */
@Tag("gpu")
class CudaGraphChecks {
    private static final int ROWS = 64;
    private static final int VOCABULARY = 32_003;
    private static final int SEQUENCES = 8;

    private final CudaStream stream = CudaStream.create(0);
    private final Backend cuda = stream.backend();

    @AfterEach
    void closeStream() {
        stream.close();
    }

    /** Calls become a graph, which then works on whatever stands in the tensors. */
    @Test
    void callsCanBeCaptured() {
        try (Arena arena = Arena.ofConfined()) {
            CudaRows host = CudaRows.random(arena, DType.BF16, ROWS, VOCABULARY);
            Tensor second = Tensor.zeros(arena, DType.BF16, ROWS, VOCABULARY).fill(.25);
            try (CudaRows there = host.toDevice(stream)) {
                there.run(cuda); // allocates the workspace
                stream.synchronize();
                try (GraphCapture graph = new GraphCapture(stream, () -> there.run(cuda))) {
                    CudaTensors.copyAsync(there.logits(), second, stream);
                    graph.launch();
                    try (Tensor logp = CudaTensors.toHost(there.logp(), stream)) {
                        assertEquals(-Math.log(VOCABULARY), logp.getDouble(ROWS - 1), 1e-5);
                    }
                    CudaTensors.copyAsync(there.logits(), host.logits(), stream);
                    graph.launch();
                    try (CudaRows back = there.toHost(stream)) {
                        host.run(Backend.cudaOnHostTensors());
                        assertArrayEquals(CudaRows.bytes(host.logp()), CudaRows.bytes(back.logp()));
                        assertArrayEquals(
                                CudaRows.bytes(host.gradient()), CudaRows.bytes(back.gradient()));
                    }
                }
            }
        }
    }

    /** A step without metrics waits for nothing. */
    @Test
    void wholeStepsCanBeCaptured() {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logits =
                    CudaRows.logits(arena, DType.BF16, SEQUENCES, ROWS / SEQUENCES, VOCABULARY);
            Tensor labels =
                    CudaRows.labels(arena, ROWS, VOCABULARY).reshape(SEQUENCES, ROWS / SEQUENCES);
            try (Tensor logitsThere = CudaTensors.toDevice(logits, stream);
                    Tensor labelsThere = CudaTensors.toDevice(labels, stream);
                    Tensor lossesThere = CudaTensors.zeros(0, DType.F32, SEQUENCES / 2)) {
                PreferenceStep step =
                        PreferenceStep.of(new Dlrml(), logitsThere, labelsThere)
                                .referenceFree()
                                .losses(lossesThere)
                                .inPlace();
                step.launch(cuda);
                try (Tensor gradient = CudaTensors.toHost(logitsThere, stream);
                        Tensor losses = CudaTensors.toHost(lossesThere, stream);
                        GraphCapture graph = new GraphCapture(stream, () -> step.launch(cuda))) {
                    CudaTensors.copyAsync(logitsThere, logits, stream);
                    graph.launch();
                    try (Tensor back = CudaTensors.toHost(logitsThere, stream);
                            Tensor lossesBack = CudaTensors.toHost(lossesThere, stream)) {
                        assertArrayEquals(CudaRows.bytes(gradient), CudaRows.bytes(back));
                        assertArrayEquals(CudaRows.bytes(losses), CudaRows.bytes(lossesBack));
                    }
                }
            }
        }
    }

    /** The same of a step of single examples. */
    @Test
    void stepsOfExamplesCanBeCaptured() {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logits =
                    CudaRows.logits(arena, DType.BF16, SEQUENCES, ROWS / SEQUENCES, VOCABULARY);
            Tensor labels =
                    CudaRows.labels(arena, ROWS, VOCABULARY).reshape(SEQUENCES, ROWS / SEQUENCES);
            Tensor chosen = Tensor.zeros(arena, DType.U8, SEQUENCES);
            chosen.setLong(1, 2);
            try (Tensor logitsThere = CudaTensors.toDevice(logits, stream);
                    Tensor labelsThere = CudaTensors.toDevice(labels, stream);
                    Tensor chosenThere = CudaTensors.toDevice(chosen, stream);
                    Tensor referenceThere = CudaTensors.zeros(0, DType.F32, SEQUENCES);
                    Tensor lossesThere = CudaTensors.zeros(0, DType.F32, SEQUENCES)) {
                UnpairedStep step =
                        UnpairedStep.of(new Bco(.01, 1, 0), logitsThere, labelsThere, chosenThere)
                                .referenceLogps(referenceThere)
                                .losses(lossesThere)
                                .inPlace();
                step.launch(cuda);
                try (Tensor gradient = CudaTensors.toHost(logitsThere, stream);
                        Tensor losses = CudaTensors.toHost(lossesThere, stream);
                        GraphCapture graph = new GraphCapture(stream, () -> step.launch(cuda))) {
                    CudaTensors.copyAsync(logitsThere, logits, stream);
                    graph.launch();
                    try (Tensor back = CudaTensors.toHost(logitsThere, stream);
                            Tensor lossesBack = CudaTensors.toHost(lossesThere, stream)) {
                        assertArrayEquals(CudaRows.bytes(gradient), CudaRows.bytes(back));
                        assertArrayEquals(CudaRows.bytes(losses), CudaRows.bytes(lossesBack));
                    }
                }
            }
        }
    }
}
