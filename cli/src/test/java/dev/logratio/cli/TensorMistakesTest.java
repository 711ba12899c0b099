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

/**
 * Wrong dtypes, shapes and values of the tensors of a file. {@link MissingTensorsTest} has which
 * tensors there are, {@link DivergenceTensorsTest} the operations on distributions.
 */
class TensorMistakesTest {
    @TempDir Path folder;

    static Stream<Arguments> mistakes() {
        Mistakes all = new Mistakes();
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
                "beta_mix is NaN",
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
}
