package dev.logratio.cli;

import dev.logratio.loss.DlrmlShape;
import dev.logratio.loss.DlrmlShape.Interval;
import dev.logratio.loss.DlrmlShape.Point;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Collectors;

/** {@code logratio shape}: what dlrml looks like for given options. */
@Command(
        name = "shape",
        mixinStandardHelpOptions = true,
        description = {
            "Prints where dlrml has its minimum and maximum as a function of rho, the log-ratio of"
                    + " chosen over rejected sequence,",
            "policy against reference, and where it is not convex. discopop is the case beta_kl ="
                    + " beta_mix."
        })
final class ShapeCommand implements Runnable {
    @Spec private CommandSpec spec;

    @CommandLine.Option(
            names = "--beta-kl",
            paramLabel = "X",
            defaultValue = "0.05",
            description = "> 0; default ${DEFAULT-VALUE}")
    private double betaKl;

    @CommandLine.Option(
            names = "--beta-mix",
            paramLabel = "X",
            defaultValue = "0.20",
            description = "default ${DEFAULT-VALUE}")
    private double betaMix;

    @CommandLine.Option(
            names = "--tau",
            paramLabel = "X",
            defaultValue = "0.05",
            description = "> 0; default ${DEFAULT-VALUE}")
    private double tau;

    @CommandLine.Option(
            names = "--png",
            paramLabel = "FILE",
            description = "draw loss and gradient beside dpo and discopop")
    private String png;

    @Override
    public void run() {
        DlrmlShape shape;
        try {
            shape = DlrmlShape.of(betaKl, betaMix, tau);
        } catch (IllegalArgumentException e) {
            throw new ParameterException(spec.commandLine(), e.getMessage());
        }
        if (png != null) {
            draw(shape);
        }
        print(shape, spec.commandLine().getOut());
    }

    private void draw(DlrmlShape shape) {
        try {
            ShapeChart.write(shape, Path.of(png));
        } catch (IOException | InvalidPathException e) {
            throw new ParameterException(
                    spec.commandLine(), "--png " + png + " cannot be written: " + Text.reason(e));
        } catch (NoClassDefFoundError e) {
            throw new ParameterException(
                    spec.commandLine(), "--png needs org.knowm.xchart:xchart on the class path");
        }
    }

    private static void print(DlrmlShape shape, PrintWriter out) {
        line(
                out,
                "dlrml",
                "beta_kl "
                        + shape.betaKl()
                        + ", beta_mix "
                        + shape.betaMix()
                        + ", tau "
                        + shape.tau());
        line(out, "c", number("%.6g", shape.c()) + " = beta_kl*tau/beta_mix");
        line(out, "start gradient", number("%+.4f", shape.startGradient()) + " at rho = 0");
        line(out, "local minimum", point(shape.minimum()));
        line(out, "local maximum", point(shape.maximum()));
        line(out, "barrier", number("%.4f", shape.barrier()));
        line(out, "not convex", intervals(shape.nonConvex()));
        out.println(shape.verdict());
    }

    private static void line(PrintWriter out, String name, String value) {
        out.println(String.format("%-15s %s", name, value));
    }

    private static String point(Optional<Point> point) {
        return point.map(
                        p ->
                                "rho = "
                                        + number("%.4f", p.rho())
                                        + ", loss "
                                        + number("%.4f", p.loss()))
                .orElse("none");
    }

    private static String intervals(List<Interval> intervals) {
        return intervals.isEmpty()
                ? "nowhere"
                : intervals.stream()
                        .map(
                                i ->
                                        "rho in ("
                                                + number("%.5f", i.from())
                                                + ", "
                                                + number("%.5f", i.to())
                                                + ")")
                        .collect(Collectors.joining(" and "));
    }

    private static String number(String format, double value) {
        return String.format(Locale.ROOT, format, value);
    }
}
