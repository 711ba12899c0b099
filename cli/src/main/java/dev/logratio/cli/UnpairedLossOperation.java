package dev.logratio.cli;

import dev.logratio.UnpairedLoss;
import dev.logratio.loss.Loss;

import java.util.Collection;
import java.util.List;

/** {@code unpaired_loss}: log-probs of single examples to losses and gradients. */
final class UnpairedLossOperation extends Operation {
    private static final Input POLICY_LOGPS = Input.required("policy_logps", Elements.FLOATS, "B");
    private static final Input REFERENCE_LOGPS =
            Input.required("reference_logps", Elements.FLOATS, "B");
    private static final Input KL_POLICY_LOGPS =
            Input.of("kl_policy_logps", Elements.FLOATS, Presence.OF_KTO, "C");
    private static final Input KL_REFERENCE_LOGPS =
            Input.of("kl_reference_logps", Elements.FLOATS, Presence.OF_KTO, "C");

    UnpairedLossOperation() {
        super(
                "unpaired_loss",
                true,
                List.of(
                        POLICY_LOGPS,
                        REFERENCE_LOGPS,
                        Input.required("chosen", Elements.FLAGS, "B"),
                        KL_POLICY_LOGPS,
                        KL_REFERENCE_LOGPS,
                        Input.optional("grad_loss", Elements.FLOATS, "B")
                                .orElse("1/B, the gradient of the mean")),
                List.of(),
                List.of(
                        Output.value("loss", "B"),
                        Output.value("rewards", "B"),
                        Output.value("kl", "1"),
                        Output.gradient(POLICY_LOGPS),
                        Output.gradient(REFERENCE_LOGPS)));
    }

    @Override
    Class<? extends Loss> lossKind() {
        return Loss.Unpaired.class;
    }

    @Override
    void checkInputs(Collection<String> given) throws CaseException {
        boolean policy = given.contains(KL_POLICY_LOGPS.name());
        boolean reference = given.contains(KL_REFERENCE_LOGPS.name());
        if (policy != reference) {
            Input there = policy ? KL_POLICY_LOGPS : KL_REFERENCE_LOGPS;
            Input missing = policy ? KL_REFERENCE_LOGPS : KL_POLICY_LOGPS;
            throw new CaseException(
                    "tensor "
                            + missing.name()
                            + " is missing, expected it as "
                            + there.name()
                            + " is there");
        }
    }

    @Override
    void run(Call call) {
        UnpairedLoss.of(
                        (Loss.Unpaired) call.loss(),
                        call.in("policy_logps"),
                        call.in("reference_logps"),
                        call.in("chosen"))
                .klLogps(call.in("kl_policy_logps"), call.in("kl_reference_logps"))
                .gradLoss(call.in("grad_loss"))
                .losses(call.out("loss"))
                .rewards(call.out("rewards"))
                .kl(call.out("kl"))
                .gradPolicy(call.out("grad_policy_logps"))
                .gradReference(call.out("grad_reference_logps"))
                .run(call.backend());
    }
}
