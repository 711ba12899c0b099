package dev.logratio.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.DType;
import dev.logratio.safetensors.Safetensors;
import dev.logratio.safetensors.SafetensorsFile;

import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** How options and optional inputs bear on the outputs, known values, and cases of nothing. */
class OptionalInputsTest {
    @TempDir Path folder;

    private Outputs evaluate(String backend, CaseFile file) throws IOException {
        return Outputs.of(folder, backend, file);
    }

    private static void assertSame(Outputs expected, Outputs actual) {
        assertEquals(expected.layout(), actual.layout());
        expected.values()
                .forEach((name, values) -> assertArrayEquals(values, actual.of(name), name));
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "cpu"})
    void defaultsMayBeGiven(String backend) throws IOException {
        CaseFile token =
                CaseFile.token()
                        .option("format", "pt")
                        .option("ignore_index", "-100")
                        .option("temperature", "1.0")
                        .option("softcap", "0");
        assertSame(evaluate(backend, CaseFile.token()), evaluate(backend, token));
        CaseFile step =
                CaseFile.step()
                        .option("loss", "dlrml")
                        .option("beta_kl", ".05")
                        .option("beta_mix", "2e-1")
                        .option("tau", "+0.05")
                        .option("guard", "none")
                        .option("f_divergence", "reverse_kl")
                        .option("f_alpha", "0.5")
                        .option("reduction", "sum")
                        .option("tail_weight", "1")
                        .option("keep_fraction", "1")
                        .option("align", "completion")
                        .option("reference_free", "off");
        assertSame(evaluate(backend, CaseFile.step()), evaluate(backend, step));
        assertSame(
                evaluate(backend, CaseFile.pair().option("loss", "discopop")),
                evaluate(
                        backend,
                        CaseFile.pair()
                                .option("loss", "lrml")
                                .option("beta", "0.05")
                                .option("variant", "repo")));
        assertSame(
                evaluate(backend, CaseFile.pair()),
                evaluate(
                        backend,
                        CaseFile.pair()
                                .tensor(
                                        "grad_loss",
                                        DType.F64,
                                        new double[] {1 / 3., 1 / 3., 1 / 3.},
                                        3)));
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "cpu"})
    void optionsMayBeTensors(String backend) throws IOException {
        CaseFile options =
                CaseFile.pair()
                        .option("beta_kl", "0.375")
                        .option("beta_mix", "-0.25")
                        .option("tau", "0.5");
        CaseFile tensors =
                CaseFile.pair()
                        .tensor("beta_kl", DType.F32, new double[] {.375}, 1)
                        .tensor("beta_mix", DType.F32, new double[] {-.25}, 1)
                        .tensor("tau", DType.F32, new double[] {.5}, 1);
        assertSame(evaluate(backend, options), evaluate(backend, tensors));
        CaseFile mixed =
                CaseFile.pair()
                        .option("beta_kl", "0.375")
                        .option("beta_mix", "-0.25")
                        .tensor("tau", DType.F16, new double[] {.5}, 1);
        assertArrayEquals(
                evaluate(backend, options).of("loss"), evaluate(backend, mixed).of("loss"));
    }

    /** The losses of pair_loss, and that of the step, which is their mean. */
    @ParameterizedTest
    @ValueSource(strings = {"reference", "cpu"})
    void everyPairMayHaveItsOwn(String backend) throws IOException {
        double[] betas = {.5, 2, .25};
        CaseFile own =
                CaseFile.pair()
                        .option("loss", "sigmoid")
                        .tensor("beta", DType.F64, betas, 3)
                        .tensor("grad_loss", DType.F32, new double[] {1, 1, 1}, 3);
        Outputs actual = evaluate(backend, own);
        assertEquals("F64 [3]", actual.layout().get("grad_beta"));
        for (int i = 0; i < 3; i++) {
            CaseFile one =
                    CaseFile.pair()
                            .option("loss", "sigmoid")
                            .tensor("beta", DType.F64, new double[] {betas[i]}, 1)
                            .tensor("grad_loss", DType.F32, new double[] {1, 1, 1}, 3);
            Outputs expected = evaluate(backend, one);
            for (String name : List.of("loss", "chosen_rewards", "grad_policy_chosen")) {
                assertEquals(expected.of(name)[i], actual.of(name)[i], name);
            }
        }
        CaseFile step =
                CaseFile.step()
                        .option("loss", "sigmoid")
                        .tensor("beta", DType.F64, new double[] {.5, 2}, 2);
        Outputs ofStep = evaluate(backend, step);
        double sum = 0;
        for (int i = 0; i < 2; i++) {
            CaseFile one =
                    CaseFile.step()
                            .option("loss", "sigmoid")
                            .tensor("beta", DType.F64, new double[] {i == 0 ? .5 : 2}, 1);
            double loss = evaluate(backend, one).of("losses")[i];
            assertEquals(loss, ofStep.of("losses")[i], 1e-7);
            sum += loss;
        }
        assertEquals(sum / 2, ofStep.of("loss")[0], 1e-6);
        assertEquals("F64 [2]", ofStep.layout().get("grad_beta"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "cpu"})
    void referenceFreeIsAReferenceOfZeros(String backend) throws IOException {
        CaseFile zeros =
                CaseFile.pair().shaped("reference_chosen", 3).shaped("reference_rejected", 3);
        CaseFile free =
                CaseFile.pair()
                        .without("reference_chosen")
                        .without("reference_rejected")
                        .option("reference_free", "on");
        Outputs expected = evaluate(backend, zeros);
        evaluate(backend, free)
                .values()
                .forEach((name, values) -> assertArrayEquals(expected.of(name), values, name));

        CaseFile zeroStep = CaseFile.step().shaped("reference_token_logps", 4, 3);
        CaseFile freeStep =
                CaseFile.step().without("reference_token_logps").option("reference_free", "on");
        assertSame(evaluate(backend, zeroStep), evaluate(backend, freeStep));
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "cpu"})
    void reducedReferencesAreUsedAsGiven(String backend) throws IOException {
        double[] reduced =
                evaluate(
                                "reference",
                                CaseFile.of("sequence_logps")
                                        .random("token_logps", DType.F32, 2, 2)
                                        .mask("mask", DType.F32, 2, 2)
                                        .option("reduction", "mean"))
                        .of("logps");
        CaseFile step =
                CaseFile.of("preference_step")
                        .option("loss", "dlrml")
                        .random("logits", DType.F32, 2, 2, 3)
                        .labels("labels", new long[] {0, 1, 2, 0}, 2, 2)
                        .mask("mask", DType.BOOL, 2, 2)
                        .option("reduction", "mean");
        Outputs expected = evaluate(backend, step.tensor("reference_logps", DType.F64, reduced, 2));
        double[] tokens = {0, 0, 0, 0};
        try (SafetensorsFile in =
                Safetensors.read(
                        CaseFile.of("sequence_logps")
                                .random("token_logps", DType.F32, 2, 2)
                                .write(folder.resolve("tokens")))) {
            tokens = in.tensor("token_logps").toDoubles();
        }
        Outputs actual =
                evaluate(
                        backend,
                        step.without("reference_logps")
                                .tensor("reference_token_logps", DType.F32, tokens, 2, 2));
        assertArrayEquals(expected.of("losses"), actual.of("losses"), 1e-6);
        assertArrayEquals(expected.of("grad_logits"), actual.of("grad_logits"), 1e-6);
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "cpu"})
    void countsAreAcceptedForEveryLoss(String backend) throws IOException {
        for (String loss :
                List.of("dlrml", "discopop", "sigmoid", "hinge", "apo_zero", "aot", "aql")) {
            Outputs expected = evaluate(backend, CaseFile.pair().option("loss", loss));
            for (DType dtype : List.of(DType.I64, DType.I32, DType.F32)) {
                CaseFile counted =
                        CaseFile.pair()
                                .option("loss", loss)
                                .tensor("chosen_counts", dtype, new double[] {3, 0, 7}, 3);
                assertSame(expected, evaluate(backend, counted));
                assertSame(
                        expected,
                        evaluate(
                                backend,
                                counted.tensor(
                                        "rejected_counts", dtype, new double[] {1, 2, 3}, 3)));
            }
        }
    }

    // ---- Values of the maths page ----

    @ParameterizedTest
    @ValueSource(strings = {"reference", "cpu"})
    void dlrmlHasItsKnownValues(String backend) throws IOException {
        CaseFile file =
                CaseFile.of("pair_loss")
                        .option("loss", "dlrml")
                        .tensor("policy_chosen", DType.F64, new double[] {-205, -1.5, 25}, 3)
                        .tensor("policy_rejected", DType.F64, new double[] {-4, -.5, 4}, 3)
                        .tensor("reference_chosen", DType.F64, new double[] {-2, -1, 3}, 3)
                        .tensor("reference_rejected", DType.F64, new double[] {-1, -1, 2}, 3)
                        .tensor("grad_loss", DType.F64, new double[] {1, 1, 1}, 3);
        Outputs outputs = evaluate(backend, file);
        double relative = backend.equals("reference") ? 1e-9 : 2e-5;
        // rho is -200, -1 and 20.
        double[] losses = {10.00004539889922, 0.7244456646013263, 0.3678794411714423};
        double[] slopes = {-0.04999773010656488, -0.002595991321222096, -0.01839397205857212};
        for (int i = 0; i < 3; i++) {
            assertEquals(losses[i], outputs.of("loss")[i], relative * losses[i]);
            assertEquals(
                    slopes[i], outputs.of("grad_policy_chosen")[i], relative * Math.abs(slopes[i]));
            assertEquals(
                    -slopes[i],
                    outputs.of("grad_policy_rejected")[i],
                    relative * Math.abs(slopes[i]));
            assertEquals(
                    -slopes[i],
                    outputs.of("grad_reference_chosen")[i],
                    relative * Math.abs(slopes[i]));
            assertEquals(
                    slopes[i],
                    outputs.of("grad_reference_rejected")[i],
                    relative * Math.abs(slopes[i]));
        }
        assertEquals(
                199.9909204262595 + 0.5221878933725174 - 7.357588823428846,
                outputs.of("grad_beta_kl")[0],
                relative * 200);
        assertEquals(-0.1175670167370189, outputs.of("grad_beta_mix")[0], relative * .12);
        assertEquals(0.4702680669480755, outputs.of("grad_tau")[0], relative * .5);
        assertArrayEquals(
                new double[] {.05 * -203, .05 * -.5, .05 * 22},
                outputs.of("chosen_rewards"),
                relative * 10);
    }

    // ---- Nothing there ----

    @ParameterizedTest
    @ValueSource(strings = {"reference", "cpu"})
    void noPairsNoRowsNoTokens(String backend) throws IOException {
        Outputs rows =
                evaluate(
                        backend,
                        CaseFile.token()
                                .shaped("logits", 0, 5)
                                .shaped("labels", 0)
                                .shaped("grad_logp", 0)
                                .shaped("grad_entropy", 0));
        assertEquals(0, rows.of("logp").length);
        assertTrue(rows.layout().get("grad_logits").endsWith("[0, 5]"));

        Outputs sequences =
                evaluate(
                        backend,
                        CaseFile.sequence().shaped("token_logps", 4, 0).shaped("mask", 4, 0));
        assertArrayEquals(new double[4], sequences.of("logps"));
        assertArrayEquals(new double[4], sequences.of("counts"));

        CaseFile noPairs = CaseFile.pair();
        for (String name :
                List.of(
                        "policy_chosen",
                        "policy_rejected",
                        "reference_chosen",
                        "reference_rejected")) {
            noPairs.shaped(name, 0);
        }
        Outputs pairs = evaluate(backend, noPairs);
        assertEquals(0, pairs.of("loss").length);
        assertArrayEquals(new double[1], pairs.of("grad_tau"));

        CaseFile noStep =
                CaseFile.step()
                        .shaped("logits", 0, 3, 5)
                        .shaped("labels", 0, 3)
                        .shaped("mask", 0, 3)
                        .shaped("reference_token_logps", 0, 3);
        Outputs step = evaluate(backend, noStep);
        assertEquals(0, step.of("losses").length);
        OutputsTest.METRICS.forEach(
                metric -> assertArrayEquals(new double[1], step.of(metric), metric));

        Outputs empty = evaluate(backend, CaseFile.step().shaped("mask", 4, 3));
        assertArrayEquals(new double[60], empty.of("grad_logits"));
        assertArrayEquals(new double[4], empty.of("logps"));
        assertEquals((1 + Math.log(2)) / 2, empty.of("loss")[0], 1e-6);
        for (String metric :
                List.of(
                        "entropy",
                        "token_accuracy",
                        "logits_chosen",
                        "logits_rejected",
                        "grad_norm",
                        "nonfinite",
                        "rewards_margin")) {
            assertArrayEquals(new double[1], empty.of(metric), metric);
        }
    }
}
