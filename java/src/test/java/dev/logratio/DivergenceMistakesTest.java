package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.DivergenceOptions.Detach;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.stream.Stream;

/**
 * Every mistake in a call of a divergence ends in one line that names the argument, before anything
 * is written.
 */
class DivergenceMistakesTest {
    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    @Test
    void optionsThatAKindDoesNotHave() {
        assertEquals(
                "w1 is 2.0, expected 1 as js has no such option",
                assertThrows(
                                IllegalArgumentException.class,
                                () -> DivergenceOptions.of(DivergenceKind.JS).withWeights(2, 1))
                        .getMessage());
        assertEquals(
                "temperature is 0.0, expected a finite number > 0",
                assertThrows(
                                IllegalArgumentException.class,
                                () -> DivergenceOptions.DEFAULT.withTemperature(0))
                        .getMessage());
    }

    @ParameterizedTest
    @MethodSource("backends")
    void mistakesAreNamed(Backend backend) {
        Tensor p = Tensor.zeros(DType.F32, 2, 3);
        Tensor q = Tensor.zeros(DType.F32, 2, 3);
        Tensor out = Tensor.zeros(DType.F32, 2, 3).fill(-77);
        Tensor twice = Tensor.of(new long[] {1, 1}, 2);
        mistake(
                backend,
                "q_logits is F32 [2, 4], expected shape [2, 3], as p_logits is F32 [2, 3]",
                Divergence.of(p, Tensor.zeros(DType.F32, 2, 4)).gradP(out));
        mistake(
                backend,
                "q_logits is BF16 [2, 3], expected F32, as p_logits is F32 [2, 3]",
                Divergence.of(p, Tensor.zeros(DType.BF16, 2, 3)).gradP(out));
        mistake(
                backend,
                "q_logits is F32 [1, 3], expected 2 rows, as p_logits is F32 [2, 3] without p_rows"
                        + " and q_rows",
                Divergence.of(p, q.slice(0, 0, 1)).gradP(out));
        mistake(
                backend,
                "q_rows is missing, expected int [K], as p_rows is given",
                Divergence.of(p, q).rows(twice, null).gradP(out));
        mistake(
                backend,
                "p_rows[1] is 1 once more, expected no row twice",
                Divergence.of(p, q).rows(twice, twice).gradP(out));
        mistake(
                backend,
                "row_weights[0] is -1.0, expected a finite number >= 0",
                Divergence.of(p, q)
                        .rowWeights(Tensor.of(DType.F32, new double[] {-1, 0}, 2))
                        .gradP(out));
        mistake(
                backend,
                "q_weights row 0 sums to 0, expected a positive sum",
                Divergence.ofWeights(p, q).gradP(out));
        mistake(
                backend,
                "grad_q_logits is wanted, expected q_logits with it",
                Divergence.ofWeights(p, Tensor.zeros(DType.F32, 2, 3).fill(1)).gradQ(out));
        mistake(
                backend,
                "grad_p_logits is wanted, expected p_logits not detached",
                Divergence.of(p, q)
                        .options(DivergenceOptions.DEFAULT.withDetach(Detach.P))
                        .gradP(out));
        mistake(
                backend,
                "grad_p_logits F32 [2, 3] overlaps q_logits F32 [2, 3], expected memory of its own",
                Divergence.of(p, q).gradP(q));
        mistake(
                backend,
                "grad_p_logits F32 [2, 3] overlaps q_logits F32 [2, 3], expected memory of its own",
                Divergence.of(p, p).gradP(p));
        assertArrayEquals(new double[] {-77, -77, -77, -77, -77, -77}, out.toDoubles());
    }

    private static void mistake(Backend backend, String message, Divergence call) {
        String actual =
                assertThrows(IllegalArgumentException.class, () -> call.run(backend)).getMessage();
        assertTrue(
                actual.equals(message) || actual.equals(swapped(message)),
                actual + " is not " + message);
    }

    /** Which of two tensors that overlap is named first is open. */
    private static String swapped(String message) {
        return message.replace(
                "grad_p_logits F32 [2, 3] overlaps q_logits",
                "q_logits F32 [2, 3] overlaps grad_p_logits");
    }
}
