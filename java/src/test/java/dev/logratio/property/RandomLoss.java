package dev.logratio.property;

import dev.logratio.internal.Interval;
import dev.logratio.internal.Option;
import dev.logratio.internal.Options;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Losses;

import java.util.HashMap;
import java.util.Map;

/** Losses of the catalogue, each as likely, with options anywhere in their ranges. */
final class RandomLoss {
    private RandomLoss() {}

    static <T extends Loss> T drawn(Draw draw, Class<T> kind) {
        T defaults = Losses.of(kind, draw.oneOf(Losses.ids(kind)), Map.of());
        Map<String, String> options = new HashMap<>();
        for (Option option : Options.of(defaults.getClass().asSubclass(Record.class))) {
            if (draw.chance(.6)) {
                options.put(
                        option.name(),
                        option.words().isEmpty()
                                ? Double.toString(number(draw, option.range()))
                                : word(draw, option));
            }
        }
        return Losses.of(kind, defaults.id(), options);
    }

    /**
     * The guard that warns computes what the one that does nothing computes, and writes to the log.
     */
    private static String word(Draw draw, Option option) {
        return draw.oneOf(option.words().stream().filter(value -> !value.equals("warn")).toList());
    }

    private static double number(Draw draw, Interval range) {
        if (range.lower() == Double.NEGATIVE_INFINITY) {
            return draw.chance(.1) ? 0 : draw.between(-1, 2);
        }
        if (range.lowerIncluded() && draw.chance(.2)) {
            return range.lower();
        }
        double width = .98 * (range.upper() - range.lower());
        if (width == Double.POSITIVE_INFINITY) {
            return range.lower() + draw.magnitude(.01, 3);
        }
        return range.lower()
                + (range.lowerIncluded() ? draw.between(0, width) : draw.magnitude(1e-6, width));
    }
}
