package dev.logratio;

import java.util.Arrays;

/** The checks of operations on whole vocabulary rows, as {@link Checks} has those of the others. */
final class RowChecks {
    private RowChecks() {}

    static void divergence(Divergence call, Arguments arguments, boolean doubleLogits) {
        arguments.input("p_logits", call.pLogits);
        arguments.input("q_logits", call.qLogits);
        arguments.input("q_weights", call.qWeights);
        arguments.input("p_rows", call.pRows);
        arguments.input("q_rows", call.qRows);
        arguments.input("row_weights", call.rowWeights);
        arguments.input("grad_loss", call.gradLoss);
        arguments.output("values", call.values);
        arguments.output("loss", call.loss);
        arguments.output("grad_p_logits", call.gradP);
        arguments.output("grad_q_logits", call.gradQ);

        Tensor p = call.pLogits;
        matrix("p_logits", p, "[N,V]", doubleLogits);
        String qName = call.qWeights == null ? "q_logits" : "q_weights";
        Tensor q = call.q();
        if (call.qWeights == null) {
            matrix(qName, q, "[M,V]", doubleLogits);
            if (q.dtype() != p.dtype()) {
                throw Checks.wrong(qName, q, p.dtype() + ", as p_logits is " + p);
            }
        } else {
            weightsMatrix(q, doubleLogits);
        }
        if (q.size(1) != p.size(1)) {
            throw Checks.wrong(qName, q, p.size(1) + " columns, as p_logits is " + p);
        }
        long pairs = rows(call, qName, q);
        Checks.floatVector("row_weights", call.rowWeights, pairs);
        Checks.floatVector("grad_loss", call.gradLoss, 1);
        Checks.floatVector("values", call.values, pairs);
        Checks.floatVector("loss", call.loss, 1);
        gradient(
                "grad_p_logits",
                call.gradP,
                "p_logits",
                p,
                call.options.detach() == DivergenceOptions.Detach.P);
        if (call.gradQ != null && call.qWeights != null) {
            throw new IllegalArgumentException(
                    "grad_q_logits is wanted, expected q_logits with it: q_weights are constant");
        }
        gradient(
                "grad_q_logits",
                call.gradQ,
                "q_logits",
                q,
                call.options.detach() == DivergenceOptions.Detach.Q);
        rowValues("p_rows", call.pRows, p.size(0));
        rowValues("q_rows", call.qRows, q.size(0));
        weightValues("row_weights", call.rowWeights);
        if (call.qWeights != null) {
            weightValues("q_weights", call.qWeights);
            positiveSums(call.qWeights);
        }
        arguments.requireDistinctOutputs("grad_p_logits", "p_logits", "grad_q_logits", "q_logits");
    }

    static void scoringRule(ScoringRule call, Arguments arguments, boolean doubleLogits) {
        arguments.input("logits", call.logits);
        arguments.input("labels", call.labels);
        arguments.input("grad_loss", call.gradLoss);
        arguments.output("values", call.values);
        arguments.output("loss", call.loss);
        arguments.output("grad_logits", call.gradLogits);

        Checks.logitsAndLabels(call.logits, call.labels, doubleLogits, false);
        long columns = call.logits.size(call.logits.rank() - 1);
        if (call.options.vocab() > columns) {
            throw new IllegalArgumentException(
                    "vocab is "
                            + call.options.vocab()
                            + ", expected at most the "
                            + columns
                            + " columns of logits");
        }
        Checks.floatLike("grad_loss", call.gradLoss, "labels", call.labels);
        Checks.floatLike("values", call.values, "labels", call.labels);
        Checks.floatVector("loss", call.loss, 1);
        gradient("grad_logits", call.gradLogits, "logits", call.logits, false);
        Checks.labelValues(call.labels, call.vocab(), call.options.ignoreIndex());
        arguments.requireDistinctOutputs("grad_logits", "logits", "", "");
    }

    private static void matrix(String name, Tensor tensor, String shape, boolean doubleLogits) {
        Checks.require(name, tensor, "float " + shape);
        if (!tensor.dtype().isFloat() || tensor.dtype() == DType.F64 && !doubleLogits) {
            throw Checks.wrong(
                    name, tensor, doubleLogits ? "F64, F32, BF16 or F16" : "F32, BF16 or F16");
        }
        Checks.requireRank(name, tensor, 2, shape);
        if (tensor.size(1) < 1) {
            throw Checks.wrong(name, tensor, "a vocabulary of at least 1");
        }
        Checks.requireContiguousRows(name, tensor);
    }

    private static void weightsMatrix(Tensor weights, boolean anyFloat) {
        if (anyFloat ? !weights.dtype().isFloat() : weights.dtype() != DType.F32) {
            throw Checks.wrong("q_weights", weights, anyFloat ? "F64, F32, BF16 or F16" : "F32");
        }
        Checks.requireRank("q_weights", weights, 2, "[M,V]");
        Checks.requireContiguousRows("q_weights", weights);
    }

    /** The number of pairs. */
    private static long rows(Divergence call, String qName, Tensor q) {
        Checks.bothOrNone("p_rows", call.pRows, "q_rows", call.qRows);
        if (call.pRows == null) {
            if (q.size(0) != call.pLogits.size(0)) {
                throw Checks.wrong(
                        qName,
                        q,
                        call.pLogits.size(0)
                                + " rows, as p_logits is "
                                + call.pLogits
                                + " without p_rows and q_rows");
            }
            return call.pLogits.size(0);
        }
        Checks.requireInt("p_rows", call.pRows);
        Checks.requireRank("p_rows", call.pRows, 1, "[K]");
        Checks.requireInt("q_rows", call.qRows);
        Checks.requireVector("q_rows", call.qRows, call.pRows.size(0));
        return call.pRows.size(0);
    }

    private static void gradient(
            String name, Tensor gradient, String ofName, Tensor of, boolean detached) {
        if (gradient == null) {
            return;
        }
        if (detached) {
            throw new IllegalArgumentException(
                    name + " is wanted, expected " + ofName + " not detached");
        }
        if (gradient.dtype() != of.dtype() || !Arrays.equals(gradient.sizes(), of.sizes())) {
            throw Checks.wrong(name, gradient, of + ", as " + ofName);
        }
        Checks.requireContiguousRows(name, gradient);
    }

    private static void rowValues(String name, Tensor rows, long count) {
        boolean[] taken = new boolean[unread(rows) ? 0 : Math.toIntExact(count)];
        for (long k = 0; !unread(rows) && k < rows.elementCount(); k++) {
            long row = rows.loadLong(rows.offsetOf(k));
            if (row < 0 || row >= count) {
                throw new IllegalArgumentException(
                        name
                                + "["
                                + k
                                + "] is "
                                + row
                                + ", expected a number in [0,"
                                + count
                                + ")");
            }
            if (taken[(int) row]) {
                throw new IllegalArgumentException(
                        name + "[" + k + "] is " + row + " once more, expected no row twice");
            }
            taken[(int) row] = true;
        }
    }

    private static void weightValues(String name, Tensor weights) {
        for (long k = 0; !unread(weights) && k < weights.elementCount(); k++) {
            double weight = weights.loadDouble(weights.offsetOf(k));
            if (!(weight >= 0 && weight < Double.POSITIVE_INFINITY)) {
                throw new IllegalArgumentException(
                        name
                                + Checks.indexOf(k, weights)
                                + " is "
                                + weight
                                + ", expected a finite number >= 0");
            }
        }
    }

    /** Absent, or on a device, where reading would wait for it. */
    private static boolean unread(Tensor tensor) {
        return tensor == null || !tensor.device().isHost();
    }

    private static void positiveSums(Tensor weights) {
        if (unread(weights)) {
            return;
        }
        long columns = weights.size(1);
        for (long row = 0; row < weights.size(0); row++) {
            boolean positive = false;
            for (long k = 0; k < columns && !positive; k++) {
                positive = weights.loadDouble(weights.offsetOf(row * columns + k)) > 0;
            }
            if (!positive) {
                throw new IllegalArgumentException(
                        "q_weights row " + row + " sums to 0, expected a positive sum");
            }
        }
    }
}
