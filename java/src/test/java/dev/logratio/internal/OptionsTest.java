package dev.logratio.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.DivergenceKind;
import dev.logratio.DivergenceOptions;
import dev.logratio.LinearOptions;
import dev.logratio.ScoringRuleOptions;
import dev.logratio.SequenceOptions;
import dev.logratio.TokenOptions;
import dev.logratio.loss.FDivergence;
import dev.logratio.loss.Losses;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.RecordComponent;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

class OptionsTest {
    /** Every option record that there is. */
    static Stream<Record> records() {
        return Stream.concat(
                Losses.ids().stream().map(id -> (Record) Losses.of(id, Map.of())),
                Stream.of(
                        new FDivergence.Alpha(),
                        TokenOptions.DEFAULT,
                        SequenceOptions.DEFAULT,
                        DivergenceOptions.DEFAULT,
                        ScoringRuleOptions.DEFAULT));
    }

    /**
     * Each component is checked under its own name, whatever the constructor hands to the check.
     */
    @ParameterizedTest
    @MethodSource("records")
    void constructorsCheckEachComponent(Record defaults) throws ReflectiveOperationException {
        RecordComponent[] components = defaults.getClass().getRecordComponents();
        Class<?>[] types =
                Arrays.stream(components).map(RecordComponent::getType).toArray(Class<?>[]::new);
        Constructor<?> constructor = defaults.getClass().getConstructor(types);
        for (int i = 0; i < components.length; i++) {
            Object[] values = new Object[components.length];
            for (int k = 0; k < values.length; k++) {
                values[k] = components[k].getAccessor().invoke(defaults);
            }
            String name = Options.snakeCase(components[i].getName());
            if (types[i] == double.class) {
                for (double outside :
                        outside(Interval.of(components[i].getAnnotation(Range.class)))) {
                    values[i] = outside;
                    Throwable thrown = thrown(constructor, values);
                    assertTrue(thrown instanceof IllegalArgumentException, thrown::toString);
                    assertTrue(
                            thrown.getMessage().startsWith(name + " is " + outside + ", expected "),
                            thrown::getMessage);
                }
            } else if (!types[i].isPrimitive()) {
                values[i] = null;
                Throwable thrown = thrown(constructor, values);
                assertTrue(thrown instanceof NullPointerException, thrown::toString);
                assertEquals(name, thrown.getMessage());
            }
        }
    }

    private static double[] outside(Interval range) {
        return Stream.of(
                        Double.NaN,
                        Double.POSITIVE_INFINITY,
                        range.lowerIncluded() ? Math.nextDown(range.lower()) : range.lower(),
                        range.upperIncluded() ? Math.nextUp(range.upper()) : range.upper())
                .mapToDouble(x -> x)
                .toArray();
    }

    private static Throwable thrown(Constructor<?> constructor, Object[] values) {
        return assertThrows(InvocationTargetException.class, () -> constructor.newInstance(values))
                .getCause();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = ':',
            value = {
                "-Infinity:Infinity:false:false:a finite number",
                "0:Infinity:false:false:a finite number > 0",
                "0:Infinity:true:false:a finite number >= 0",
                "1.5:Infinity:false:false:a finite number > 1.5",
                "0:0.5:true:false:a number in [0,0.5)",
                "0:1:false:true:a number in (0,1]",
            })
    void rangesInWords(double lower, double upper, boolean lowerIn, boolean upperIn, String words) {
        Interval range = new Interval(lower, upper, lowerIn, upperIn);
        assertEquals(words, range.toString());
        assertEquals(lowerIn, range.contains(lower));
        assertEquals(upperIn, range.contains(upper));
        assertFalse(range.contains(Double.NaN));
        assertTrue(range.contains(Math.nextUp(lower)));
        assertTrue(range.contains(Math.nextDown(upper)));
    }

    @Test
    void optionsOfRecords() {
        assertEquals(
                "ignore_index -100 an integer; temperature 1.0 a finite number > 0; softcap 0.0 a"
                        + " finite number >= 0; vocab 0 an integer",
                text(TokenOptions.class));
        assertEquals(
                "reduction sum sum|mean; tail_weight 1.0 a number in [0,1]; align completion"
                        + " completion|absolute; keep_fraction 1.0 a number in (0,1]",
                text(SequenceOptions.class));
        assertEquals(
                "divergence sce sce|jeffreys|kl_pq|kl_qp|js|l2|tvd|wasserstein1|cosine; w1 1.0 a"
                    + " finite number >= 0; w2 1.0 a finite number >= 0; temperature 1.0 a finite"
                    + " number > 0; js_weight 0.5 a number in (0,1); vocab 0 an integer; detach"
                    + " none none|p|q; reduction mean mean|sum",
                text(DivergenceOptions.class));
        assertEquals(
                "rule log log|brier|spherical|power|pseudo_spherical; alpha 2.0 a finite number >"
                    + " 1; normalisation selten selten|jnw; epsilon 0.0 a number in [0,1);"
                    + " masked_log off off|on; vocab 0 an integer; ignore_index -100 an integer",
                text(ScoringRuleOptions.class));
        assertEquals(
                "budget_bytes 268435456 an integer; frozen none none|weight|hidden; accumulate off"
                        + " off|on",
                text(LinearOptions.class));
    }

    private static String text(Class<? extends Record> type) {
        return Options.of(type).stream()
                .map(o -> o.name() + " " + o.defaultText() + " " + o.expected())
                .collect(Collectors.joining("; "));
    }

    @Test
    void fromText() {
        assertEquals(
                new TokenOptions(7, .5, 0),
                Options.parse(
                        TokenOptions.class, Map.of("ignore_index", "7", "temperature", ".5")));
        assertEquals(
                DivergenceOptions.of(DivergenceKind.KL_PQ).withDetach(DivergenceOptions.Detach.Q),
                Options.with(DivergenceOptions.of(DivergenceKind.KL_PQ), Map.of("detach", "q")));
        assertEquals(
                ScoringRuleOptions.DEFAULT.withSmoothing(.1, true),
                Options.parse(
                        ScoringRuleOptions.class, Map.of("masked_log", "on", "epsilon", "1e-1")));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = ';',
            value = {
                "softcap; -1; softcap is \"-1\", expected a finite number >= 0",
                "softcap; ' 1'; softcap is \" 1\", expected a finite number >= 0",
                "ignore_index; 1.5; ignore_index is \"1.5\", expected an integer",
                "ignore_index; 9223372036854775808; ignore_index is \"9223372036854775808\","
                        + " expected an integer",
                "cap; 1; option cap is unknown",
            })
    void mistakes(String option, String text, String message) {
        IllegalArgumentException thrown =
                assertThrows(
                        IllegalArgumentException.class,
                        () -> Options.parse(TokenOptions.class, Map.of(option, text)));
        assertEquals(message, thrown.getMessage());
    }

    /** A rule of the constructor about two options. */
    @Test
    void rulesOfConstructors() {
        IllegalArgumentException thrown =
                assertThrows(
                        IllegalArgumentException.class,
                        () -> Options.parse(SequenceOptions.class, Map.of("keep_fraction", ".5")));
        assertEquals(
                "keep_fraction is 0.5, expected 1 unless tail_weight is below 1",
                thrown.getMessage());
    }

    @Test
    void wordsBeginWithTheDefault() {
        for (Record record : records().toList()) {
            for (Option option : Options.of(record.getClass())) {
                List<String> words = option.words();
                assertTrue(words.isEmpty() || words.getFirst().equals(option.defaultText()));
            }
        }
    }

    @Test
    void names() {
        assertEquals("beta_kl", Options.snakeCase("betaKl"));
        assertEquals("reverse_kl", Options.snakeCase("ReverseKl"));
        assertEquals("w1", Options.snakeCase("w1"));
    }
}
