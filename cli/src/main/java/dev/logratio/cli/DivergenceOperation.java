package dev.logratio.cli;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Divergence;
import dev.logratio.DivergenceKind;
import dev.logratio.DivergenceOptions;
import dev.logratio.DivergenceOptions.Detach;
import dev.logratio.DivergenceOptions.Reduction;
import dev.logratio.Tensor;
import dev.logratio.cli.Values.Range;

import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Locale;

/**
 * {@code divergence}: how far rows of two distributions are apart, with the gradient of both sides.
 */
final class DivergenceOperation extends Operation {
    private static final Input P = Input.required("p_logits", Elements.LOGITS, "N,V");
    private static final Input Q =
            Input.optional("q_logits", Elements.LOGITS, "M,V")
                    .orElse("q_weights, of which there is exactly one");
    private static final Input Q_WEIGHTS =
            Input.optional("q_weights", Elements.WEIGHTS, "M,V")
                    .orElse("q_logits; constant, normalised per row");

    private static final Option KIND =
            Option.required(
                    "divergence",
                    Arrays.stream(DivergenceKind.values())
                            .map(DivergenceKind::id)
                            .toArray(String[]::new));
    private static final Option W1 = Option.number("w1", "1", Range.NOT_NEGATIVE);
    private static final Option W2 = Option.number("w2", "1", Range.NOT_NEGATIVE);
    private static final Option DETACH = Option.choice("detach", "none", "p", "q");
    private static final Option MEAN_OR_SUM = Option.choice("reduction", "mean", "sum");

    DivergenceOperation() {
        super(
                "divergence",
                false,
                List.of(
                        P,
                        Q,
                        Q_WEIGHTS,
                        Input.optional("p_rows", Elements.ROWS, "K").orElse("0..N-1 with N = M"),
                        Input.optional("q_rows", Elements.ROWS, "K").orElse("0..N-1"),
                        Input.optional("row_weights", Elements.WEIGHTS, "K").orElse("1")),
                List.of(KIND, W1, W2, Options.TEMPERATURE, DETACH, MEAN_OR_SUM),
                List.of(
                        Output.value("values", "K"),
                        Output.value("loss", "1"),
                        Output.gradient(P),
                        Output.gradient(Q)));
    }

    @Override
    void checkOptions(Settings settings) throws CaseException {
        try {
            options(settings);
        } catch (IllegalArgumentException e) {
            throw new CaseException(e.getMessage());
        }
    }

    @Override
    void checkInputs(Collection<String> names) throws CaseException {
        if (names.contains(Q.name()) == names.contains(Q_WEIGHTS.name())) {
            throw new CaseException(
                    names.contains(Q.name())
                            ? "tensors q_logits and q_weights are both there, expected exactly one"
                                  + " of them"
                            : "tensor q_logits or q_weights is missing, expected one of them");
        }
        if (names.contains("p_rows") != names.contains("q_rows")) {
            throw new CaseException(
                    names.contains("p_rows")
                            ? "tensor q_rows is missing, expected it as p_rows is there"
                            : "tensor p_rows is missing, expected it as q_rows is there");
        }
    }

    @Override
    boolean wants(Output output, Settings settings) {
        String detached = "grad_" + settings.text(DETACH) + "_logits";
        return !output.name().equals(detached);
    }

    @Override
    void checkShapes(Settings settings, Dimensions dimensions) throws CaseException {
        if (dimensions.source("K").filter("p_rows"::equals).isPresent()) {
            return;
        }
        long rows = dimensions.size("N");
        if (dimensions.size("M") != rows) {
            throw new CaseException(
                    dimensions.source("M").orElseThrow()
                            + " has "
                            + dimensions.size("M")
                            + " rows, expected the "
                            + rows
                            + " of p_logits without p_rows and q_rows");
        }
        dimensions.setUnlessSeen("K", "N");
        if (dimensions.size("K") != rows) {
            throw new CaseException(
                    "row_weights has shape ["
                            + dimensions.size("K")
                            + "], expected ["
                            + rows
                            + "], the rows of p_logits");
        }
    }

    @Override
    void run(Call call) {
        Divergence operation =
                call.in("q_logits") != null
                        ? Divergence.of(call.in("p_logits"), call.in("q_logits"))
                        : Divergence.ofWeights(call.in("p_logits"), weights(call));
        operation
                .options(options(call.settings()))
                .rows(call.in("p_rows"), call.in("q_rows"))
                .rowWeights(call.in("row_weights"))
                .values(call.out("values"))
                .loss(call.out("loss"))
                .gradP(call.out("grad_p_logits"))
                .gradQ(call.out("grad_q_logits"))
                .run(call.backend());
    }

    /** As the backend takes them: all but the reference want F32. */
    private static Tensor weights(Call call) {
        Tensor weights = call.in("q_weights");
        if (call.backend() == Backend.reference() || weights.dtype() == DType.F32) {
            return weights;
        }
        return Tensor.zeros(call.arena(), DType.F32, weights.shape()).copyFrom(weights);
    }

    private static DivergenceOptions options(Settings settings) {
        return new DivergenceOptions(
                DivergenceKind.of(settings.text(KIND)),
                settings.number(W1),
                settings.number(W2),
                settings.number(Options.TEMPERATURE),
                Detach.valueOf(settings.text(DETACH).toUpperCase(Locale.ROOT)),
                Reduction.valueOf(settings.text(MEAN_OR_SUM).toUpperCase(Locale.ROOT)));
    }
}
