package dev.logratio.cli;

import dev.logratio.SequenceLogps;

import java.util.List;

/** {@code sequence_logps}: token log-probs to sequence log-probs. */
final class SequenceLogpsOperation extends Operation {
    private static final Input TOKEN_LOGPS = Input.required("token_logps", Elements.FLOATS, "B,T");

    SequenceLogpsOperation() {
        super(
                "sequence_logps",
                false,
                List.of(
                        TOKEN_LOGPS,
                        Input.required("mask", Elements.MASK, "B,T"),
                        Input.optional("grad_logps", Elements.FLOATS, "B")),
                Options.SEQUENCE,
                List.of(
                        Output.value("logps", "B"),
                        Output.value("counts", "B"),
                        Output.gradient(TOKEN_LOGPS, "grad_logps")));
    }

    @Override
    void checkOptions(Settings settings) throws CaseException {
        Options.checkSequence(settings);
    }

    @Override
    void checkShapes(Settings settings, Dimensions dimensions) throws CaseException {
        if (settings.number(Options.TAIL_WEIGHT) < 1 && dimensions.size("B") % 2 != 0) {
            throw new CaseException(
                    "token_logps has "
                            + dimensions.size("B")
                            + " rows, expected an even number with a tail_weight below 1: chosen"
                            + " rows, then as many rejected");
        }
    }

    @Override
    void run(Call call) {
        SequenceLogps.of(call.in("token_logps"), call.in("mask"))
                .sequenceOptions(Options.sequence(call.settings()))
                .gradLogps(call.in("grad_logps"))
                .logps(call.out("logps"))
                .counts(call.out("counts"))
                .gradTokenLogps(call.out("grad_token_logps"))
                .run(call.backend());
    }
}
