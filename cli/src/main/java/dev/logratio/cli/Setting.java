package dev.logratio.cli;

import dev.logratio.internal.Interval;
import dev.logratio.internal.Option;
import dev.logratio.internal.check.StepOptions;

import java.util.Arrays;
import java.util.List;
import java.util.function.Predicate;

/**
 * An option of an operation: one row of the table that both the checks and {@code --list} read.
 *
 * @param expected what it may be, to follow "expected"
 * @param accepts whether a text is that
 */
record Setting(String name, String defaultText, String expected, Predicate<String> accepts) {
    static final Setting REFERENCE_FREE = flag("reference_free");
    static final Setting WPO = of(new Option("wpo", List.of("off", "on", "capped"), null, "off"));
    static final Setting TOKEN_COUNT =
            of(new Option("token_count", List.of(), StepOptions.TOKEN_COUNT, "the batch's own"));

    /** One number for each of several losses. */
    static final Setting LOSS_WEIGHTS =
            new Setting(
                    "loss_weights",
                    "1",
                    "finite numbers with commas between them",
                    text -> Arrays.stream(text.split(",", -1)).allMatch(Setting::isNumber));

    private static final String VOCAB = "vocab";

    /** An option of a record. Of the columns, text has no word for all. */
    static Setting of(Option option) {
        if (option.name().equals(VOCAB)) {
            return new Setting(
                    VOCAB,
                    "V",
                    "an integer from 1 to V",
                    text -> option.accepts(text) && Long.parseLong(text) >= 1);
        }
        return new Setting(option.name(), option.defaultText(), option.expected(), option::accepts);
    }

    private static Setting flag(String name) {
        return of(new Option(name, List.of("off", "on"), null, "off"));
    }

    private static boolean isNumber(String text) {
        return new Option("", List.of(), Interval.FINITE, "").accepts(text);
    }

    /** The numbers of a text that is accepted as some. */
    static double[] numbers(String text) {
        return Arrays.stream(text.split(",")).mapToDouble(Double::parseDouble).toArray();
    }
}
