package dev.logratio.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import dev.logratio.DType;

import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/** Which outputs there are, of what dtype and shape. */
class OutputsTest {
    static final Set<String> METRICS =
            Set.of(
                    "loss",
                    "rewards_chosen",
                    "rewards_rejected",
                    "rewards_margin",
                    "rewards_accuracy",
                    "entropy",
                    "token_accuracy",
                    "logits_chosen",
                    "logits_rejected",
                    "grad_norm",
                    "nonfinite");

    @TempDir Path folder;

    private Outputs evaluate(String backend, CaseFile file) throws IOException {
        return Outputs.of(folder, backend, file);
    }

    private static void assertSame(Outputs expected, Outputs actual) {
        assertEquals(expected.layout(), actual.layout());
        expected.values()
                .forEach((name, values) -> assertArrayEquals(values, actual.of(name), name));
    }

    static Stream<Arguments> dtypes() {
        return Stream.of(DType.F64, DType.F32, DType.BF16, DType.F16)
                .flatMap(dtype -> Stream.of(arguments("reference", dtype), arguments("cpu", dtype)))
                .filter(a -> !(a.get()[0].equals("cpu") && a.get()[1] == DType.F64));
    }

    @ParameterizedTest
    @MethodSource("dtypes")
    void tokenLogprobs(String backend, DType dtype) throws IOException {
        String values = backend.equals("reference") ? "F64" : "F32";
        String gradient = backend.equals("reference") ? "F64" : dtype.name();
        Map<String, String> expected = new LinkedHashMap<>();
        for (String name : List.of("logp", "lse", "lse2", "entropy", "argmax", "mean_logit")) {
            expected.put(name, (name.equals("argmax") ? "I64" : values) + " [4]");
        }
        CaseFile file = CaseFile.token().as("logits", dtype).as("labels", DType.I32);
        CaseFile bare =
                CaseFile.token().as("logits", dtype).without("grad_logp").without("grad_entropy");
        assertEquals(expected, evaluate(backend, bare).layout());
        expected.put("grad_logits", gradient + " [4, 5]");
        assertEquals(expected, evaluate(backend, file).layout());
        assertEquals(expected, evaluate(backend, file.without("grad_logp")).layout());
        assertEquals(
                expected,
                evaluate(backend, CaseFile.token().as("logits", dtype).without("grad_entropy"))
                        .layout());
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "cpu"})
    void sequencesOfRowsGiveTheSameAsRows(String backend) throws IOException {
        CaseFile rows = CaseFile.token();
        Outputs expected = evaluate(backend, rows);
        CaseFile sequences =
                CaseFile.token()
                        .labels("labels", new long[] {0, 4, -100, 2}, 2, 2)
                        .random("logits", DType.F32, 2, 2, 5)
                        .random("grad_logp", DType.F32, 2, 2)
                        .random("grad_entropy", DType.F32, 2, 2);
        Outputs actual = evaluate(backend, sequences);
        assertTrue(actual.layout().get("grad_logits").endsWith("[2, 2, 5]"));
        assertTrue(actual.layout().get("argmax").endsWith("I64 [2, 2]"));
        expected.values()
                .forEach((name, values) -> assertArrayEquals(values, actual.of(name), name));
    }

    @ParameterizedTest
    @MethodSource("dtypes")
    void sequenceLogps(String backend, DType dtype) throws IOException {
        String values = backend.equals("reference") ? "F64" : "F32";
        String gradient = backend.equals("reference") ? "F64" : dtype.name();
        CaseFile file = CaseFile.sequence().as("token_logps", dtype);
        assertEquals(
                Map.of(
                        "logps",
                        values + " [4]",
                        "counts",
                        values + " [4]",
                        "grad_token_logps",
                        gradient + " [4, 3]"),
                evaluate(backend, file).layout());
        assertEquals(
                Map.of("logps", values + " [4]", "counts", values + " [4]"),
                evaluate(backend, file.without("grad_logps")).layout());
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "cpu"})
    void masksOfEveryDtypeMeanTheSame(String backend) throws IOException {
        Outputs expected = evaluate(backend, CaseFile.sequence());
        assertSame(expected, evaluate(backend, CaseFile.sequence().as("mask", DType.F32)));
        assertSame(expected, evaluate(backend, CaseFile.sequence().as("mask", DType.U8)));
        CaseFile sevens = CaseFile.sequence().as("mask", DType.U8);
        assertSame(expected, evaluate(backend, sevens.set("mask", 7, 0, 0).set("mask", 255, 3, 2)));
        CaseFile nan = CaseFile.sequence().set("token_logps", Double.NaN, 0, 1);
        assertSame(expected, evaluate(backend, nan));
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "cpu"})
    void pairLossHasTheGradientsOfItsLoss(String backend) throws IOException {
        Set<String> always =
                Set.of(
                        "loss",
                        "chosen_rewards",
                        "rejected_rewards",
                        "grad_policy_chosen",
                        "grad_policy_rejected");
        Set<String> reference = Set.of("grad_reference_chosen", "grad_reference_rejected");
        Map<String, Set<String>> ofLoss =
                Map.of(
                        "dlrml", Set.of("grad_beta_kl", "grad_beta_mix", "grad_tau"),
                        "discopop", Set.of("grad_beta", "grad_tau"),
                        "lrml", Set.of("grad_beta", "grad_tau"),
                        "sigmoid", Set.of(),
                        "aot", Set.of(),
                        "dbaql", Set.of());
        for (Map.Entry<String, Set<String>> loss : ofLoss.entrySet()) {
            Set<String> expected = new HashSet<>(always);
            expected.addAll(loss.getValue());
            CaseFile free =
                    CaseFile.pair().without("reference_chosen").without("reference_rejected");
            free.option("loss", loss.getKey()).option("reference_free", "on");
            assertEquals(expected, evaluate(backend, free).layout().keySet());
            expected.addAll(reference);
            assertEquals(
                    expected,
                    evaluate(backend, CaseFile.pair().option("loss", loss.getKey()))
                            .layout()
                            .keySet());
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "cpu"})
    void aLossWithoutAReferenceHasNoneAndTakesNoOption(String backend) throws IOException {
        Set<String> expected =
                Set.of(
                        "loss",
                        "chosen_rewards",
                        "rejected_rewards",
                        "grad_policy_chosen",
                        "grad_policy_rejected");
        for (String loss : List.of("simpo", "cpo", "orpo", "alphapo")) {
            CaseFile file =
                    CaseFile.of("pair_loss")
                            .option("loss", loss)
                            .tensor("policy_chosen", DType.F32, new double[] {-2, -3}, 2)
                            .tensor("policy_rejected", DType.F32, new double[] {-4, -1}, 2);
            assertEquals(expected, evaluate(backend, file).layout().keySet());
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "cpu"})
    void ktoPairHasTwoLossesAPair(String backend) throws IOException {
        CaseFile file = CaseFile.pair().option("loss", "kto_pair");
        Outputs mean = evaluate(backend, file);
        assertEquals(
                backend.equals("reference") ? "F64 [6]" : "F32 [6]", mean.layout().get("loss"));
        double[] sixth = {1 / 6., 1 / 6., 1 / 6., 1 / 6., 1 / 6., 1 / 6.};
        assertSame(mean, evaluate(backend, file.tensor("grad_loss", DType.F64, sixth, 6)));
    }

    @ParameterizedTest
    @MethodSource("dtypes")
    void unpairedLoss(String backend, DType dtype) throws IOException {
        String values = backend.equals("reference") ? "F64" : "F32";
        String gradient = backend.equals("reference") ? "F64" : dtype.name();
        Map<String, String> expected =
                Map.of(
                        "loss", values + " [4]",
                        "rewards", values + " [4]",
                        "kl", values + " [1]",
                        "grad_policy_logps", gradient + " [4]",
                        "grad_reference_logps", values + " [4]");
        assertEquals(
                expected,
                evaluate(backend, CaseFile.unpaired().as("policy_logps", dtype)).layout());
        for (String loss : List.of("apo_zero_unpaired", "bco")) {
            CaseFile file =
                    CaseFile.unpaired()
                            .as("policy_logps", dtype)
                            .without("kl_policy_logps")
                            .without("kl_reference_logps");
            Outputs outputs = evaluate(backend, file.option("loss", loss).as("chosen", DType.U8));
            assertEquals(expected, outputs.layout());
            assertArrayEquals(new double[1], outputs.of("kl"));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "cpu"})
    void severalLossesAddUp(String backend) throws IOException {
        CaseFile one = CaseFile.step().option("loss", "sigmoid").option("beta", "0.5");
        CaseFile two =
                CaseFile.step()
                        .without("reference_token_logps")
                        .option("loss", "simpo")
                        .option("beta", "0.5");
        double[] losses = evaluate(backend, one).of("losses");
        double[] others = evaluate(backend, two).of("losses");
        CaseFile both =
                CaseFile.step()
                        .option("loss", "sigmoid,simpo")
                        .option("loss_weights", "2,-.5")
                        .option("beta", "0.5")
                        .option("gamma", "0.5");
        double[] sums = evaluate(backend, both).of("losses");
        for (int i = 0; i < 2; i++) {
            assertEquals(2 * losses[i] - .5 * others[i], sums[i], 1e-6);
        }
        CaseFile sft = CaseFile.step().without("reference_token_logps").option("loss", "sft,sft");
        double[] twice = evaluate(backend, sft).of("losses");
        assertEquals(
                2 * evaluate(backend, sft.option("loss", "sft")).of("loss")[0], twice[1], 1e-6);
        assertSame(
                evaluate(backend, CaseFile.step()),
                evaluate(
                        backend, CaseFile.step().option("loss_weights", "1").option("wpo", "off")));
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "cpu"})
    void gradientsHaveTheDtypeOfTheirInput(String backend) throws IOException {
        boolean reference = backend.equals("reference");
        CaseFile file =
                CaseFile.pair()
                        .as("policy_chosen", DType.F64)
                        .as("policy_rejected", DType.BF16)
                        .as("reference_chosen", DType.F16)
                        .tensor("beta_kl", DType.F64, new double[] {.3}, 1)
                        .tensor("beta_mix", DType.BF16, new double[] {.5}, 1);
        Map<String, String> layout = evaluate(backend, file).layout();
        assertEquals("F64 [3]", layout.get("grad_policy_chosen"));
        assertEquals(reference ? "F64 [3]" : "BF16 [3]", layout.get("grad_policy_rejected"));
        assertEquals(reference ? "F64 [3]" : "F16 [3]", layout.get("grad_reference_chosen"));
        assertEquals(reference ? "F64 [3]" : "F32 [3]", layout.get("grad_reference_rejected"));
        assertEquals("F64 [1]", layout.get("grad_beta_kl"));
        assertEquals(reference ? "F64 [1]" : "BF16 [1]", layout.get("grad_beta_mix"));
        assertEquals(reference ? "F64 [1]" : "F32 [1]", layout.get("grad_tau"));
        assertEquals(reference ? "F64 [3]" : "F32 [3]", layout.get("loss"));
    }

    @ParameterizedTest
    @MethodSource("dtypes")
    void preferenceStep(String backend, DType dtype) throws IOException {
        String values = backend.equals("reference") ? "F64" : "F32";
        Map<String, String> expected = new LinkedHashMap<>();
        METRICS.forEach(metric -> expected.put(metric, values + " [1]"));
        expected.put("losses", values + " [2]");
        expected.put("logps", values + " [4]");
        expected.put("counts", values + " [4]");
        expected.put(
                "grad_logits", (backend.equals("reference") ? "F64" : dtype.name()) + " [4, 3, 5]");
        assertEquals(expected, evaluate(backend, CaseFile.step().as("logits", dtype)).layout());
    }

    @ParameterizedTest
    @MethodSource("dtypes")
    void unpairedStep(String backend, DType dtype) throws IOException {
        String values = backend.equals("reference") ? "F64" : "F32";
        Map<String, String> expected = new LinkedHashMap<>();
        METRICS.forEach(metric -> expected.put(metric, values + " [1]"));
        expected.remove("rewards_accuracy");
        expected.put("kl", values + " [1]");
        for (String ofExample : List.of("losses", "logps", "counts", "rewards")) {
            expected.put(ofExample, values + " [3]");
        }
        expected.put(
                "grad_logits", (backend.equals("reference") ? "F64" : dtype.name()) + " [3, 4, 5]");
        CaseFile file = CaseFile.unpairedStep().as("logits", dtype);
        assertEquals(expected, evaluate(backend, file).layout());
        for (String optional :
                List.of("kl_policy_logps", "kl_reference_logps", "weights", "grad_loss", "mask")) {
            file.without(optional);
        }
        for (String loss : List.of("kto", "apo_zero_unpaired", "bco")) {
            Outputs outputs = evaluate(backend, file.option("loss", loss).as("chosen", DType.U8));
            assertEquals(expected, outputs.layout());
            assertArrayEquals(new double[1], outputs.of("kl"));
        }
    }
}
