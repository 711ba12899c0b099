package dev.logratio.bench;

import dev.logratio.bench.report.Measurement;
import dev.logratio.bench.report.Median;
import dev.logratio.bench.report.NoiseBand;

import java.util.List;
import java.util.function.ToDoubleFunction;

/**
 * The rounds of a case on one input; another pass takes memory of its own.
 *
 * @param input the input in words
 * @param logitsBytes of the logits; 0 where bandwidth is no bound
 * @param rounds the rounds
 * @param cachedSeconds what the arithmetic of the case takes from the cache; 0 if not measured
 */
record Pass(String input, long logitsBytes, List<Round> rounds, double cachedSeconds) {
    /** Times in seconds, libtorch's brought to the whole input; 0 for probes that do not run. */
    record Round(double libtorch, double update, double read, double ours) {
        double timesLibtorch() {
            return libtorch / ours;
        }

        double shareOf(Limit limit) {
            return limit.seconds(read, update) / ours;
        }
    }

    /** The figures of a case: medians over the rounds of all passes. */
    static Measurement summary(CaseSpec spec, List<Pass> passes) {
        Limit limit = spec.limit();
        boolean bounded = spec.bounded();
        double bytes = passes.getFirst().logitsBytes;
        boolean cached = bounded && passes.getFirst().cachedSeconds > 0;
        return new Measurement(
                spec.name(),
                passes.getFirst().input,
                passes.stream().mapToInt(pass -> pass.rounds.size()).sum(),
                median(passes, Round::ours),
                median(passes, Round::libtorch),
                median(passes, Round::timesLibtorch),
                band(passes, Round::timesLibtorch),
                bounded ? median(passes, round -> round.shareOf(limit)) : null,
                bounded ? band(passes, round -> round.shareOf(limit)) : null,
                cached ? shareOfCachedSpeed(passes) : null,
                bounded ? limit.traffic(bytes) : null,
                bounded ? bytes / median(passes, Round::read) : null,
                bounded
                        ? Bandwidth.UPDATE.traffic(1) * bytes / median(passes, Round::update)
                        : null);
    }

    /** Within a pass, as the other ratios are within a round. */
    private static double shareOfCachedSpeed(List<Pass> passes) {
        return Median.of(
                passes.stream()
                        .mapToDouble(
                                pass -> pass.cachedSeconds / median(List.of(pass), Round::ours))
                        .toArray());
    }

    private static double median(List<Pass> passes, ToDoubleFunction<Round> figure) {
        return Median.of(
                passes.stream()
                        .flatMap(pass -> pass.rounds.stream())
                        .mapToDouble(figure)
                        .toArray());
    }

    private static Double band(List<Pass> passes, ToDoubleFunction<Round> figure) {
        return NoiseBand.of(
                passes.stream()
                        .map(pass -> pass.rounds.stream().mapToDouble(figure).toArray())
                        .toList());
    }
}
