package dev.logratio.internal.reference;

import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.Engine;

/** Plain float64 loops, written from the definitions for reading, not for speed. */
public final class ReferenceBackend extends Engine {
    public static final ReferenceBackend INSTANCE = new ReferenceBackend();

    private ReferenceBackend() {
        super("reference");
    }

    @Override
    public String detail() {
        return "float64 in Java";
    }

    @Override
    public boolean isReference() {
        return true;
    }

    @Override
    public boolean checksValues() {
        return false;
    }

    @Override
    public void execute(Call call) {
        switch (call.signature()) {
            case TOKEN_LOGPROBS -> TokenRow.forward(call);
            case TOKEN_LOGPROBS_BACKWARD -> TokenRow.backward(call);
            case SEQUENCE_LOGPS -> Sequence.run(call);
            case PAIR_LOSS -> PairLosses.run(call);
            case UNPAIRED_LOSS -> UnpairedLosses.run(call);
            case PREFERENCE_STEP -> call.metrics(new Step(call).run());
            case UNPAIRED_STEP -> call.metrics(new ExampleStep(call).run());
            case LINEAR_TOKEN_LOGPROBS, LINEAR_PREFERENCE_STEP, LINEAR_UNPAIRED_STEP ->
                    call.metrics(Linear.run(call));
            case DIVERGENCE -> Divergence.run(call);
            case SCORING_RULE -> ScoringRule.run(call);
        }
    }
}
