package dev.logratio.bench.cuda;

import dev.logratio.DivergenceKind;
import dev.logratio.ScoringRuleOptions.Rule;
import dev.logratio.Tensor;
import dev.logratio.bench.RowOperations;

import java.util.ArrayList;
import java.util.List;

/**
 * What is timed, and how often it has to move each logit through the GPU's memory.
 *
 * @param title names it in tables
 * @param reads passes that read
 * @param copies passes that read, and write elsewhere
 * @param updates passes that read, and write the same memory
 * @param afterForward whether it needs the log-sum-exps of a forward that is not timed
 * @param body queues it
 */
record Operation(
        String title, int reads, int copies, int updates, boolean afterForward, Body body) {
    /** Works on one of the buffers of logits; the other may be written to. */
    @FunctionalInterface
    interface Body {
        void run(Rows rows, Tensor here, Tensor other);
    }

    /** Every operation. */
    static List<Operation> all() {
        List<Operation> all =
                new ArrayList<>(
                        List.of(
                                new Operation(
                                        "token_logprobs forward",
                                        1,
                                        0,
                                        0,
                                        false,
                                        (rows, here, other) -> rows.forward(here)),
                                new Operation(
                                        "token_logprobs forward, all outputs",
                                        1,
                                        0,
                                        0,
                                        false,
                                        (rows, here, other) -> rows.forwardAll(here)),
                                new Operation(
                                        "token_logprobs backward", 0, 1, 0, true, Rows::backward),
                                new Operation(
                                        "token_logprobs backward in place",
                                        0,
                                        0,
                                        1,
                                        true,
                                        (rows, here, other) -> rows.backward(here, here)),
                                new Operation(
                                        "preference_step in place",
                                        1,
                                        0,
                                        1,
                                        false,
                                        (rows, here, other) -> rows.step(here))));
        for (DivergenceKind kind : DivergenceKind.values()) {
            all.add(
                    new Operation(
                            "divergence " + kind.id() + " in place",
                            RowOperations.forwardReads(kind),
                            0,
                            1,
                            false,
                            (rows, here, other) -> rows.divergence(kind, here)));
        }
        for (Rule rule : Rule.values()) {
            all.add(
                    new Operation(
                            "scoring_rule " + rule.id() + " in place",
                            1,
                            0,
                            1,
                            false,
                            (rows, here, other) ->
                                    rows.scoringRule(RowOperations.options(rule), here)));
        }
        return all;
    }

    /**
     * The least time that these bandwidths allow, from the times of probes that go over the logits'
     * memory once.
     */
    double limit(double readTime, double copyTime, double updateTime) {
        return reads * readTime + copies * copyTime + updates * updateTime;
    }

    /** Bytes that have to move for so many bytes of logits. */
    long traffic(long bytes) {
        return (reads + 2L * copies + 2L * updates) * bytes;
    }
}
