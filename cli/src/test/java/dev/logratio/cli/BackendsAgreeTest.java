package dev.logratio.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import dev.logratio.DType;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Losses;

import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * The same files on each native backend and on the reference, each option in turn away from its
 * default.
 */
class BackendsAgreeTest {
    /** What a gradient of a narrow dtype may be off by, of the largest. */
    private static final double OF_ROWS = 2e-3;

    /** Sums of gradients of logits that are rounded to BF16 each, and cancel. */
    private static final double OF_PRODUCTS = 5e-3;

    @TempDir Path folder;

    static Stream<Arguments> files() {
        List<Arguments> files = new ArrayList<>();
        for (DType dtype : List.of(DType.F32, DType.BF16, DType.F16)) {
            for (String option :
                    List.of(
                            "",
                            "temperature=0.3",
                            "temperature=7",
                            "softcap=1.5",
                            "ignore_index=4",
                            "softcap=30 temperature=0.5")) {
                files.add(
                        arguments(
                                "token_logprobs " + dtype + " " + option,
                                with(
                                        CaseFile.token().as("logits", dtype).set("labels", 1, 2),
                                        option)));
            }
        }
        for (String option :
                List.of("", "vocab=4", "ignore_index=3 temperature=0.4", "softcap=2")) {
            CaseFile labels =
                    CaseFile.token()
                            .labels("labels", new long[] {0, 2, 1, 3, 3, 3, 2, 0}, 4, 2)
                            .set("labels", option.startsWith("ign") ? 3 : 1, 2, 1)
                            .random("grad_logp", DType.F32, 4, 2)
                            .random("grad_lse", DType.F32, 4)
                            .random("grad_tail", DType.F32, 4);
            files.add(arguments("token_logprobs of several " + option, with(labels, option)));
        }
        List<String> reductions =
                List.of(
                        "",
                        "reduction=mean",
                        "tail_weight=0",
                        "tail_weight=0.25",
                        "tail_weight=0 align=absolute",
                        "tail_weight=0.5 align=absolute reduction=mean",
                        "tail_weight=0 keep_fraction=0.5",
                        "tail_weight=0.75 keep_fraction=0.34 align=absolute");
        for (String option : reductions) {
            files.add(arguments("sequence_logps " + option, with(CaseFile.sequence(), option)));
            CaseFile weights =
                    CaseFile.sequence()
                            .as("mask", DType.F32)
                            .set("mask", .5, 1, 1)
                            .set("mask", 2.5, 2, 0);
            files.add(arguments("sequence_logps with weights " + option, with(weights, option)));
            files.add(arguments("preference_step " + option, with(CaseFile.step(), option)));
            CaseFile packed = with(CaseFile.packedSequence(), option);
            files.add(arguments("sequence_logps of packed ones " + option, packed));
            packed = with(CaseFile.packedStep(), option);
            files.add(arguments("preference_step of packed sequences " + option, packed));
            if (!option.contains("tail_weight")) {
                packed = with(CaseFile.packedUnpairedStep(), option);
                files.add(arguments("unpaired_step of packed sequences " + option, packed));
            }
        }
        for (String option :
                List.of(
                        "beta_kl=0.5 beta_mix=-0.3 tau=2",
                        "guard=clamp beta_mix=0.001 tau=0.5 beta_kl=0.4",
                        "guard=clamp beta_mix=0.7",
                        "f_divergence=forward_kl",
                        "f_divergence=js beta_kl=1",
                        "f_divergence=alpha",
                        "f_divergence=alpha f_alpha=2.5",
                        "f_divergence=alpha f_alpha=1",
                        "loss=discopop",
                        "loss=discopop variant=old beta=0.5",
                        "loss=lrml tau=3 f_divergence=js",
                        "loss=sigmoid",
                        "loss=sigmoid beta=2 label_smoothing=0.2",
                        "loss=sigmoid f_divergence=forward_kl")) {
            files.add(
                    arguments(
                            "pair_loss " + option,
                            with(CaseFile.pair().random("grad_loss", DType.F32, 3), option)));
            files.add(
                    arguments(
                            "preference_step " + option,
                            with(CaseFile.step(), option + " softcap=4 temperature=1.25")));
        }
        for (String loss : Losses.ids(Loss.Paired.class)) {
            CaseFile pairs = CaseFile.pair().option("loss", loss);
            CaseFile step =
                    CaseFile.step().option("loss", loss + ",sft").option("loss_weights", "1,0.5");
            step.option("temperature", "1.25").option("tail_weight", "0.5");
            if (Losses.of(loss, Map.of()) instanceof Loss.ReferenceFree) {
                // Log-probs, which are below 0, in place of any numbers.
                pairs.without("reference_chosen").without("reference_rejected");
                pairs.tensor("policy_chosen", DType.F32, new double[] {-3, -.5, -7}, 3);
                pairs.tensor("policy_rejected", DType.F32, new double[] {-1, -2, -6}, 3);
                step.without("reference_token_logps");
            }
            if (!loss.startsWith("aot")) {
                step.option("wpo", "on");
            }
            pairs.tensor("chosen_counts", DType.I64, new double[] {3, 1, 5}, 3);
            files.add(arguments("pair_loss " + loss, pairs));
            files.add(arguments("preference_step " + loss, step));
        }
        for (String option :
                List.of(
                        "",
                        "loss=kto beta=2 desirable_weight=3",
                        "loss=kto undesirable_weight=0")) {
            files.add(
                    arguments(
                            "unpaired_loss " + option,
                            with(CaseFile.unpaired().random("grad_loss", DType.F32, 4), option)));
        }
        for (String option :
                List.of(
                        "loss=apo_zero_unpaired",
                        "loss=bco delta=0.5",
                        "loss=bco undesirable_weight=2.5 beta=1")) {
            CaseFile file =
                    CaseFile.unpaired().without("kl_policy_logps").without("kl_reference_logps");
            files.add(arguments("unpaired_loss " + option, with(file, option)));
        }
        for (DType dtype : List.of(DType.F32, DType.BF16, DType.F16)) {
            for (String option :
                    List.of(
                            "",
                            "beta=2 desirable_weight=3 undesirable_weight=0.5 reduction=mean",
                            "loss=apo_zero_unpaired softcap=4 temperature=1.25",
                            "loss=bco delta=0.5 undesirable_weight=2.5 reduction=mean")) {
                CaseFile file = CaseFile.unpairedStep().as("logits", dtype);
                if (option.startsWith("loss")) {
                    file.without("kl_policy_logps").without("kl_reference_logps");
                }
                files.add(arguments("unpaired_step " + dtype + " " + option, with(file, option)));
            }
            for (String option :
                    List.of(
                            "",
                            "w1=0.1 w2=2",
                            "divergence=jeffreys temperature=2",
                            "divergence=kl_pq detach=p",
                            "divergence=kl_qp reduction=sum",
                            "divergence=js",
                            "divergence=js js_weight=0.2",
                            "divergence=js js_weight=0.95 vocab=4",
                            "divergence=kl_pq vocab=3",
                            "divergence=l2 detach=q",
                            "divergence=tvd",
                            "divergence=wasserstein1",
                            "divergence=cosine")) {
                CaseFile file = CaseFile.divergence().as("p_logits", dtype).as("q_logits", dtype);
                files.add(arguments("divergence " + dtype + " " + option, with(file, option)));
            }
            for (String option :
                    List.of(
                            "",
                            "epsilon=0.1",
                            "rule=brier epsilon=0.2 masked_log=on",
                            "rule=spherical",
                            "rule=power alpha=1.5",
                            "rule=power alpha=3 normalisation=jnw",
                            "rule=pseudo_spherical alpha=1.25 normalisation=jnw epsilon=0.1",
                            "vocab=4",
                            "rule=brier ignore_index=3")) {
                CaseFile file = CaseFile.rule().as("logits", dtype).set("labels", 1, 2);
                files.add(arguments("scoring_rule " + dtype + " " + option, with(file, option)));
            }
        }
        files.add(
                arguments(
                        "divergence by rows",
                        CaseFile.divergence()
                                .labels("p_rows", new long[] {2, 0}, 2)
                                .labels("q_rows", new long[] {1, 2}, 2)
                                .tensor("row_weights", DType.F32, new double[] {.5, 2}, 2)));
        for (String option :
                List.of(
                        "divergence=kl_pq",
                        "divergence=kl_qp temperature=2",
                        "divergence=js js_weight=0.3 vocab=4")) {
            CaseFile topk =
                    CaseFile.divergence()
                            .without("q_logits")
                            .labels("q_topk_ids", new long[] {0, 1, 3, 2, 0, 3}, 3, 2)
                            .tensor(
                                    "q_topk_logps",
                                    DType.F32,
                                    new double[] {-1, -1.5, -2, -3, -.5, -4},
                                    3,
                                    2);
            files.add(arguments("divergence with top k " + option, with(topk, option)));
            CaseFile models =
                    CaseFile.divergence()
                            .random("q_logits", DType.F32, 2, 3, 5)
                            .tensor("q_model_weights", DType.F32, new double[] {1, 3}, 2);
            files.add(arguments("divergence of models " + option, with(models, option)));
        }
        for (DType dtype : List.of(DType.F32, DType.BF16, DType.F64)) {
            files.add(
                    arguments(
                            "divergence with weights " + dtype,
                            CaseFile.divergence()
                                    .without("q_logits")
                                    .tensor(
                                            "q_weights",
                                            dtype,
                                            new double[] {
                                                1, 0, 2, 3, .5, 1, 1, 1, 1, 1, .25, .5, 4, 8, 0
                                            },
                                            3,
                                            5)
                                    .option("divergence", "l2")));
        }
        files.addAll(linearFiles());
        return files.stream()
                .flatMap(
                        file -> {
                            String name = (String) file.get()[0];
                            return TestBackends.names()
                                    .filter(backend -> !backend.equals("reference"))
                                    .map(backend -> arguments(backend, name, file.get()[1]));
                        });
    }

    private static List<Arguments> linearFiles() {
        List<Arguments> files = new ArrayList<>();
        for (DType dtype : List.of(DType.F32, DType.BF16, DType.F16)) {
            for (String option :
                    List.of(
                            "",
                            "frozen=weight temperature=0.7",
                            "frozen=hidden softcap=1.5",
                            "vocab=5 budget_bytes=20")) {
                files.add(
                        arguments(
                                "linear_token_logprobs " + dtype + " " + option,
                                with(ofHeads(CaseFile.linearToken(), dtype), option)));
                files.add(
                        arguments(
                                "linear_preference_step " + dtype + " " + option,
                                with(ofHeads(CaseFile.linearStep(), dtype), option)));
                files.add(
                        arguments(
                                "linear_unpaired_step " + dtype + " " + option,
                                with(ofHeads(CaseFile.linearUnpairedStep(), dtype), option)));
            }
        }
        for (String loss : Losses.ids(Loss.Paired.class)) {
            CaseFile file = CaseFile.linearStepOfModel().option("loss", loss);
            files.add(arguments("linear_preference_step of a model, " + loss, file));
        }
        return files;
    }

    private static CaseFile ofHeads(CaseFile file, DType dtype) {
        return file.as("hidden", dtype).as("weight", dtype);
    }

    private static CaseFile with(CaseFile file, String options) {
        for (String option : options.isEmpty() ? new String[0] : options.split(" ")) {
            file.option(option.split("=")[0], option.split("=")[1]);
        }
        return file;
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("files")
    void agree(String backend, String name, CaseFile file) throws IOException {
        Outputs expected = Outputs.of(folder, "reference", file);
        Outputs actual = Outputs.of(folder, backend, file);
        assertEquals(expected.layout().keySet(), actual.layout().keySet());
        for (String output : expected.layout().keySet()) {
            double ofLargest = name.startsWith("linear") ? OF_PRODUCTS : OF_ROWS;
            String layout = actual.layout().get(output);
            compare(output, layout, ofLargest, expected.of(output), actual.of(output));
        }
        String gradient =
                expected.values().keySet().stream()
                        .filter(n -> n.startsWith("grad_"))
                        .findFirst()
                        .orElseThrow();
        assertTrue(
                Arrays.stream(expected.of(gradient)).anyMatch(value -> value != 0),
                gradient + " is all zeros");
    }

    private static void compare(
            String name, String layout, double ofLargest, double[] expected, double[] actual) {
        boolean narrow = layout.contains("F16");
        double largest = 0;
        for (double value : expected) {
            largest = Math.max(largest, Math.abs(value));
        }
        for (int i = 0; i < expected.length; i++) {
            double tolerance =
                    Math.max(
                            (narrow ? 0x1p-7 : 2e-5) * Math.abs(expected[i]),
                            (narrow ? ofLargest : 3e-6) * largest);
            assertEquals(expected[i], actual[i], tolerance, name + " at " + i);
        }
    }
}
