package dev.logratio.trainers.quickstart;

import dev.logratio.loss.DiscoPop;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.DlrmlShape;
import dev.logratio.loss.DlrmlShape.Point;
import dev.logratio.loss.Loss;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** The table at the end, and a sentence on each loss that can trap. */
final class Report {
    private static final List<String> HEADINGS =
            List.of(
                    "run",
                    "loss",
                    "reward margin",
                    "reward accuracy",
                    "chosen likelier",
                    "trapped",
                    "KL to reference",
                    "non-finite steps",
                    "ms per step",
                    "in the loss");

    private Report() {}

    static String table(List<RunResult> runs) {
        List<List<String>> rows = new ArrayList<>();
        rows.add(HEADINGS);
        for (RunResult run : runs) {
            Evaluation result = run.heldOut();
            rows.add(
                    List.of(
                            run.name(),
                            format("%.4f", result.loss()),
                            format("%.3f", result.margin()),
                            format("%.3f", result.accuracy()),
                            format("%.3f", result.likelier()),
                            Double.isNaN(result.trapped())
                                    ? "n/a"
                                    : format("%.3f", result.trapped()),
                            format("%.2f", run.kl()),
                            format("%.3f", run.nonFiniteShare()),
                            format("%.1f", run.stepMillis()),
                            format("%.1f %%", 100 * run.lossShare())));
        }
        StringBuilder text = new StringBuilder();
        for (List<String> row : rows) {
            for (int column = 0; column < row.size(); column++) {
                int width = width(rows, column);
                text.append(
                        format(
                                column == 0 ? "%-" + width + "s" : "  %" + width + "s",
                                row.get(column)));
            }
            text.append('\n');
        }
        return text.toString();
    }

    private static int width(List<List<String>> rows, int column) {
        return rows.stream().mapToInt(row -> row.get(column).length()).max().orElseThrow();
    }

    /** The stationary points that theory gives the loss, and where the run's pairs lie. */
    static String shapeSentence(RunResult run) {
        if (run.minimum().isEmpty()) {
            return format(
                    "%s has no stationary point: it falls as rho grows, from any start.",
                    run.name());
        }
        DlrmlShape shape = run.shape().orElseThrow();
        Point minimum = run.minimum().orElseThrow();
        Point maximum = run.maximum().orElseThrow();
        String theory =
                format(
                        "%s %s has a local minimum at rho = %.4f (loss %.4f) and a local maximum at"
                            + " rho = %.4f (loss %.4f); its slope at the start, rho = 0, is %+.4f,"
                            + " so descent first moves %s.",
                        run.name(),
                        parameters(run.loss()),
                        minimum.rho(),
                        minimum.loss(),
                        maximum.rho(),
                        maximum.loss(),
                        shape.startGradient(),
                        shape.startGradient() > 0 ? "down, into the minimum" : "up");
        return theory
                + format(
                        " Observed: median rho %.3f on training pairs (%.0f %% within 10 %% of the"
                            + " minimum, %.0f %% past the maximum) and %.3f on held-out pairs (%.0f"
                            + " %%, %.0f %%).",
                        median(run.trainingRho()),
                        100 * trapped(minimum, run.trainingRho()),
                        100 * past(maximum, run.trainingRho()),
                        median(run.heldOut().rho()),
                        100 * trapped(minimum, run.heldOut().rho()),
                        100 * past(maximum, run.heldOut().rho()));
    }

    private static String parameters(Loss.Paired loss) {
        return switch (loss) {
            case Dlrml dlrml ->
                    format(
                            "(beta_kl %s, beta_mix %s, tau %s)",
                            dlrml.betaKl(), dlrml.betaMix(), dlrml.tau());
            case DiscoPop discoPop -> format("(beta %s, tau %s)", discoPop.beta(), discoPop.tau());
            default -> format("(beta %s)", loss.beta());
        };
    }

    private static double trapped(Point minimum, double[] rho) {
        return (double) Arrays.stream(rho).filter(value -> Evaluation.isAt(minimum, value)).count()
                / rho.length;
    }

    private static double past(Point maximum, double[] rho) {
        return (double) Arrays.stream(rho).filter(value -> value > maximum.rho()).count()
                / rho.length;
    }

    static double median(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        int middle = sorted.length / 2;
        return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }

    /** One notation for numbers wherever the program runs. */
    static String format(String pattern, Object... values) {
        return String.format(Locale.ROOT, pattern, values);
    }
}
