package dev.logratio.cli;

import dev.logratio.SequenceOptions;
import dev.logratio.SequenceOptions.Align;
import dev.logratio.SequenceOptions.Reduction;
import dev.logratio.TokenOptions;
import dev.logratio.cli.Values.Range;

import java.util.List;
import java.util.Locale;

/** The options that several operations share. */
final class Options {
    static final Option IGNORE_INDEX =
            Option.whole("ignore_index", TokenOptions.DEFAULT.ignoreIndex());
    static final Option TEMPERATURE = Option.number("temperature", "1", Range.POSITIVE);
    static final Option SOFTCAP = Option.number("softcap", "0", Range.NOT_NEGATIVE);
    static final List<Option> TOKEN = List.of(IGNORE_INDEX, TEMPERATURE, SOFTCAP);

    static final Option REDUCTION = Option.choice("reduction", "sum", "mean");
    static final Option TAIL_WEIGHT = Option.number("tail_weight", "1", Range.UNIT);
    static final Option ALIGN = Option.choice("align", "completion", "absolute");
    static final Option KEEP_FRACTION = Option.number("keep_fraction", "1", Range.UNIT_ABOVE_ZERO);
    static final List<Option> SEQUENCE = List.of(REDUCTION, TAIL_WEIGHT, ALIGN, KEEP_FRACTION);

    static final Option REFERENCE_FREE = Option.choice("reference_free", "off", "on");

    private Options() {}

    static TokenOptions token(Settings settings) {
        return new TokenOptions(
                settings.whole(IGNORE_INDEX),
                settings.number(TEMPERATURE),
                settings.number(SOFTCAP));
    }

    static SequenceOptions sequence(Settings settings) {
        return new SequenceOptions(
                Reduction.valueOf(settings.text(REDUCTION).toUpperCase(Locale.ROOT)),
                settings.number(TAIL_WEIGHT),
                Align.valueOf(settings.text(ALIGN).toUpperCase(Locale.ROOT)),
                settings.number(KEEP_FRACTION));
    }

    /** Refuses a keep_fraction where there is no shared set to shorten. */
    static void checkSequence(Settings settings) throws CaseException {
        if (settings.number(TAIL_WEIGHT) == 1 && settings.number(KEEP_FRACTION) != 1) {
            throw new CaseException(
                    "keep_fraction is "
                            + Text.quoted(settings.text(KEEP_FRACTION))
                            + ", expected it only with a tail_weight below 1");
        }
    }

    /** Why there is no reference, or null if there is one. */
    static String whyReferenceFree(Settings settings) {
        if (!settings.takesReference()) {
            return "loss " + settings.lossText() + " has no reference";
        }
        return settings.isOn(REFERENCE_FREE) ? "reference_free is on" : null;
    }
}
