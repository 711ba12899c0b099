"""Divergences between rows, and scoring rules of rows."""

from __future__ import annotations

from typing import NamedTuple

from numpy.typing import ArrayLike

from .._abi import DivergenceArgs, ScoringRuleArgs
from .._options import divergence_options, positive, rule_options
from ._arrays import Array, given, gradient_of, new, required, run, upstream


class Divergence(NamedTuple):
    """What :func:`divergence` returns."""

    #: Reduced values.
    loss: float
    #: Per pair of rows, [K], float64.
    values: Array
    #: Of the logits' shape and dtype; None if it is not wanted, or its side is detached.
    grad_p_logits: Array | None
    grad_q_logits: Array | None


def divergence(
    p_logits: ArrayLike,
    q_logits: ArrayLike | None,
    divergence: str,
    *,
    grad: bool = True,
    q_weights: ArrayLike | None = None,
    q_topk_ids: ArrayLike | None = None,
    q_topk_logps: ArrayLike | None = None,
    q_model_weights: ArrayLike | None = None,
    p_rows: ArrayLike | None = None,
    q_rows: ArrayLike | None = None,
    row_weights: ArrayLike | None = None,
    grad_loss: ArrayLike | None = None,
    w1: float = 1.0,
    w2: float = 1.0,
    js_weight: float = 0.5,
    temperature: float = 1.0,
    detach: str = "none",
    reduction: str = "mean",
    vocab: int | None = None,
) -> Divergence:
    """A divergence between rows of two models, p and q, or between p and what is known of q.

    Args:
        p_logits: [N,V], float32, float16 or bfloat16 (of ml_dtypes), rows contiguous.
        q_logits: [M,V] of the same dtype; or [R,M,V] of R models, with q_model_weights; or None.
        divergence: ``"sce"`` (w1 H(p,q) + w2 H(q,p)), ``"jeffreys"``, ``"kl_pq"``, ``"kl_qp"``,
            ``"js"``, ``"l2"``, ``"tvd"``, ``"wasserstein1"`` or ``"cosine"``.
        grad: whether the gradients are wanted.
        q_weights: [M,V] float32, >= 0, in place of q_logits: probabilities but for their sum.
        q_topk_ids: [M,J], int64 or int32, with q_topk_logps: [M,J], any float: known columns of q
            in place of q_logits; what they leave is one more outcome. Of kl_pq, kl_qp and js.
        q_model_weights: [R], any float: the value is the mean over the R models by these weights.
        p_rows: [K], int64 or int32, with q_rows: [K]: which row meets which, none twice on a side.
            Default: row k meets row k.
        row_weights: [K], any float, finite and >= 0; default 1.
        grad_loss: the upstream gradient of the loss, a number; default 1.
        w1: of sce.
        w2: of sce.
        js_weight: of js: w in w KL(p,m) + (1-w) KL(q,m), m = w p + (1-w) q.
        temperature: what logits are divided by.
        detach: ``"none"``, ``"p"`` or ``"q"``: the side without a gradient.
        reduction: ``"mean"``, divided by the sum of row_weights, or ``"sum"``.
        vocab: number of columns that are no padding; default all.

    Raises:
        InvalidArgumentError: (a ValueError) an argument is wrong; the sentence names it.
    """
    p = required("p_logits", p_logits, 2)
    inputs = given(
        p_logits=p,
        q_logits=q_logits,
        q_weights=q_weights,
        q_topk_ids=q_topk_ids,
        q_topk_logps=q_topk_logps,
        q_model_weights=q_model_weights,
        p_rows=p_rows,
        q_rows=q_rows,
        row_weights=row_weights,
        grad_loss=upstream(grad_loss),
    )
    q, rows = inputs["q_logits"], inputs["p_rows"]
    grad_p = gradient_of(p) if grad and detach != "p" else None
    grad_q = gradient_of(q) if grad and detach != "q" and q is not None else None
    loss, values = new(1), new(len(p) if rows is None else rows.size)
    options = {
        "divergence": divergence,
        "reduction": reduction,
        "detach": detach,
        "w1": w1,
        "w2": w2,
        "temperature": temperature,
        "js_weight": js_weight,
        "vocab": positive("vocab", vocab),
    }
    outputs = {"loss": loss, "values": values, "grad_p_logits": grad_p, "grad_q_logits": grad_q}
    run("lr_divergence", DivergenceArgs(options=divergence_options(options)), inputs | outputs)
    return Divergence(float(loss[0]), values, grad_p, grad_q)


class ScoringRule(NamedTuple):
    """What :func:`scoring_rule` returns."""

    #: Mean over the rows that are not ignored, 0 if there are none.
    loss: float
    #: Of the labels' shape, float64; 0 for ignored rows.
    values: Array
    #: Of the logits' shape and dtype; None if it is not wanted.
    grad_logits: Array | None


def scoring_rule(
    logits: ArrayLike,
    labels: ArrayLike,
    rule: str,
    *,
    grad: bool = True,
    grad_loss: ArrayLike | None = None,
    alpha: float = 2.0,
    normalisation: str = "selten",
    epsilon: float = 0.0,
    masked_log: bool = False,
    vocab: int | None = None,
    ignore_index: int = -100,
) -> ScoringRule:
    """A strictly proper scoring rule as the loss of each token: minus its score.

    Args:
        logits: [N,V] or [B,T,V], float32, float16 or bfloat16 (of ml_dtypes), rows contiguous.
        labels: [N] or [B,T], int64 or int32.
        rule: ``"log"``, ``"brier"``, ``"spherical"``, ``"power"`` or ``"pseudo_spherical"``.
        grad: whether the gradient is wanted.
        grad_loss: of the labels' shape, any float: the upstream gradient of the values; by default
            the gradient is that of the mean over the rows that are not ignored.
        alpha: above 1, of power and pseudo_spherical.
        normalisation: of power and pseudo_spherical, ``"selten"`` or ``"jnw"``.
        epsilon: in [0, 1): smoothing of the score.
        masked_log: adds the masked log term to a smoothed score.
        vocab: number of columns that are no padding; default all.
        ignore_index: the label of rows to ignore.

    Raises:
        InvalidArgumentError: (a ValueError) an argument is wrong; the sentence names it.
    """
    logits, labels = required("logits", logits, 2), required("labels", labels)
    options = {
        "rule": rule,
        "normalisation": normalisation,
        "masked_log": masked_log,
        "alpha": alpha,
        "epsilon": epsilon,
        "vocab": positive("vocab", vocab),
        "ignore_index": ignore_index,
    }
    loss, values = new(1), new(labels.shape)
    grad_logits = gradient_of(logits) if grad else None
    inputs = given(logits=logits, labels=labels, grad_loss=grad_loss)
    outputs = {"loss": loss, "values": values, "grad_logits": grad_logits}
    run("lr_scoring_rule", ScoringRuleArgs(options=rule_options(options)), inputs | outputs)
    return ScoringRule(float(loss[0]), values, grad_logits)
