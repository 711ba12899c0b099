package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.loss.Dlrml;
import dev.logratio.loss.Sigmoid;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.stream.Stream;

/** Calls that are bound once and run many times. */
class PreparedCallTest {
    private static final double[] CHOSEN = {-10, -12.5, -9};
    private static final double[] REJECTED = {-11, -12, -14};

    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    private static Tensor f64(double... values) {
        return Tensor.of(DType.F64, values, values.length);
    }

    /** A run computes what is in the tensors then, as a plain call does. */
    @ParameterizedTest
    @MethodSource("backends")
    void followsTheTensors(Backend backend) {
        try (Tensor chosen = f64(CHOSEN);
                Tensor rejected = f64(REJECTED);
                Tensor prepared = f64(0, 0, 0);
                Tensor plain = f64(0, 0, 0)) {
            PairLoss call = PairLoss.of(new Dlrml(), chosen, rejected).referenceFree();
            try (PreparedCall bound = call.losses(prepared).prepare(backend)) {
                call.losses(plain);
                for (double shift : new double[] {0, -3, 1.5}) {
                    chosen.setDouble(CHOSEN[1] + shift, 1);
                    bound.run();
                    call.run(backend);
                    assertArrayEquals(plain.toDoubles(), prepared.toDoubles());
                }
            }
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void stepsRunAgain(Backend backend) {
        try (Tensor logits = Tensor.zeros(DType.F32, 4, 3, 7);
                Tensor labels = Tensor.zeros(DType.I32, 4, 3);
                Tensor reference = Tensor.zeros(DType.F32, 4).fill(-5);
                Tensor losses = Tensor.zeros(DType.F64, 2)) {
            PreferenceStep step =
                    PreferenceStep.of(new Sigmoid(), logits, labels)
                            .referenceLogps(reference)
                            .losses(losses);
            try (PreparedCall bound = step.prepare(backend)) {
                bound.run();
                // Equal log-ratios: log 2 whatever beta is.
                assertArrayEquals(
                        new double[] {Math.log(2), Math.log(2)}, losses.toDoubles(), 1e-6);
                reference.setDouble(-7, 0);
                losses.fill(0);
                bound.run();
                // The first pair's margin is 2: log(1 + exp(-.1 * 2)).
                assertEquals(Math.log1p(Math.exp(-.2)), losses.getDouble(0), 1e-6);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void elementsAreCheckedAnew(Backend backend) {
        try (Tensor logits = Tensor.zeros(DType.F32, 3, 5);
                Tensor labels = Tensor.zeros(DType.I64, 3);
                Tensor logp = Tensor.zeros(DType.F32, 3);
                PreparedCall bound = TokenLogprobs.of(logits, labels).logp(logp).prepare(backend)) {
            bound.run();
            labels.setLong(5, 1);
            logp.fill(7);
            String message = assertThrows(IllegalArgumentException.class, bound::run).getMessage();
            assertEquals(
                    "labels[1] is 5, expected a number in [0,5) or the ignore_index -100", message);
            assertArrayEquals(new double[] {7, 7, 7}, logp.toDoubles());
            labels.setLong(4, 1);
            bound.run();
            assertEquals(-Math.log(5), logp.getDouble(1), 1e-6);
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void holdsItsTensors(Backend backend) {
        Tensor chosen = f64(CHOSEN);
        Tensor losses = f64(0, 0, 0);
        PairLoss call = PairLoss.of(new Sigmoid(), chosen, chosen).referenceFree().losses(losses);
        PreparedCall bound = call.prepare(backend);
        assertThrows(IllegalStateException.class, chosen::close);
        bound.close();
        bound.close();
        assertThrows(IllegalStateException.class, bound::run);
        chosen.close();
        losses.close();
        assertThrows(IllegalStateException.class, () -> call.prepare(backend));
    }

    @ParameterizedTest
    @MethodSource("backends")
    void anArenaThatIsClosedIsSeen(Backend backend) {
        try (Tensor losses = f64(0, 0, 0)) {
            Arena arena = Arena.ofConfined();
            Tensor chosen = Tensor.of(arena, DType.F64, CHOSEN, 3);
            PairLoss call = PairLoss.of(new Sigmoid(), chosen, chosen).referenceFree();
            try (PreparedCall bound = call.losses(losses).prepare(backend)) {
                bound.run();
                arena.close();
                String message = assertThrows(IllegalStateException.class, bound::run).getMessage();
                assertEquals("policy_chosen is F64 [3], which is closed", message);
            }
        }
    }

    /** A wrong argument is found when the call is prepared, and its tensors can be closed then. */
    @ParameterizedTest
    @MethodSource("backends")
    void wrongArguments(Backend backend) {
        try (Tensor chosen = f64(CHOSEN);
                Tensor short1 = f64(0)) {
            PairLoss call = PairLoss.of(new Sigmoid(), chosen, chosen).referenceFree();
            assertThrows(
                    IllegalArgumentException.class, () -> call.losses(short1).prepare(backend));
        }
    }

    /** After a change of an argument a plain call is checked and written down anew. */
    @ParameterizedTest
    @MethodSource("backends")
    void changesOfAPlainCallAreSeen(Backend backend) {
        try (Tensor chosen = f64(CHOSEN);
                Tensor rejected = f64(REJECTED);
                Tensor first = f64(0, 0, 0);
                Tensor second = f64(0, 0, 0);
                Tensor wrong = f64(0)) {
            PairLoss call = PairLoss.of(new Sigmoid(), chosen, rejected).referenceFree();
            call.losses(first).run(backend);
            call.losses(second).run(backend);
            assertArrayEquals(first.toDoubles(), second.toDoubles());
            assertTrue(second.getDouble(0) > 0);
            assertThrows(IllegalArgumentException.class, () -> call.losses(wrong).run(backend));
            second.fill(0);
            call.losses(second).run(backend);
            assertArrayEquals(first.toDoubles(), second.toDoubles());
        }
    }
}
