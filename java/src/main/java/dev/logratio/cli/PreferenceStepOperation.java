package dev.logratio.cli;

import dev.logratio.PreferenceStep;
import dev.logratio.StepMetrics;
import java.util.List;
import java.util.stream.Stream;

/** {@code preference_step}: the whole chain, logits to loss, gradient and metrics. */
final class PreferenceStepOperation extends Operation {
    private static final Input LOGITS = Input.required("logits", Elements.LOGITS, "2P,T,V");

    PreferenceStepOperation() {
        super(
                "preference_step",
                true,
                List.of(
                        LOGITS,
                        Input.required("labels", Elements.LABELS, "2P,T"),
                        Input.optional("mask", Elements.MASK, "2P,T"),
                        Input.of("reference_logps", Elements.FLOATS, Presence.ONE_REFERENCE, "2P"),
                        Input.of("reference_token_logps", Elements.FLOATS, Presence.ONE_REFERENCE, "2P,T")),
                Stream.of(Options.TOKEN, Options.SEQUENCE, List.of(Options.REFERENCE_FREE))
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
    void checkOptions(Settings settings) throws CaseException {
        Options.checkSequence(settings);
    }

    @Override
    void run(Call call) {
        StepMetrics metrics = PreferenceStep.of(call.loss(), call.in("logits"), call.in("labels"))
                .tokenOptions(Options.token(call.settings()))
                .sequenceOptions(Options.sequence(call.settings()))
                .mask(call.in("mask"))
                .referenceLogps(call.in("reference_logps"))
                .referenceTokenLogps(call.in("reference_token_logps"))
                .losses(call.out("losses"))
                .logps(call.out("logps"))
                .counts(call.out("counts"))
                .gradLogits(call.out("grad_logits"))
                .run(call.backend());
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
