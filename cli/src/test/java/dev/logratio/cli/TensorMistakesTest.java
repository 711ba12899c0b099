package dev.logratio.cli;

import dev.logratio.DType;

import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

/** Every kind of mistake in the tensors of a file: which there are, dtypes, shapes and values. */
class TensorMistakesTest {
    @TempDir Path folder;

    static Stream<Arguments> mistakes() {
        Mistakes all = new Mistakes();
        // Tensors that are missing, unknown or too many.
        for (String tensor : List.of("logits", "labels")) {
            all.add(
                    CaseFile.token().without(tensor),
                    "tensor " + tensor + " is missing",
                    "expected");
            all.add(
                    CaseFile.step().without(tensor),
                    "tensor " + tensor + " is missing",
                    "expected");
        }
        for (String tensor : List.of("token_logps", "mask")) {
            all.add(
                    CaseFile.sequence().without(tensor),
                    "tensor " + tensor + " is missing",
                    "[B,T]");
        }
        for (String tensor :
                List.of(
                        "policy_chosen",
                        "policy_rejected",
                        "reference_chosen",
                        "reference_rejected")) {
            all.add(CaseFile.pair().without(tensor), "tensor " + tensor + " is missing", "[P]");
        }
        for (String tensor : List.of("policy_logps", "reference_logps", "chosen")) {
            all.add(CaseFile.unpaired().without(tensor), "tensor " + tensor + " is missing", "[B]");
        }
        all.add(
                CaseFile.unpaired().without("kl_policy_logps"),
                "tensor kl_policy_logps is missing",
                "kl_reference_logps is there");
        all.add(
                CaseFile.unpaired().without("kl_reference_logps"),
                "tensor kl_reference_logps is missing",
                "kl_policy_logps is there");
        all.add(
                CaseFile.unpaired().option("loss", "bco"),
                "tensor \"kl_policy_logps\"",
                "with loss bco");
        for (String tensor : List.of("logits", "labels", "chosen")) {
            all.add(
                    CaseFile.unpairedStep().without(tensor),
                    "tensor " + tensor + " is missing",
                    tensor.equals("chosen") ? "[B]" : "[B,T");
        }
        all.add(
                CaseFile.unpairedStep().without("reference_token_logps"),
                "tensor reference_logps or reference_token_logps is missing",
                "expected one of them");
        all.add(
                CaseFile.unpairedStep().random("reference_logps", DType.F32, 3),
                "reference_logps and reference_token_logps",
                "exactly one");
        all.add(
                CaseFile.unpairedStep().without("kl_policy_logps"),
                "tensor kl_policy_logps is missing",
                "kl_reference_logps is there");
        all.add(
                CaseFile.unpairedStep().option("loss", "bco"),
                "tensor \"kl_policy_logps\"",
                "with loss bco");
        all.add(
                CaseFile.step().without("reference_token_logps"),
                "reference_logps or reference_token_logps is missing");
        all.add(
                CaseFile.step().random("reference_logps", DType.F32, 4),
                "reference_logps and reference_token_logps",
                "exactly one");
        all.add(CaseFile.step().option("reference_free", "on"), "reference_token_logps", "absent");
        all.add(CaseFile.pair().option("reference_free", "on"), "reference_chosen", "absent");
        all.add(
                CaseFile.pair().option("reference_free", "on").without("reference_chosen"),
                "reference_rejected",
                "absent");
        all.add(
                CaseFile.divergence().without("q_logits"),
                "q_logits, q_weights or q_topk_ids is missing");
        addTeachers(all);
        all.add(
                CaseFile.divergence().random("q_weights", DType.F32, 3, 5),
                "q_logits and q_weights",
                "exactly one");
        all.add(CaseFile.divergence().labels("p_rows", new long[] {1}, 1), "q_rows is missing");
        all.add(
                CaseFile.divergence().option("divergence", "js").option("w1", "2"),
                "w1 is 2.0",
                "js");
        all.add(CaseFile.divergence().option("divergence", "kl"), "divergence is \"kl\"", "kl_pq");
        all.add(CaseFile.divergence().shaped("q_logits", 2, 5), "q_logits is", "3 rows");
        all.add(
                CaseFile.divergence().shaped("q_logits", 3, 4),
                "q_logits has shape [3,4]",
                "V = 5");
        all.add(CaseFile.divergence().random("row_weights", DType.F32, 2), "row_weights is", "[3]");
        all.add(
                CaseFile.divergence().tensor("row_weights", DType.F32, new double[] {1, -1, 0}, 3),
                "row_weights[1] is -1",
                ">= 0");
        all.add(
                CaseFile.divergence()
                        .labels("p_rows", new long[] {1, 1}, 2)
                        .labels("q_rows", new long[] {0, 1}, 2),
                "p_rows[1] is 1 once more");
        all.add(
                CaseFile.divergence()
                        .labels("p_rows", new long[] {1, 3}, 2)
                        .labels("q_rows", new long[] {0, 1}, 2),
                "p_rows[1] is 3",
                "[0,3)");
        all.add(CaseFile.rule().option("alpha", "3"), "alpha is 3.0", "log");
        all.add(
                CaseFile.rule().option("rule", "power").option("alpha", "1"),
                "alpha is \"1\"",
                "> 1");
        all.add(CaseFile.rule().option("normalisation", "jnw"), "normalisation is jnw", "selten");
        all.add(CaseFile.rule().option("epsilon", "1"), "epsilon is \"1\"", "[0,1)");
        all.add(CaseFile.rule().option("vocab", "6"), "vocab is 6", "at most the 5");
        all.add(CaseFile.rule().option("vocab", "0"), "vocab is \"0\"", "from 1 to V");
        all.add(CaseFile.rule().option("vocab", "3"), "labels[1] is 3", "[0,3)");
        all.add(
                CaseFile.token().random("mask", DType.F32, 4),
                "tensor \"mask\"",
                "token_logprobs",
                "grad_entropy");
        all.add(CaseFile.token().random("", DType.F32, 4), "tensor \"\"");
        all.add(
                CaseFile.pair().random("grad_losses", DType.F32, 3),
                "tensor \"grad_losses\"",
                "grad_loss");
        all.add(CaseFile.pair().random("beta", DType.F32, 1), "tensor \"beta\"");
        all.add(
                CaseFile.pair().option("loss", "sigmoid").random("tau", DType.F32, 1),
                "tensor \"tau\"",
                "with loss sigmoid");
        all.add(
                CaseFile.pair().option("loss", "discopop").random("beta_kl", DType.F32, 1),
                "tensor \"beta_kl\"");
        all.add(CaseFile.step().random("beta", DType.F32, 1), "tensor \"beta\"", "with loss dlrml");
        all.add(
                CaseFile.step().option("loss", "dlrml,sft").random("beta_mix", DType.F32, 1),
                "beta_mix is given as a tensor",
                "a single loss");
        all.add(
                CaseFile.step()
                        .option("beta_mix", "0.5")
                        .tensor("beta_mix", DType.F32, new double[] {.5}, 1),
                "beta_mix is given both");
        all.add(
                CaseFile.step().tensor("tau", DType.F32, new double[] {.5, 0}, 2),
                "tau[1] is 0",
                "> 0");
        all.add(
                CaseFile.step().tensor("tau", DType.F32, new double[] {1, 1, 1}, 3),
                "tau has shape [3]",
                "[1] or [P]",
                "P = 2");
        all.add(
                CaseFile.pair().tensor("beta_kl", DType.F32, new double[] {1, 1}, 2),
                "beta_kl has shape [2]",
                "[1] or [P]",
                "P = 3");
        all.add(
                CaseFile.pair().tensor("beta_mix", DType.F32, new double[] {1, Double.NaN, 1}, 3),
                "beta_mix[1] is NaN",
                "a finite number");
        for (String option : List.of("beta_kl", "beta_mix", "tau")) {
            CaseFile both =
                    CaseFile.pair()
                            .option(option, "0.5")
                            .tensor(option, DType.F32, new double[] {.5}, 1);
            all.add(both, option + " is given both");
        }
        // Dtypes.
        for (DType dtype : List.of(DType.I64, DType.I32, DType.U8, DType.BOOL)) {
            all.add(
                    CaseFile.token().shaped("logits", 4, 5).as("logits", dtype),
                    "logits has dtype " + dtype,
                    "F32");
            all.add(
                    CaseFile.sequence().shaped("grad_logps", 4).as("grad_logps", dtype),
                    "grad_logps has dtype " + dtype,
                    "F32");
            all.add(
                    CaseFile.pair().shaped("policy_rejected", 3).as("policy_rejected", dtype),
                    "policy_rejected has dtype " + dtype,
                    "F32");
        }
        for (DType dtype : List.of(DType.F64, DType.F32, DType.BF16, DType.F16)) {
            all.add(
                    CaseFile.token().shaped("labels", 4).as("labels", dtype),
                    "labels has dtype " + dtype,
                    "I64 or I32");
        }
        for (DType dtype : List.of(DType.U8, DType.BOOL)) {
            all.add(
                    CaseFile.step().shaped("labels", 4, 3).as("labels", dtype),
                    "labels has dtype " + dtype,
                    "I64 or I32");
        }
        for (DType dtype : List.of(DType.F64, DType.BF16, DType.F16)) {
            all.add(
                    CaseFile.sequence().as("mask", dtype),
                    "mask has dtype " + dtype,
                    "BOOL, U8, I64, I32 or F32");
            all.add(
                    CaseFile.step().as("mask", dtype),
                    "mask has dtype " + dtype,
                    "BOOL, U8, I64, I32 or F32");
        }
        for (DType dtype : List.of(DType.F64, DType.U8, DType.BOOL, DType.BF16)) {
            all.add(
                    CaseFile.pair().tensor("chosen_counts", dtype, new double[] {1, 1, 1}, 3),
                    "chosen_counts has dtype " + dtype,
                    "I64, I32 or F32");
        }
        for (DType dtype : List.of(DType.F32, DType.I64)) {
            all.add(
                    CaseFile.unpaired().tensor("chosen", dtype, new double[4], 4),
                    "chosen has dtype " + dtype,
                    "BOOL or U8");
        }
        all.add(
                CaseFile.pair().tensor("tau", DType.I64, new double[] {1}, 1),
                "tau has dtype I64",
                "F32");
        // Shapes.
        all.add(CaseFile.token().shaped("logits", 20), "logits has shape [20]", "[N,V] or [B,T,V]");
        all.add(CaseFile.token().shaped("logits"), "logits has shape []", "[N,V] or [B,T,V]");
        all.add(CaseFile.token().shaped("logits", 1, 2, 2, 5), "logits has shape [1,2,2,5]");
        all.add(CaseFile.token().shaped("logits", 4, 0), "logits has shape [4,0]", "V >= 1");
        all.add(
                CaseFile.token().shaped("logits", 0, 0).shaped("labels", 0),
                "logits has shape [0,0]",
                "V >= 1");
        all.add(CaseFile.token().shaped("labels", 3), "labels has shape [3]", "N = 4");
        all.add(CaseFile.token().shaped("labels", 2, 2), "labels has shape [2,2]", "[N,K]");
        all.add(CaseFile.token().shaped("labels", 4, 1), "grad_logp has shape [4]", "[N,K]");
        all.add(
                CaseFile.token().random("grad_lse", DType.F32, 4, 1),
                "grad_lse has shape [4,1]",
                "[N]");
        all.add(severalLabels(0), "labels is I64 [4, 0]", "1 to 5 labels per row");
        all.add(severalLabels(6), "labels is I64 [4, 6]", "1 to 5 labels per row");
        all.add(
                severalLabels(4).option("vocab", "3"),
                "labels is I64 [4, 4]",
                "1 to 3 labels per row");
        all.add(
                severalLabels(3).set("labels", 1, 2, 2),
                "labels[2, 2] is 1 once more",
                "no label twice in a row");
        all.add(severalLabels(3).set("labels", 5, 1, 2), "labels[1, 2] is 5", "[0,5)", "-100");
        all.add(
                CaseFile.token().random("grad_tail", DType.F32, 4),
                "tensor grad_tail is there",
                "[N,K] or [B,T,K]");
        all.add(severalLabels(2).random("tail", DType.F32, 4), "unknown tensor \"tail\"");
        all.add(CaseFile.token().option("vocab", "6"), "vocab is 6", "at most the 5");
        all.add(CaseFile.token().option("vocab", "0"), "vocab is \"0\"", "from 1 to V");
        all.add(CaseFile.token().option("vocab", "4"), "labels[1] is 4", "[0,4)");
        all.add(CaseFile.step().option("vocab", "6"), "vocab is 6", "at most the 5");
        all.add(CaseFile.step().option("vocab", "4"), "labels[1, 1] is 4", "[0,4)");
        all.add(
                CaseFile.token().shaped("logits", 2, 2, 5),
                "labels has shape [4]",
                "[B,T]",
                "B = 2");
        all.add(
                CaseFile.token().shaped("grad_entropy", 4, 5),
                "grad_entropy has shape [4,5]",
                "[N]");
        all.add(
                CaseFile.sequence().shaped("token_logps", 4, 3, 1),
                "token_logps has shape [4,3,1]",
                "[B,T]");
        all.add(CaseFile.sequence().shaped("mask", 3, 4), "mask has shape [3,4]", "B = 4");
        all.add(
                CaseFile.sequence().shaped("grad_logps", 4, 3),
                "grad_logps has shape [4,3]",
                "[B]");
        UnaryOperator<CaseFile> three =
                f -> f.shaped("token_logps", 3, 3).shaped("mask", 3, 3).shaped("grad_logps", 3);
        all.add(
                three.apply(CaseFile.sequence()).option("tail_weight", "0.5"),
                "mask is",
                "an even number of sequences");
        all.add(
                CaseFile.packedSequence()
                        .labels("cu_seqlens", new long[] {0, 3, 5, 8}, 4)
                        .shaped("grad_logps", 3)
                        .option("tail_weight", "0.5"),
                "cu_seqlens is I64 [4]",
                "an even number of sequences");
        all.add(
                CaseFile.pair().shaped("policy_chosen", 3, 1),
                "policy_chosen has shape [3,1]",
                "[P]");
        all.add(
                CaseFile.pair().shaped("reference_rejected", 2),
                "reference_rejected has shape [2]",
                "P = 3");
        all.add(
                CaseFile.pair().random("grad_loss", DType.F32, 6),
                "grad_loss has shape [6]",
                "P = 3");
        all.add(
                CaseFile.pair().option("loss", "kto_pair").random("grad_loss", DType.F32, 3),
                "grad_loss has shape [3]",
                "even");
        all.add(
                CaseFile.pair().option("loss", "kto_pair").random("grad_loss", DType.F32, 4),
                "grad_loss has shape [4]",
                "[2P]",
                "P = 3");
        all.add(
                CaseFile.unpairedStep().random("weights", DType.F32, 4),
                "weights has shape [4]",
                "B = 3");
        all.add(
                CaseFile.unpairedStep().random("grad_loss", DType.F32, 3),
                "grad_loss has shape [3]",
                "[1]");
        all.add(
                CaseFile.unpairedStep().tensor("chosen", DType.F32, new double[3], 3),
                "chosen has dtype F32",
                "BOOL or U8");
        all.add(
                CaseFile.unpairedStep().tensor("weights", DType.I64, new double[3], 3),
                "weights has dtype I64",
                "F32");
        all.add(
                CaseFile.unpairedStep().set("weights", -1, 2),
                "weights[2] is -1.0",
                "a finite number >= 0");
        all.add(
                CaseFile.unpaired().random("reference_logps", DType.F32, 3),
                "reference_logps has shape [3]",
                "B = 4");
        all.add(
                CaseFile.unpaired().random("kl_reference_logps", DType.F32, 3),
                "kl_reference_logps has shape [3]",
                "C = 2");
        all.add(CaseFile.pair().random("tau", DType.F32, 2), "tau has shape [2]", "[1]");
        all.add(CaseFile.pair().random("beta_mix", DType.F32), "beta_mix has shape []", "[1]");
        all.add(CaseFile.step().shaped("logits", 3, 3, 5), "logits has shape [3,3,5]", "even");
        all.add(CaseFile.step().shaped("logits", 4, 5), "logits has shape [4,5]", "[2P,T,V]");
        all.add(CaseFile.step().shaped("logits", 4, 5), "logits has", "cu_seqlens with [N,V]");
        all.add(CaseFile.packedStep().without("cu_seqlens"), "logits has shape [8,5]", "[2P,T,V]");
        all.add(
                CaseFile.step().labels("cu_seqlens", new long[5], 5),
                "logits has shape [4,3,5]",
                "[N,V] as cu_seqlens is there");
        all.add(
                CaseFile.sequence().labels("cu_seqlens", new long[5], 5),
                "token_logps has shape [4,3]",
                "[N] as cu_seqlens is there");
        all.add(CaseFile.packedSequence().without("cu_seqlens"), "token_logps has", "[B,T], or");
        all.add(
                CaseFile.packedStep().shaped("cu_seqlens", 4),
                "cu_seqlens has shape [4]",
                "[2P+1]");
        all.add(
                CaseFile.packedStep().shaped("cu_seqlens", 0),
                "cu_seqlens has shape [0]",
                "[2P+1]");
        all.add(CaseFile.packedStep().shaped("cu_seqlens", 1), "cu_seqlens is I64 [1]", "8 tokens");
        all.add(CaseFile.packedStep().as("cu_seqlens", DType.F32), "cu_seqlens has dtype F32");
        all.add(CaseFile.packedStep().shaped("labels", 7), "labels has shape [7]", "N = 8");
        all.add(
                CaseFile.packedStep().option("loss", "sft").mask("nll_mask", DType.BOOL, 7),
                "nll_mask has shape [7]",
                "N = 8");
        all.add(
                CaseFile.packedUnpairedStep().without("cu_seqlens"),
                "logits has shape [8,5]",
                "[B,T,V], or cu_seqlens with [N,V]");
        all.add(
                CaseFile.unpairedStep().labels("cu_seqlens", new long[4], 4),
                "logits has shape [3,4,5]",
                "[N,V] as cu_seqlens is there");
        all.add(CaseFile.packedUnpairedStep().shaped("chosen", 4), "chosen has shape [4]", "B = 3");
        all.add(CaseFile.step().shaped("labels", 2, 6), "labels has shape [2,6]", "[2P,T]");
        all.add(CaseFile.step().shaped("mask", 4, 2), "mask has shape [4,2]", "T = 3");
        all.add(
                CaseFile.step().shaped("reference_token_logps", 4),
                "reference_token_logps has shape [4]",
                "[2P,T]");
        // Values.
        for (CaseFile packed :
                List.of(
                        CaseFile.packedStep(),
                        CaseFile.packedUnpairedStep(),
                        CaseFile.packedSequence())) {
            all.add(packed.set("cu_seqlens", 1, 0), "cu_seqlens[0] is 1", "expected 0");
        }
        for (CaseFile packed :
                List.of(
                        CaseFile.packedStep(),
                        CaseFile.packedUnpairedStep(),
                        CaseFile.packedSequence())) {
            all.add(packed.set("cu_seqlens", 2, 2), "cu_seqlens[2] is 2", "at least 3");
        }
        for (long last : new long[] {7, 9}) {
            all.add(
                    CaseFile.packedStep().set("cu_seqlens", last, 4),
                    "cu_seqlens[4] is " + last,
                    "8, the number of tokens");
            all.add(
                    CaseFile.packedUnpairedStep().set("cu_seqlens", last, 3),
                    "cu_seqlens[3] is " + last,
                    "8, the number of tokens");
            all.add(
                    CaseFile.packedSequence().set("cu_seqlens", last, 4),
                    "cu_seqlens[4] is " + last,
                    "8, the number of tokens");
        }
        all.add(CaseFile.token().set("labels", 5, 3), "labels[3] is 5", "[0,5)", "-100");
        all.add(CaseFile.token().set("labels", -1, 0), "labels[0] is -1", "[0,5)");
        all.add(CaseFile.token().option("ignore_index", "3"), "labels[2] is -100", "3");
        all.add(CaseFile.step().set("labels", 5, 2, 1), "labels[2, 1] is 5", "[0,5)");
        for (double weight : new double[] {-1, Double.NaN, Double.POSITIVE_INFINITY}) {
            all.add(
                    CaseFile.sequence().as("mask", DType.F32).set("mask", weight, 3, 2),
                    "mask[3, 2] is",
                    ">= 0");
            all.add(
                    CaseFile.step().as("mask", DType.F32).set("mask", weight, 1, 0),
                    "mask[1, 0] is",
                    ">= 0");
        }
        for (double value : new double[] {0, -1, Double.NaN, Double.POSITIVE_INFINITY}) {
            all.add(
                    CaseFile.pair().tensor("beta_kl", DType.F32, new double[] {value}, 1),
                    "beta_kl is " + value,
                    "expected");
            all.add(
                    CaseFile.pair()
                            .option("loss", "discopop")
                            .tensor("tau", DType.F64, new double[] {value}, 1),
                    "tau is " + value,
                    "expected");
        }
        for (String variance : List.of("dbaql", "aqfl")) {
            CaseFile one =
                    CaseFile.of("pair_loss")
                            .option("loss", variance)
                            .option("reference_free", "on");
            one.random("policy_chosen", DType.F32, 1).random("policy_rejected", DType.F32, 1);
            all.add(one, "at least 2 pairs", variance);
            CaseFile step =
                    CaseFile.of("preference_step")
                            .option("loss", variance)
                            .option("reference_free", "on");
            step.random("logits", DType.F32, 2, 1, 3).labels("labels", new long[2], 2, 1);
            all.add(step, "at least 2 pairs", variance);
        }
        all.add(
                CaseFile.pair().tensor("beta_mix", DType.BF16, new double[] {Double.NaN}, 1),
                "beta_mix is \"NaN\"",
                "finite");
        return all.onEachBackend();
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("mistakes")
    void isNamedOnOneLineAndNothingIsWritten(
            String backend, String name, CaseFile file, List<String> words) throws IOException {
        Mistakes.check(folder, backend, file, words);
    }

    /** Labels 0, 1, .. in each of the rows, as many as asked for. */
    private static CaseFile severalLabels(int perRow) {
        long[] labels = new long[4 * perRow];
        Arrays.setAll(labels, i -> i % perRow);
        return CaseFile.token()
                .labels("labels", labels, 4, perRow)
                .random("grad_logp", DType.F32, 4, perRow)
                .random("grad_tail", DType.F32, 4);
    }

    /** Known log-probabilities, several models, and the options beside them. */
    private static void addTeachers(Mistakes all) {
        all.add(topk(), "q_topk_ids is given", "kl_pq, kl_qp or js", "sce");
        all.add(
                topk("kl_pq").random("q_logits", DType.F32, 3, 5),
                "q_logits and q_topk_ids",
                "exactly one");
        all.add(topk("kl_pq").without("q_topk_logps"), "q_topk_logps is missing", "q_topk_ids");
        all.add(topk("kl_pq").without("q_topk_ids"), "q_topk_ids is missing");
        all.add(topk("js").set("q_topk_ids", 5, 2, 1), "q_topk_ids[2, 1] is 5", "[0,5)");
        all.add(topk("js").set("q_topk_ids", 0, 2, 1), "q_topk_ids[2, 1] is 0 once more");
        all.add(topk("js").option("vocab", "4"), "q_topk_ids[1, 1] is 4", "[0,4)");
        all.add(topk("js").option("vocab", "1"), "q_topk_ids is", "at most 1 ids");
        all.add(
                topk("kl_qp")
                        .tensor(
                                "q_topk_logps",
                                DType.F32,
                                new double[] {-1, -1, -1, -1, -.5, -.5},
                                3,
                                2),
                "q_topk_logps row 2",
                "more than 1");
        all.add(
                topk("kl_qp")
                        .tensor(
                                "q_topk_logps",
                                DType.F32,
                                new double[] {-1, -1, Double.NaN, -1, -1, -1},
                                3,
                                2),
                "q_topk_logps[1, 0] is NaN");
        all.add(
                topk("kl_qp")
                        .labels("q_topk_ids", new long[18], 3, 6)
                        .random("q_topk_logps", DType.F32, 3, 6),
                "q_topk_ids is",
                "at most 5 ids");
        all.add(
                CaseFile.divergence().random("q_logits", DType.F32, 2, 3, 5),
                "q_model_weights is missing",
                "[R]",
                "q_logits is");
        all.add(
                CaseFile.divergence().tensor("q_model_weights", DType.F32, new double[] {1}, 1),
                "q_model_weights is",
                "q_logits [R,M,V]");
        all.add(models(1, -1), "q_model_weights[1] is -1", ">= 0");
        all.add(models(0, 0), "q_model_weights sums to 0");
        all.add(models(1, 2, 3), "q_model_weights has shape [3]", "R = 2");
        all.add(
                CaseFile.divergence().option("divergence", "js").option("js_weight", "1"),
                "js_weight is \"1\"",
                "(0,1)");
        all.add(CaseFile.divergence().option("js_weight", ".25"), "js_weight is 0.25", "sce");
        all.add(CaseFile.divergence().option("vocab", "6"), "vocab is 6", "at most the 5");
        all.add(CaseFile.divergence().option("vocab", "0"), "vocab is \"0\"", "from 1 to V");
    }

    private static CaseFile topk(String divergence) {
        return topk().option("divergence", divergence);
    }

    /** Two known columns in each of 3 rows. */
    private static CaseFile topk() {
        return CaseFile.divergence()
                .without("q_logits")
                .labels("q_topk_ids", new long[] {0, 1, 3, 4, 0, 3}, 3, 2)
                .tensor("q_topk_logps", DType.F32, new double[] {-1, -1, -2, -3, -1, -1}, 3, 2);
    }

    private static CaseFile models(double... weights) {
        return CaseFile.divergence()
                .random("q_logits", DType.F32, 2, 3, 5)
                .tensor("q_model_weights", DType.F32, weights, weights.length);
    }
}
