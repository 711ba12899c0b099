package dev.logratio.bench;

import dev.logratio.DType;
import dev.logratio.DivergenceKind;
import dev.logratio.ScoringRuleOptions.Rule;
import dev.logratio.bench.TokenLogprobsCase.Pass;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Every case by name. */
final class Cases {
    /** The vocabulary of the headline figures. */
    static final int LARGE_VOCABULARY = 128_256;

    static final int PAIRS = 64;

    private static final int[] VOCABULARIES = {32_000, LARGE_VOCABULARY};

    private static final int[] LABELS_PER_ROW = {1, 16, 256};

    private Cases() {}

    static List<CaseSpec> all() {
        List<CaseSpec> specs = new ArrayList<>();
        for (Pass pass : Pass.values()) {
            for (DType dtype : List.of(DType.F32, DType.BF16)) {
                for (int columns : VOCABULARIES) {
                    specs.add(tokenLogprobs(pass, dtype, columns));
                }
            }
        }
        specs.add(pairLoss());
        for (DType dtype : List.of(DType.F32, DType.BF16)) {
            for (int perRow : LABELS_PER_ROW) {
                for (boolean hasTail : new boolean[] {false, true}) {
                    specs.add(severalLabels(perRow, hasTail, false, dtype));
                    specs.add(severalLabels(perRow, hasTail, true, dtype));
                }
            }
            specs.add(
                    new CaseSpec(
                            "token_logprobs of kept columns forward + backward in place "
                                    + suffix(dtype, LARGE_VOCABULARY),
                            Limit.UPDATE,
                            new LogitShape(dtype, 1, 1, LARGE_VOCABULARY),
                            (rows, columns, parts) ->
                                    new KeptColumnsCase(dtype, rows, columns, parts)));
            specs.add(preferenceStep("preference_step", false, dtype));
            specs.add(preferenceStep("preference_step packed", true, dtype));
            specs.add(
                    new CaseSpec(
                            "unpaired_step in place " + suffix(dtype, LARGE_VOCABULARY),
                            Limit.READ_THEN_UPDATE,
                            new LogitShape(dtype, 1, 2, LARGE_VOCABULARY),
                            (rows, columns, parts) ->
                                    new UnpairedStepCase(dtype, rows, columns, parts)));
        }
        for (int columns : VOCABULARIES) {
            for (DivergenceKind kind : DivergenceKind.values()) {
                specs.add(divergence(kind, columns));
            }
            for (Rule rule : Rule.values()) {
                specs.add(scoringRule(rule, columns));
            }
        }
        return specs;
    }

    private static CaseSpec severalLabels(
            int perRow, boolean hasTail, boolean hasBackward, DType dtype) {
        return new CaseSpec(
                "token_logprobs of K=%d labels%s %s %s"
                        .formatted(
                                perRow,
                                hasTail ? " and their tail" : "",
                                hasBackward ? "forward + backward in place" : "forward",
                                suffix(dtype, LARGE_VOCABULARY)),
                hasBackward ? Limit.READ_THEN_UPDATE : Limit.READ,
                new LogitShape(dtype, 1, 1, LARGE_VOCABULARY),
                (rows, columns, parts) ->
                        new SeveralLabelsCase(
                                perRow, hasTail, hasBackward, dtype, rows, columns, parts));
    }

    private static CaseSpec preferenceStep(String name, boolean isPacked, DType dtype) {
        return new CaseSpec(
                name + " in place " + suffix(dtype, LARGE_VOCABULARY),
                Limit.READ_THEN_UPDATE,
                new LogitShape(dtype, 1, 2, LARGE_VOCABULARY),
                (rows, columns, parts) ->
                        new PreferenceStepCase(isPacked, dtype, rows, columns, parts));
    }

    private static CaseSpec divergence(DivergenceKind kind, int columns) {
        return new CaseSpec(
                "divergence "
                        + kind.id()
                        + " forward + backward in place "
                        + suffix(DType.F32, columns),
                RowOperations.forwardReads(kind) == 2
                        ? Limit.READ_TWICE_THEN_UPDATE
                        : Limit.READ_THEN_UPDATE,
                new LogitShape(DType.F32, 2, 1, columns),
                (rows, width, parts) -> new DivergenceCase(kind, rows, width, parts));
    }

    private static CaseSpec scoringRule(Rule rule, int columns) {
        return new CaseSpec(
                "scoring_rule "
                        + rule.id()
                        + " forward + backward in place "
                        + suffix(DType.F32, columns),
                Limit.READ_THEN_UPDATE,
                new LogitShape(DType.F32, 1, 1, columns),
                (rows, width, parts) ->
                        new ScoringRuleCase(RowOperations.options(rule), rows, width, parts));
    }

    static CaseSpec named(String name) {
        return all().stream()
                .filter(spec -> spec.name().equals(name))
                .findFirst()
                .orElseThrow(
                        () -> new IllegalArgumentException("no case is named \"" + name + "\""));
    }

    static CaseSpec tokenLogprobs(Pass pass, DType dtype, int columns) {
        String operation =
                switch (pass) {
                    case FORWARD -> "token_logprobs forward ";
                    case FORWARD_ALL -> "token_logprobs forward, all outputs ";
                    case FORWARD_BACKWARD -> "token_logprobs forward + backward in place ";
                };
        Limit limit = pass == Pass.FORWARD_BACKWARD ? Limit.READ_THEN_UPDATE : Limit.READ;
        return new CaseSpec(
                operation + suffix(dtype, columns),
                limit,
                new LogitShape(dtype, 1, 1, columns),
                (rows, width, parts) -> new TokenLogprobsCase(pass, dtype, rows, width, parts));
    }

    static CaseSpec pairLoss() {
        return new CaseSpec(
                "pair_loss " + PAIRS + " pairs with gradients",
                Limit.NONE,
                LogitShape.NONE,
                (rows, columns, parts) -> new PairLossCase(PAIRS));
    }

    private static String suffix(DType dtype, int columns) {
        return dtype.name().toLowerCase(Locale.ROOT) + " V=" + columns;
    }
}
