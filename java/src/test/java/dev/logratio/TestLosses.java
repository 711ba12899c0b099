package dev.logratio;

import dev.logratio.PairRun.Batch;
import dev.logratio.internal.Interval;
import dev.logratio.internal.Option;
import dev.logratio.internal.Options;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.FDivergence;
import dev.logratio.loss.Guard;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Losses;
import dev.logratio.loss.Sigmoid;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.Stream;

/**
 * The losses that suites go through, derived from the records: each with its defaults, with every
 * combination of its words and other numbers, and with numbers at a bound of their range. A new
 * loss is among them without a line here.
 */
final class TestLosses {
    private TestLosses() {}

    /** The paired losses of the catalogue, and options at which they take another branch. */
    static List<Loss.Paired> all() {
        List<Loss.Paired> losses = new ArrayList<>(all(Loss.Paired.class));
        losses.add(new Dlrml(.6, .01, .15).withGuard(Guard.CLAMP)); // beta_mix < tau*beta_kl
        losses.add(new Dlrml(.6, -.1, .15));
        losses.add(new Sigmoid(.7, .2, new FDivergence.Alpha(2.5)));
        losses.add(new Sigmoid(.7, .2, new FDivergence.Alpha(1 + 1e-9))); // all but reverse KL
        return losses;
    }

    static <T extends Loss> List<T> all(Class<T> kind) {
        return Losses.ids(kind).stream().flatMap(id -> variants(kind, id)).toList();
    }

    static <T extends Loss> Stream<T> withDefaults(Class<T> kind) {
        return Losses.ids(kind).stream().map(id -> Losses.of(kind, id, Map.of()));
    }

    private static <T extends Loss> Stream<T> variants(Class<T> kind, String id) {
        T defaults = Losses.of(kind, id, Map.of());
        List<Option> options = Options.of(defaults.getClass().asSubclass(Record.class));
        List<Map<String, String>> variants = combinations(options);
        for (Map<String, String> variant : variants) {
            SplittableRandom random = new SplittableRandom((id + variant).hashCode());
            for (Option option : options) {
                if (option.range() != null) {
                    double number = drawn(option.range(), random);
                    variant.put(option.name(), Double.toString(number));
                }
            }
        }
        Map<String, String> numbers = variants.getFirst();
        for (Option option : options) {
            bounds(option)
                    .forEach(
                            bound -> {
                                Map<String, String> variant = new HashMap<>(numbers);
                                variant.put(option.name(), bound);
                                variants.add(variant);
                            });
        }
        return Stream.concat(Stream.of(Map.<String, String>of()), variants.stream())
                .map(variant -> Losses.of(kind, id, variant));
    }

    /** Each word of an option with each of the others. */
    private static List<Map<String, String>> combinations(List<Option> options) {
        List<Map<String, String>> all = new ArrayList<>(List.of(new HashMap<>()));
        for (Option option : options) {
            if (!option.words().isEmpty()) {
                List<Map<String, String>> more = new ArrayList<>();
                for (Map<String, String> some : all) {
                    for (String word : option.words()) {
                        if (!word.equals("warn")) { // which computes what none does, and logs
                            Map<String, String> with = new HashMap<>(some);
                            with.put(option.name(), word);
                            more.add(with);
                        }
                    }
                }
                all = more;
            }
        }
        return all;
    }

    /** A number of a range at which a loss of log-ratios of about 1 shows all its parts. */
    private static double drawn(Interval range, SplittableRandom random) {
        double low = Math.max(range.lower(), -.6);
        double high = Math.min(range.upper(), low + 1.5);
        return random.nextDouble(low + .2 * (high - low), high - .1 * (high - low));
    }

    /** The bounds that a number may be. */
    private static Stream<String> bounds(Option option) {
        Interval range = option.range();
        return range == null
                ? Stream.of()
                : Stream.of(range.lower(), range.upper())
                        .filter(range::contains)
                        .map(bound -> Double.toString(bound));
    }

    /** A loss with other numbers. */
    static Loss.Paired with(Loss.Paired loss, Map<String, String> options) {
        return (Loss.Paired) Options.with((Record) loss, options);
    }

    /** Whether a pair's loss depends on other pairs, as the oracle has it. */
    static boolean ofTheBatch(Loss.Paired loss) {
        double[][] logps = {{-2, -9, -3}, {-4, -10, -2}, {-3, -12, -2}, {-5, -11, -4}};
        double before = firstLoss(loss, logps);
        for (int side : new int[] {0, 1}) {
            for (double change : new double[] {8, -16}) {
                logps[side][1] += change;
                if (firstLoss(loss, logps) != before) {
                    return true;
                }
            }
            logps[side][1] += 8;
        }
        return false;
    }

    private static double firstLoss(Loss.Paired loss, double[][] logps) {
        return PairRun.of(Backend.reference(), loss, Batch.of(logps)).losses()[0];
    }
}
