package dev.logratio.cli;

import dev.logratio.ScoringRule;
import dev.logratio.ScoringRuleOptions;
import dev.logratio.ScoringRuleOptions.Normalisation;
import dev.logratio.ScoringRuleOptions.Rule;
import dev.logratio.cli.Values.Range;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** {@code scoring_rule}: strictly proper scoring rules as token losses. */
final class ScoringRuleOperation extends Operation {
    private static final Input LOGITS = Input.required("logits", Elements.LOGITS, "N,V");

    private static final Option RULE =
            Option.required(
                    "rule", Arrays.stream(Rule.values()).map(Rule::id).toArray(String[]::new));
    private static final Option ALPHA = Option.number("alpha", "2", Range.POSITIVE);
    private static final Option NORMALISATION = Option.choice("normalisation", "selten", "jnw");
    private static final Option EPSILON = Option.number("epsilon", "0", Range.UNIT_BELOW_ONE);
    private static final Option MASKED_LOG = Option.choice("masked_log", "off", "on");

    /** Its default is a word: the number of columns. */
    private static final Option VOCAB = new Option("vocab", "V", new Values.Whole());

    ScoringRuleOperation() {
        super(
                "scoring_rule",
                false,
                List.of(
                        LOGITS,
                        Input.required("labels", Elements.LABELS, "N"),
                        Input.optional("grad_loss", Elements.FLOATS, "N")
                                .orElse("1 over the rows not ignored, the gradient of the loss")),
                List.of(
                        RULE,
                        ALPHA,
                        NORMALISATION,
                        EPSILON,
                        MASKED_LOG,
                        VOCAB,
                        Options.IGNORE_INDEX),
                List.of(
                        Output.value("values", "N"),
                        Output.value("loss", "1"),
                        Output.gradient(LOGITS)));
    }

    @Override
    void checkOptions(Settings settings) throws CaseException {
        if (!isAllColumns(settings) && settings.whole(VOCAB) < 1) {
            throw new CaseException(
                    "vocab is "
                            + Text.quoted(settings.text(VOCAB))
                            + ", expected an integer from 1 to V");
        }
        try {
            options(settings);
        } catch (IllegalArgumentException e) {
            throw new CaseException(e.getMessage());
        }
    }

    @Override
    void checkShapes(Settings settings, Dimensions dimensions) throws CaseException {
        if (!isAllColumns(settings) && settings.whole(VOCAB) > dimensions.size("V")) {
            throw new CaseException(
                    "vocab is "
                            + Text.quoted(settings.text(VOCAB))
                            + ", expected at most the "
                            + dimensions.size("V")
                            + " columns of logits");
        }
    }

    @Override
    void run(Call call) {
        ScoringRule.of(call.in("logits"), call.in("labels"))
                .options(options(call.settings()))
                .gradLoss(call.in("grad_loss"))
                .values(call.out("values"))
                .loss(call.out("loss"))
                .gradLogits(call.out("grad_logits"))
                .run(call.backend());
    }

    private static boolean isAllColumns(Settings settings) {
        return settings.text(VOCAB).equals(VOCAB.defaultText());
    }

    private static ScoringRuleOptions options(Settings settings) {
        return new ScoringRuleOptions(
                Rule.valueOf(settings.text(RULE).toUpperCase(Locale.ROOT)),
                settings.number(ALPHA),
                Normalisation.valueOf(settings.text(NORMALISATION).toUpperCase(Locale.ROOT)),
                settings.number(EPSILON),
                settings.text(MASKED_LOG).equals("on"),
                isAllColumns(settings) ? 0 : settings.whole(VOCAB),
                settings.whole(Options.IGNORE_INDEX));
    }
}
