package dev.logratio;

import java.util.Arrays;
import java.util.Locale;
import java.util.Objects;

/**
 * A divergence of two distributions {@code p} and {@code q} over a vocabulary. {@code H(p,q)} is
 * the cross entropy {@code -sum p log q}, in nats.
 *
 * @since 0.1.0
 */
public enum DivergenceKind {
    /**
     * Symmetric cross entropy {@code w1 H(p,q) + w2 H(q,p)} (arXiv 2506.11769); not 0 where {@code
     * p = q}.
     */
    SCE,
    /** {@code KL(p,q) + KL(q,p)}. */
    JEFFREYS,
    /** {@code KL(p,q) = sum p log(p/q)}. */
    KL_PQ,
    /** {@code KL(q,p)}. */
    KL_QP,
    /**
     * Jensen-Shannon: {@code KL(p,m)/2 + KL(q,m)/2} with {@code m = (p+q)/2}, at most log 2; other
     * weights than 1/2 by {@link DivergenceOptions#jsWeight}.
     */
    JS,
    /** {@code sum (p-q)^2}. */
    L2,
    /** Total variation: {@code sum |p-q| / 2}. The sign of 0 counts as 0. */
    TVD,
    /**
     * Earth mover's distance with columns one unit apart, in their order; the sign of 0 counts as
     * 0.
     */
    WASSERSTEIN1,
    /** {@code 1 - cos(p,q)}. */
    COSINE;

    /**
     * Whether it can be of rows of which some log-probabilities are known, as {@link
     * Divergence#ofTopk} takes them.
     *
     * @return true for {@code KL_PQ}, {@code KL_QP} and {@code JS}
     */
    public boolean takesTopk() {
        return this == KL_PQ || this == KL_QP || this == JS;
    }

    /**
     * The name that the command line uses.
     *
     * @return as {@code "kl_pq"}
     */
    public String id() {
        return name().toLowerCase(Locale.ROOT);
    }

    /**
     * The kind by the name that the command line uses.
     *
     * @param id as {@code "kl_pq"}
     * @return the kind
     * @throws IllegalArgumentException if no kind has this name
     */
    public static DivergenceKind of(String id) {
        Objects.requireNonNull(id, "id");
        for (DivergenceKind kind : values()) {
            if (kind.id().equals(id)) {
                return kind;
            }
        }
        throw new IllegalArgumentException(
                "divergence is \""
                        + id
                        + "\", expected one of "
                        + String.join(
                                ", ", Arrays.stream(values()).map(DivergenceKind::id).toList()));
    }
}
