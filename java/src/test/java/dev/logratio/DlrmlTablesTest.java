package dev.logratio;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import dev.logratio.loss.DiscoPop;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.Loss;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * The mixture losses against tables computed in 50-digit decimal arithmetic (dlrml.json), from
 * log-ratios of -5000 to 5000, in float64 and through float32 outputs.
 */
class DlrmlTablesTest {
    private static final Map<String, Dlrml> TABLES =
            Map.of(
                    "dLRML(0.05,0.20,0.05)", new Dlrml(.05, .20, .05),
                    "DiscoPOP(0.05,tau0.05)", new Dlrml(.05, .05, .05),
                    "dLRML(0.5,0.05,0.05)", new Dlrml(.5, .05, .05),
                    "dLRML(0.01,0.5,0.05)", new Dlrml(.01, .5, .05),
                    "DiscoPOP(2.5,tau0.05)", new Dlrml(2.5, 2.5, .05),
                    "DiscoPOP(0.05,tau1.0)", new Dlrml(.05, .05, 1),
                    "blowup(0.5,0.01,0.05)", new Dlrml(.5, .01, .05),
                    "extreme dLRML(0.05,0.20,0.05)", new Dlrml(.05, .20, .05));

    static Stream<Arguments> cases() throws IOException {
        JsonNode tables;
        try (InputStream json = DlrmlTablesTest.class.getResourceAsStream("dlrml.json")) {
            tables = new ObjectMapper().readTree(json);
        }
        List<Arguments> cases = new ArrayList<>();
        for (Backend backend : TestBackends.all().toList()) {
            for (Map.Entry<String, JsonNode> table : tables.properties()) {
                cases.add(Arguments.of(backend, table.getKey(), table.getValue()));
            }
        }
        if (tables.size() != TABLES.size()) {
            throw new AssertionError("dlrml.json has " + tables.size() + " tables");
        }
        return cases.stream();
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("cases")
    void valuesAndGradients(Backend backend, String name, JsonNode rows) {
        Dlrml dlrml = TABLES.get(name);
        for (JsonNode row : rows) {
            double rho = number(row, "rho");
            String at = name + " at " + rho;
            double[] result = new Pair(backend, dlrml, DType.F64, rho).results;
            Expect.exact(at + " loss", number(row, "loss"), result[0]);
            Expect.exact(at + " d rho", number(row, "dL_drho"), result[1]);
            Expect.exact(at + " d beta_kl", number(row, "dL_dbk"), result[2]);
            Expect.exact(at + " d beta_mix", number(row, "dL_dbm"), result[3]);
            if (row.has("dL_dtau")) {
                Expect.exact(at + " d tau", number(row, "dL_dtau"), result[4]);
            }
            for (int i = 0; i < result.length; i++) {
                result[i] = (float) result[i];
            }
            Expect.near(
                    at + " F32", result, new Pair(backend, dlrml, DType.F32, rho).results, 0, 0);
            if (dlrml.betaKl() == dlrml.betaMix()) {
                discoPop(
                        backend,
                        at,
                        new DiscoPop().withBeta(dlrml.betaKl()).withTau(dlrml.tau()),
                        row,
                        rho);
            }
        }
    }

    private static void discoPop(
            Backend backend, String at, DiscoPop loss, JsonNode row, double rho) {
        double[] result = new Pair(backend, loss, DType.F64, rho).results;
        Expect.exact(at + " discopop loss", number(row, "loss"), result[0]);
        Expect.exact(at + " discopop d rho", number(row, "dL_drho"), result[1]);
        Expect.exact(
                at + " discopop d beta", number(row, "dL_dbk") + number(row, "dL_dbm"), result[2]);
        Expect.exact(at + " discopop d tau", number(row, "dL_dtau"), result[4]);
    }

    private static double number(JsonNode row, String field) {
        return Double.parseDouble(row.get(field).asText());
    }

    /**
     * A pair of one log-ratio rho: loss, d rho, and d beta_kl, d beta_mix, d tau (for discopop d
     * beta, 0, d tau).
     */
    private static final class Pair {
        final double[] results = new double[5];

        Pair(Backend backend, Loss.Paired loss, DType outputs, double rho) {
            try (Arena arena = Arena.ofConfined()) {
                Tensor chosen = Tensor.of(arena, DType.F64, new double[] {rho}, 1);
                Tensor rejected = Tensor.zeros(arena, DType.F64, 1);
                Tensor[] out = new Tensor[5];
                for (int i = 0; i < out.length; i++) {
                    out[i] = Tensor.zeros(arena, outputs, 1);
                }
                PairLoss call =
                        PairLoss.of(loss, chosen, rejected)
                                .referenceFree()
                                .losses(out[0])
                                .gradPolicy(out[1], null)
                                .gradTau(out[4]);
                if (loss instanceof Dlrml) {
                    call.gradBetaKl(out[2]).gradBetaMix(out[3]);
                } else {
                    call.gradBeta(out[2]);
                }
                call.run(backend);
                for (int i = 0; i < out.length; i++) {
                    results[i] = out[i].getDouble(0);
                }
            }
        }
    }
}
