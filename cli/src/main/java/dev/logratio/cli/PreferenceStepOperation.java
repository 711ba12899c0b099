package dev.logratio.cli;

import dev.logratio.PreferenceStep;
import dev.logratio.StepMetrics;
import dev.logratio.cli.Values.Numbers;
import dev.logratio.loss.Loss;
import dev.logratio.loss.WeightedLoss;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** {@code preference_step}: the whole chain, logits to loss, gradient and metrics. */
final class PreferenceStepOperation extends Operation {
    private static final Input LOGITS = Input.required("logits", Elements.LOGITS, "2P,T,V");

    private static final Option LOSS_WEIGHTS = new Option("loss_weights", "1", new Numbers());
    private static final Option WPO = Option.choice("wpo", "off", "on");

    PreferenceStepOperation() {
        super(
                "preference_step",
                true,
                List.of(
                        LOGITS,
                        Input.required("labels", Elements.LABELS, "2P,T"),
                        Input.optional("mask", Elements.MASK, "2P,T"),
                        Input.of("reference_logps", Elements.FLOATS, Presence.ONE_REFERENCE, "2P"),
                        Input.of(
                                "reference_token_logps",
                                Elements.FLOATS,
                                Presence.ONE_REFERENCE,
                                "2P,T")),
                Stream.of(
                                Options.TOKEN,
                                Options.SEQUENCE,
                                List.of(Options.REFERENCE_FREE, LOSS_WEIGHTS, WPO))
                        .flatMap(List::stream)
                        .toList(),
                List.of(
                        Output.value("loss", "1"),
                        Output.value("losses", "P"),
                        Output.value("logps", "2P"),
                        Output.value("counts", "2P"),
                        Output.gradient(LOGITS),
                        Output.value("rewards_chosen", "1"),
                        Output.value("rewards_rejected", "1"),
                        Output.value("rewards_margin", "1"),
                        Output.value("rewards_accuracy", "1"),
                        Output.value("entropy", "1"),
                        Output.value("token_accuracy", "1"),
                        Output.value("logits_chosen", "1"),
                        Output.value("logits_rejected", "1"),
                        Output.value("grad_norm", "1"),
                        Output.value("nonfinite", "1")));
    }

    @Override
    Class<? extends Loss> lossKind() {
        return Loss.OfStep.class;
    }

    @Override
    boolean takesSeveralLosses() {
        return true;
    }

    @Override
    void checkOptions(Settings settings) throws CaseException {
        Options.checkSequence(settings);
        List<Loss> losses = settings.losses(Map.of());
        if (settings.isGiven(LOSS_WEIGHTS)
                && Numbers.parse(settings.text(LOSS_WEIGHTS)).length != losses.size()) {
            throw new CaseException(
                    "loss_weights is "
                            + Text.quoted(settings.text(LOSS_WEIGHTS))
                            + ", expected as many numbers as losses, "
                            + losses.size());
        }
        for (Loss loss : losses) {
            if (((Loss.OfStep) loss).dividesByLength()
                    && settings.text(Options.REDUCTION).equals("mean")) {
                throw new CaseException(
                        "reduction is \"mean\", expected sum as loss "
                                + loss.id()
                                + " divides by length itself");
            }
            if (settings.isOn(WPO) && loss instanceof Loss.Paired paired && paired.ofRanks()) {
                throw new CaseException(
                        "wpo is \"on\", expected off as the losses of "
                                + loss.id()
                                + " belong to ranks, not to pairs");
            }
        }
    }

    private static List<WeightedLoss> terms(Call call) {
        Settings settings = call.settings();
        double[] weights =
                settings.isGiven(LOSS_WEIGHTS) ? Numbers.parse(settings.text(LOSS_WEIGHTS)) : null;
        List<WeightedLoss> terms = new ArrayList<>();
        for (Loss loss : call.losses()) {
            terms.add(
                    new WeightedLoss(
                            (Loss.OfStep) loss, weights == null ? 1 : weights[terms.size()]));
        }
        return terms;
    }

    @Override
    void run(Call call) {
        PreferenceStep step =
                PreferenceStep.of(terms(call), call.in("logits"), call.in("labels"))
                        .tokenOptions(Options.token(call.settings()))
                        .sequenceOptions(Options.sequence(call.settings()))
                        .wpo(call.settings().isOn(WPO))
                        .mask(call.in("mask"))
                        .referenceLogps(call.in("reference_logps"))
                        .referenceTokenLogps(call.in("reference_token_logps"))
                        .losses(call.out("losses"))
                        .logps(call.out("logps"))
                        .counts(call.out("counts"))
                        .gradLogits(call.out("grad_logits"));
        if (call.in("reference_logps") == null && call.in("reference_token_logps") == null) {
            step.referenceFree();
        }
        StepMetrics metrics = step.run(call.backend());
        call.out("loss").fill(metrics.loss());
        call.out("rewards_chosen").fill(metrics.rewardsChosen());
        call.out("rewards_rejected").fill(metrics.rewardsRejected());
        call.out("rewards_margin").fill(metrics.rewardsMargin());
        call.out("rewards_accuracy").fill(metrics.rewardsAccuracy());
        call.out("entropy").fill(metrics.entropy());
        call.out("token_accuracy").fill(metrics.tokenAccuracy());
        call.out("logits_chosen").fill(metrics.logitsChosen());
        call.out("logits_rejected").fill(metrics.logitsRejected());
        call.out("grad_norm").fill(metrics.gradNorm());
        call.out("nonfinite").fill(metrics.nonfinite());
    }
}
