package dev.logratio;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import dev.logratio.PairRun.Batch;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Losses;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/**
 * Every paired loss with its parameters as tensors, [1] and [P], against PyTorch's autograd in
 * double (parameters.json): losses, gradients by log-probs and by parameters.
 */
class ParameterTablesTest {
    static Stream<Arguments> cases() throws IOException {
        JsonNode table;
        try (InputStream json = ParameterTablesTest.class.getResourceAsStream("parameters.json")) {
            table = new ObjectMapper().readTree(json);
        }
        List<Arguments> cases = new ArrayList<>();
        Set<String> seen = new HashSet<>();
        for (JsonNode row : table) {
            for (Backend backend : TestBackends.all().toList()) {
                cases.add(Arguments.of(backend, row));
            }
            seen.add(row.get("loss").asText());
        }
        if (!seen.equals(Set.copyOf(Losses.ids(Loss.Paired.class)))) {
            throw new AssertionError("parameters.json has " + seen);
        }
        return cases.stream();
    }

    @ParameterizedTest
    @MethodSource("cases")
    void lossesAndGradients(Backend backend, JsonNode row) {
        Map<String, String> options = new HashMap<>();
        row.get("options")
                .properties()
                .forEach(o -> options.put(o.getKey(), o.getValue().asText()));
        Loss.Paired loss = Losses.of(Loss.Paired.class, row.get("loss").asText(), options);
        Map<String, double[]> parameters = new LinkedHashMap<>();
        row.get("parameters")
                .properties()
                .forEach(p -> parameters.put(p.getKey(), numbers(p.getValue())));
        Batch batch =
                new Batch(
                        rows(row.get("logps")), rows(row.get("counts")), numbers(row, "upstream"));
        ParameterRun run = ParameterRun.of(backend, loss, batch, parameters);
        String what = loss + ": ";
        Expect.near(what + "losses", numbers(row, "losses"), run.losses(), 1e-12, 1e-13);
        double[][] gradient = rows(row.get("gradient"));
        for (int k = 0; k < run.gradient().length; k++) {
            Expect.near(what + "gradient " + k, gradient[k], run.gradient()[k], 1e-11, 1e-12);
        }
        double[] beta = parameters.values().iterator().next(); // beta, or beta_kl
        double[][] logps = batch.fit(loss).logps();
        for (int side = 0; side < 2; side++) {
            double[] rewards = new double[logps[0].length];
            for (int i = 0; i < rewards.length; i++) {
                double reference = logps.length == 4 ? logps[side + 2][i] : 0;
                rewards[i] = beta[beta.length == 1 ? 0 : i] * (logps[side][i] - reference);
            }
            Expect.near(what + "rewards", rewards, run.rewards()[side], 1e-14, 0);
        }
        row.get("by_parameter")
                .properties()
                .forEach(
                        p ->
                                Expect.near(
                                        what + "grad_" + p.getKey(),
                                        numbers(p.getValue()),
                                        run.byParameter().get(p.getKey()),
                                        1e-11,
                                        1e-12));
    }

    private static double[] numbers(JsonNode row, String field) {
        return numbers(row.get(field));
    }

    private static double[] numbers(JsonNode list) {
        return StreamSupport.stream(list.spliterator(), false)
                .mapToDouble(JsonNode::asDouble)
                .toArray();
    }

    private static double[][] rows(JsonNode list) {
        return StreamSupport.stream(list.spliterator(), false)
                .map(ParameterTablesTest::numbers)
                .toArray(double[][]::new);
    }
}
