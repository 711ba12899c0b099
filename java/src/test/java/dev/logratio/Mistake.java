package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.params.provider.Arguments;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * A mistaken call.
 *
 * @param message all that the call's exception says
 * @param call makes its outputs by {@link #out} and runs on the backend
 */
record Mistake(String message, Consumer<Backend> call) {
    static final Arena ARENA = Arena.ofAuto();
    private static final double UNTOUCHED = -77;

    /** Outputs of a mistaken call, all of which must stay as they were. */
    private static final List<Tensor> OUTPUTS = new ArrayList<>();

    static Tensor out(DType dtype, long... shape) {
        Tensor tensor = Tensor.zeros(ARENA, dtype, shape).fill(UNTOUCHED);
        OUTPUTS.add(tensor);
        return tensor;
    }

    static Tensor f32(long... shape) {
        return Tensor.zeros(ARENA, DType.F32, shape);
    }

    static Tensor i64(long... shape) {
        return Tensor.zeros(ARENA, DType.I64, shape);
    }

    /** The arguments of a test: each backend with each mistake. */
    static Stream<Arguments> onEveryBackend(List<Mistake> mistakes) {
        return TestBackends.all()
                .flatMap(
                        backend ->
                                mistakes.stream().map(mistake -> Arguments.of(backend, mistake)));
    }

    /** Runs the call, which must say its message and leave its outputs as they were. */
    void expect(Backend backend) {
        OUTPUTS.clear();
        IllegalArgumentException thrown =
                assertThrows(IllegalArgumentException.class, () -> call.accept(backend));
        assertEquals(message, thrown.getMessage());
        for (Tensor output : OUTPUTS) {
            double[] untouched = new double[(int) output.elementCount()];
            Arrays.fill(untouched, UNTOUCHED);
            assertArrayEquals(untouched, output.toDoubles());
        }
    }
}
