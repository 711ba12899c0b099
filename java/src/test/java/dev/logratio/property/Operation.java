package dev.logratio.property;

import java.util.function.Function;

/** The operations, and how a random call of each is drawn. */
enum Operation {
    TOKEN_LOGPROBS(TokenLogprobsCase::drawn),
    TOKEN_LOGPROBS_BACKWARD(TokenLogprobsBackwardCase::drawn),
    SEQUENCE_LOGPS(SequenceLogpsCase::drawn),
    PAIR_LOSS(PairLossCase::drawn),
    UNPAIRED_LOSS(UnpairedLossCase::drawn),
    PREFERENCE_STEP(PreferenceStepCase::drawn),
    UNPAIRED_STEP(UnpairedStepCase::drawn),
    DIVERGENCE(DivergenceCase::drawn),
    SCORING_RULE(ScoringRuleCase::drawn);

    private final Function<Draw, PropertyCase> cases;

    Operation(Function<Draw, PropertyCase> cases) {
        this.cases = cases;
    }

    PropertyCase drawn(Draw draw) {
        return cases.apply(draw);
    }
}
