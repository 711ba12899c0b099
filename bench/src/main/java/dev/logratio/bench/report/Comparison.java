package dev.logratio.bench.report;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.stream.Collectors;

/** The ratios of a run beside those of an earlier one, whose file {@code --json} has written. */
public final class Comparison {
    private final Path file;
    private final Report earlier;
    private final List<String> lines = new ArrayList<>();
    private int compared;
    private int fallen;

    private Comparison(Path file, Report earlier) {
        this.file = file;
        this.earlier = earlier;
    }

    /**
     * Reads an earlier run.
     *
     * @param here what the new run is measured on
     * @throws UnusableFileException if the file is no such run, was taken in another setting, or
     *     does not tell its noise
     */
    public static Comparison with(Path file, Machine here) throws IOException {
        Report earlier = Json.report(file);
        if (!earlier.machine().setting().equals(here.setting())) {
            throw new UnusableFileException(
                    file + " is of " + earlier.machine().setting() + "; this is " + here.setting());
        }
        if (!earlier.alternating().stream().allMatch(Comparison::tellsNoise)) {
            throw new UnusableFileException(
                    file
                            + " does not tell its noise: it needs "
                            + NoiseBand.LEAST_REPEATS
                            + " repeats or more");
        }
        return new Comparison(file, earlier);
    }

    private static boolean tellsNoise(Measurement row) {
        return row.timesLibtorchBand() != null
                && (row.shareOfLimit() == null || row.shareOfLimitBand() != null);
    }

    /**
     * Compares every case that both have, and says which one of them lacks.
     *
     * @param now of as many repeats as a noise band needs
     * @param wanted whether the new run was to measure a case of this name
     * @return false if a ratio fell by more than its noise band
     */
    public boolean compare(Report now, Predicate<String> wanted) {
        Map<String, Measurement> before = byName(earlier);
        Map<String, Measurement> after = byName(now);
        for (Measurement row : now.alternating()) {
            if (before.containsKey(row.name())) {
                compare(before.get(row.name()), row);
            } else {
                lines.add("only in this run: " + row.name());
            }
        }
        before.keySet().stream()
                .filter(name -> !after.containsKey(name))
                .sorted()
                .forEach(
                        name ->
                                lines.add(
                                        (wanted.test(name)
                                                        ? "only in the file: "
                                                        : "left out by --filter: ")
                                                + name));
        return fallen == 0;
    }

    private static Map<String, Measurement> byName(Report report) {
        return report.alternating().stream()
                .collect(
                        Collectors.toMap(
                                Measurement::name, Function.identity(), (first, second) -> first));
    }

    private void compare(Measurement before, Measurement after) {
        compare(
                before.name() + ", of limit",
                before.shareOfLimit(),
                after.shareOfLimit(),
                before.shareOfLimitBand(),
                after.shareOfLimitBand());
        compare(
                before.name() + ", x libtorch",
                before.timesLibtorch(),
                after.timesLibtorch(),
                before.timesLibtorchBand(),
                after.timesLibtorchBand());
    }

    /** The wider band counts: a run that was disturbed cannot tell less than that. */
    private void compare(String what, Double before, Double after, Double band, Double bandNow) {
        if (before == null && after == null) {
            return;
        }
        if (before == null || after == null) {
            lines.add("only " + (before == null ? "in this run: " : "in the file: ") + what);
            return;
        }
        compared++;
        double allowed =
                Math.max(Objects.requireNonNull(band, what), Objects.requireNonNull(bandNow, what));
        if (before - after > allowed) {
            fallen++;
            lines.add(
                    String.format(
                            Locale.ROOT,
                            "fell: %s from %.3f to %.3f, by %.3f (%.1f %%); the noise band is"
                                    + " %.3f",
                            what,
                            before,
                            after,
                            before - after,
                            100 * (before - after) / before,
                            allowed));
        }
    }

    /** What was found, in lines. */
    public List<String> lines() {
        List<String> all = new ArrayList<>(lines);
        all.add(
                String.format(
                        Locale.ROOT,
                        "beside %s (Logratio %s, %s), %s of %d ratios fell by more than the noise"
                                + " band",
                        file,
                        earlier.machine().version(),
                        earlier.machine().date(),
                        fallen == 0 ? "none" : Integer.toString(fallen),
                        compared));
        return all;
    }
}
