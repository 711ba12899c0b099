package dev.logratio.property;

import dev.logratio.loss.Loss;
import dev.logratio.loss.Losses;
import dev.logratio.loss.OptionInfo;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Losses of the catalogue, each as likely, with options anywhere in their ranges. */
final class RandomLoss {
    private RandomLoss() {}

    static <T extends Loss> T drawn(Draw draw, Class<T> kind) {
        List<String> ids = Losses.ids(kind);
        String id = draw.oneOf(ids);
        Map<String, String> options = new HashMap<>();
        for (OptionInfo option : Losses.options(id)) {
            if (draw.chance(.6)) {
                options.put(
                        option.name(),
                        option.isNumber() ? number(draw, option) : word(draw, option));
            }
        }
        return Losses.of(kind, id, options);
    }

    /**
     * The guard that warns computes what the one that does nothing computes, and writes to the log.
     */
    private static String word(Draw draw, OptionInfo option) {
        return draw.oneOf(option.values().stream().filter(value -> !value.equals("warn")).toList());
    }

    private static String number(Draw draw, OptionInfo option) {
        double number =
                switch (option.range()) {
                    case "finite and > 0" -> draw.magnitude(.01, 3);
                    case "finite and >= 0" -> draw.chance(.2) ? 0 : draw.magnitude(.01, 3);
                    case "finite" -> draw.chance(.1) ? 0 : draw.between(-1, 2);
                    case "in [0,0.5)" -> draw.chance(.2) ? 0 : draw.between(0, .49);
                    case "in (0,0.5)" -> draw.magnitude(1e-6, .49);
                    default -> throw new AssertionError(option);
                };
        return Double.toString(number);
    }
}
