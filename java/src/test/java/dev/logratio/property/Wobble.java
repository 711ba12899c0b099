package dev.logratio.property;

import dev.logratio.Tensor;
import dev.logratio.property.PropertyCase.Output;

import java.util.ArrayList;
import java.util.List;

/**
 * Slack for calls that amplify rounding: at a kink, a tie or a threshold, and in exponentials. The
 * reference runs again on logits moved by what float32 loops may be off, and what that changes in
 * an output is no fault of a backend. The step is the same wherever a row lies, so that a row far
 * from 0 has no excuse of its own.
 */
final class Wobble {
    private static final double STEP = 2e-6;

    private Wobble() {}

    /**
     * Copies of [N,V] logits with every other column, or the first half of the columns, up or down
     * by a step in z.
     */
    static List<Tensor> moved(Draw draw, Tensor logits, double temperature) {
        List<Tensor> moved = new ArrayList<>();
        for (int sign : new int[] {1, -1}) {
            for (boolean half : new boolean[] {false, true}) {
                Tensor copy = draw.doubles(logits);
                for (long row = 0; row < copy.size(0); row++) {
                    for (long k = 0; k < copy.size(1); k++) {
                        boolean moves = half ? 2 * k < copy.size(1) : k % 2 == 0;
                        copy.setDouble(
                                copy.getDouble(row, k) + (moves ? sign * STEP * temperature : 0),
                                row,
                                k);
                    }
                }
                moved.add(copy);
            }
        }
        return moved;
    }

    /**
     * Adds the largest change of each value among the moved runs to its slack; what has no value
     * there adds none.
     */
    static List<Output> withSlack(List<Output> outputs, List<List<Output>> moved) {
        List<Output> withSlack = new ArrayList<>();
        for (int n = 0; n < outputs.size(); n++) {
            double[] values = outputs.get(n).values();
            double[] slack = outputs.get(n).slack().clone();
            for (List<Output> run : moved) {
                double[] others = run.get(n).values();
                for (int i = 0; i < slack.length; i++) {
                    double change = Math.abs(others[i] - values[i]);
                    slack[i] = Double.isFinite(change) ? Math.max(slack[i], change) : slack[i];
                }
            }
            withSlack.add(outputs.get(n).withSlack(slack));
        }
        return withSlack;
    }
}
