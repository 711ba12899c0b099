package dev.logratio.cli;

import dev.logratio.cli.Values.Choice;
import dev.logratio.cli.Values.Number;
import dev.logratio.cli.Values.Range;
import dev.logratio.cli.Values.Whole;

/** An option of an operation: one row of the table that both the checks and {@code --list} read. */
record Option(String name, String defaultText, Values values) {
    /** What stands in the place of a default. */
    static final String REQUIRED = "required";

    /** Words; the first is the default. */
    static Option choice(String name, String... words) {
        return new Option(name, words[0], new Choice(words));
    }

    /** Words, of which a case has to choose one. */
    static Option required(String name, String... words) {
        return new Option(name, REQUIRED, new Choice(words));
    }

    /** Whether a case that does not give it is wrong. */
    boolean isRequired() {
        return defaultText.equals(REQUIRED);
    }

    static Option whole(String name, long defaultValue) {
        return new Option(name, Long.toString(defaultValue), new Whole());
    }

    static Option number(String name, String defaultText, Range range) {
        return new Option(name, defaultText, new Number(range));
    }
}
