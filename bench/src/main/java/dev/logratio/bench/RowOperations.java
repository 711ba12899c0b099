package dev.logratio.bench;

import dev.logratio.DivergenceKind;
import dev.logratio.ScoringRuleOptions;
import dev.logratio.ScoringRuleOptions.Normalisation;
import dev.logratio.ScoringRuleOptions.Rule;

/**
 * What every benchmark of divergences and scoring rules takes for granted, on the CPU and on a GPU.
 */
public final class RowOperations {
    /** An order that no other rule has, and that takes no short cut. */
    private static final double GENERAL_ORDER = 1.7;

    private RowOperations() {}

    /**
     * How often the forward of a divergence has to read its rows.
     *
     * @param kind the divergence
     * @return 2 where the maths needs normalised probabilities first, else 1
     */
    public static int forwardReads(DivergenceKind kind) {
        return switch (kind) {
            case JS, L2, TVD, WASSERSTEIN1 -> 2;
            case SCE, JEFFREYS, KL_PQ, KL_QP, COSINE -> 1;
        };
    }

    /**
     * The options that a rule is measured with.
     *
     * @param rule the rule
     * @return its defaults, but for a general order where it has one
     */
    public static ScoringRuleOptions options(Rule rule) {
        ScoringRuleOptions defaults = ScoringRuleOptions.of(rule);
        return switch (rule) {
            case LOG, BRIER, SPHERICAL -> defaults;
            case POWER, PSEUDO_SPHERICAL -> defaults.withOrder(GENERAL_ORDER, Normalisation.SELTEN);
        };
    }
}
