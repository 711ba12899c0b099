package dev.logratio.property;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import dev.logratio.Backend;
import dev.logratio.TestBackends;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.System.Logger.Level;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;

/**
 * Random calls of every operation against the reference: no output beyond what is promised, no NaN
 * where the reference has a value and none missing where it has none.
 *
 * <p>The seed is fixed; {@code -Dlogratio.seed=N} draws other cases, {@code -Dlogratio.cases=N} as
 * many of each operation and {@code -Dlogratio.case=N} runs one alone.
 */
class PropertyTest {
    private static final long SEED = Long.getLong("logratio.seed", 1);
    private static final Integer ONE = Integer.getInteger("logratio.case");
    private static final int SHOWN = 20;
    private static final System.Logger LOG = System.getLogger(PropertyTest.class.getName());

    private static int total;

    static Stream<Arguments> operations() {
        return TestBackends.names()
                .filter(name -> !name.equals("reference"))
                .flatMap(
                        name ->
                                Stream.of(Operation.values())
                                        .map(operation -> arguments(name, operation)));
    }

    // On the reference alone there are no invocations.
    @ParameterizedTest(name = "{0}: {1}", allowZeroInvocations = true)
    @MethodSource("operations")
    void agreesWithTheReference(String backend, Operation operation) {
        int cases = Integer.getInteger("logratio.cases", isSlow(backend) ? 500 : 1500);
        int first = ONE == null ? 0 : ONE;
        int end = ONE == null ? cases : ONE + 1;
        List<String> faults = new ArrayList<>();
        for (int number = first; number < end; number++) {
            faults.addAll(faults(backend, operation, number));
        }
        total += end - first;
        LOG.log(
                Level.INFO,
                "{0} {1}: {2} cases of seed {3}, {4} faults",
                backend,
                operation,
                end - first,
                String.valueOf(SEED),
                faults.size());
        assertEquals(
                List.of(),
                faults.subList(0, Math.min(faults.size(), SHOWN)),
                () -> faults.size() + " faults");
    }

    @AfterAll
    static void count() {
        LOG.log(Level.INFO, "{0} cases in all", total);
    }

    private static boolean isSlow(String backend) {
        return backend.equals("emulator");
    }

    /** What is wrong with one case: one line an output. */
    static List<String> faults(String backend, Operation operation, int number) {
        try (Arena arena = Arena.ofConfined()) {
            PropertyCase drawn =
                    operation.drawn(new Draw(seed(operation, number), arena, isSlow(backend)));
            String which = "seed " + SEED + ", case " + number + ": ";
            try {
                List<String> faults =
                        Comparison.faults(
                                drawn.run(Backend.reference()), drawn.run(Backend.named(backend)));
                return faults.stream()
                        .map(fault -> which + fault + "; " + drawn.description())
                        .toList();
            } catch (RuntimeException e) {
                throw new AssertionError(which + drawn.description(), e);
            }
        }
    }

    /** Cases are independent of one another, so that one can be run alone. */
    private static long seed(Operation operation, int number) {
        long ofOperation = new SplittableRandom(SEED).nextLong() + operation.ordinal();
        return new SplittableRandom(ofOperation).nextLong()
                ^ new SplittableRandom(~number).nextLong();
    }
}
