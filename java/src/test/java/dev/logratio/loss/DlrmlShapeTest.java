package dev.logratio.loss;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.io.InputStream;
import java.util.List;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

class DlrmlShapeTest {
    /**
     * A grid of beta_kl and beta_mix at tau .05, with stationary points and inflections from
     * another program (dlrml_shape.json).
     */
    static Stream<JsonNode> grid() throws IOException {
        try (InputStream json = DlrmlShapeTest.class.getResourceAsStream("dlrml_shape.json")) {
            return StreamSupport.stream(new ObjectMapper().readTree(json).spliterator(), false)
                    .toList()
                    .stream();
        }
    }

    @Test
    void theGridIsWhole() throws IOException {
        assertEquals(25, grid().count());
    }

    @ParameterizedTest
    @MethodSource("grid")
    void agreesWithTheGrid(JsonNode row) {
        DlrmlShape shape =
                DlrmlShape.of(row.get("beta_kl").asDouble(), row.get("beta_mix").asDouble(), .05);
        assertEquals(row.get("c").asDouble(), shape.c(), 1e-15);
        assertEquals(row.get("g0").asDouble(), shape.startGradient(), 1e-14);
        JsonNode points = row.get("crit"); // each x, rho, loss
        assertEquals(points.size() > 0, shape.minimum().isPresent());
        assertEquals(points.size() > 0, shape.maximum().isPresent());
        if (points.size() > 0) {
            assertPoint(points.get(0), shape.minimum().orElseThrow());
            assertPoint(points.get(1), shape.maximum().orElseThrow());
            assertEquals(
                    points.get(1).get(2).asDouble() - points.get(0).get(2).asDouble(),
                    shape.barrier(),
                    1e-12);
        } else {
            assertEquals(0, shape.barrier());
        }
        JsonNode inflections = row.get("infl"); // each x, rho
        assertEquals(inflections.size() / 2, shape.nonConvex().size());
        if (inflections.size() > 0) {
            assertEquals(
                    inflections.get(0).get(1).asDouble(),
                    shape.nonConvex().getFirst().from(),
                    1e-7);
            assertEquals(
                    inflections.get(1).get(1).asDouble(), shape.nonConvex().getFirst().to(), 1e-7);
        }
    }

    private static void assertPoint(JsonNode expected, DlrmlShape.Point actual) {
        assertEquals(expected.get(1).asDouble(), actual.rho(), 1e-10);
        assertEquals(expected.get(2).asDouble(), actual.loss(), 1e-12);
    }

    /** DiscoPOP, whose c is tau: stationary points in units of tau / beta. */
    @ParameterizedTest
    @CsvSource({
        "0.02, -3.401172, 2.587407",
        "0.08, -1.685349, 0.657857",
        "0.1, -1.170259, 0.085094"
    })
    void discoPopsTau(double tau, double minimum, double maximum) {
        DlrmlShape shape = DlrmlShape.of(.3, .3, tau);
        assertEquals(tau, shape.c(), 1e-15);
        assertEquals(minimum, shape.minimum().orElseThrow().rho() * .3 / tau, 6e-7);
        assertEquals(maximum, shape.maximum().orElseThrow().rho() * .3 / tau, 6e-7);
    }

    /** The values of c between which the shape changes. */
    @ParameterizedTest
    @CsvSource({
        "0.1022, true, true, false",
        "0.1024, true, false, false",
        "0.10977, true, false, false",
        "0.1098, false, false, false",
        "0.4227, false, false, false",
        "0.4228, false, false, true",
        "0.7975, false, false, true",
        "0.7976, false, false, false",
        "1.1772, false, false, false",
        "1.1773, false, false, true",
        "50, false, false, true",
    })
    void whereTheShapeChanges(
            double c, boolean hasMinimum, boolean startsDownhillToIt, boolean convex) {
        for (double betaMix : new double[] {.2, 7}) {
            DlrmlShape shape = DlrmlShape.of(c * betaMix / .05, betaMix, .05);
            assertEquals(hasMinimum, shape.minimum().isPresent());
            assertEquals(startsDownhillToIt, shape.startGradient() > 0);
            assertEquals(convex, shape.nonConvex().isEmpty());
        }
    }

    @Test
    void aGateThatIsConstantOrTurned() {
        DlrmlShape constant = DlrmlShape.of(.3, 0, .05);
        assertEquals(Double.POSITIVE_INFINITY, constant.c());
        assertEquals(-.75 * .3, constant.startGradient(), 1e-15);
        assertEquals(List.of(), constant.nonConvex());
        DlrmlShape turned = DlrmlShape.of(.05, -.1, .05);
        assertTrue(turned.minimum().isEmpty());
        assertEquals((1 - Math.log(2)) / 4 * -2 - .75 * .05, turned.startGradient(), 1e-15);
        assertTrue(
                turned.verdict().endsWith("the loss of bad pairs grows exponentially."),
                turned.verdict());
    }

    @ParameterizedTest
    @CsvSource({
        "0.05, 0.2, 'From the start, rho = 0, descent lowers rho and settles in the minimum at"
                + " -0.9718: such pairs prefer the rejected answer.'",
        "0.42, 0.2, 'From the start, rho = 0, descent raises rho; a pair that falls below the"
                + " maximum at -0.0293 is caught in the minimum.'",
        "0.25, 0.1, 'No stationary point, though not convex: descent raises rho from any start.'",
        "0.5, 0.05, Convex: descent raises rho from any start.",
        "0.5, 0.01, 'Convex: descent raises rho from any start. As beta_mix is below tau*beta_kl,"
                + " the loss of bad pairs grows exponentially.'",
    })
    void theVerdict(double betaKl, double betaMix, String verdict) {
        assertEquals(verdict, DlrmlShape.of(betaKl, betaMix, .05).verdict());
    }

    @Test
    void mistakesAreNamed() {
        IllegalArgumentException thrown =
                assertThrows(
                        IllegalArgumentException.class, () -> DlrmlShape.of(.05, Double.NaN, .05));
        assertEquals("beta_mix is NaN, expected a finite number", thrown.getMessage());
    }
}
