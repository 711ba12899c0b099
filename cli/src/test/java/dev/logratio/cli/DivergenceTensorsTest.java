package dev.logratio.cli;

import dev.logratio.DType;

import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** Mistakes in the tensors and options of divergence and scoring_rule. */
class DivergenceTensorsTest {
    @TempDir Path folder;

    static Stream<Arguments> mistakes() {
        Mistakes all = new Mistakes();
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
        return all.onEachBackend();
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("mistakes")
    void isNamedOnOneLineAndNothingIsWritten(
            String backend, String name, CaseFile file, List<String> words) throws IOException {
        Mistakes.check(folder, backend, file, words);
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
