"""How far rows of probabilities are apart."""

from __future__ import annotations

from typing import NamedTuple

from .._abi import DivergenceArgs
from .._options import divergence_options, positive
from ._arrays import (
    Array,
    Float64s,
    check_arrays,
    check_numbers,
    figures,
    gradient_of,
    length,
    run,
    upstream,
)


class Divergence(NamedTuple):
    """What :func:`divergence` returns; a gradient that there is not is None."""

    #: Reduced values.
    loss: float
    #: Per pair of rows, [K].
    values: Float64s
    #: Of the logits' shapes and dtype; 0 in rows that take no part.
    grad_p_logits: Array | None
    grad_q_logits: Array | None


def divergence(
    p_logits: Array,
    q_logits: Array | None,
    divergence: str,
    *,
    q_weights: Array | None = None,
    q_topk_ids: Array | None = None,
    q_topk_logps: Array | None = None,
    q_model_weights: Array | None = None,
    p_rows: Array | None = None,
    q_rows: Array | None = None,
    row_weights: Array | None = None,
    grad_loss: float | Array | None = None,
    w1: float = 1.0,
    w2: float = 1.0,
    js_weight: float = 0.5,
    temperature: float = 1.0,
    detach: str = "none",
    reduction: str = "mean",
    vocab: int | None = None,
    grad: bool = True,
) -> Divergence:
    """A divergence between rows of two models, p and q, or between p and what is known of q.

    Args:
        p_logits: [N,V], float32, bfloat16 or float16, rows contiguous.
        q_logits: [M,V] of the same dtype; or [R,M,V] of R models, with q_model_weights; or None.
        divergence: ``"sce"`` (w1 H(p,q) + w2 H(q,p)), ``"jeffreys"``, ``"kl_pq"``, ``"kl_qp"``,
            ``"js"``, ``"l2"``, ``"tvd"``, ``"wasserstein1"`` or ``"cosine"``.
        q_weights: [M,V] float32, >= 0, in place of q_logits: probabilities but for their sum. A
            constant.
        q_topk_ids: [M,J], int64 or int32, with q_topk_logps: [M,J], any float: known columns of q
            in place of q_logits; what they leave is one more outcome. Constants, of kl_pq, kl_qp
            and js.
        q_model_weights: [R], any float: the value is the mean over the R models by these weights.
        p_rows: [K], int64 or int32, with q_rows: [K]: which row meets which, none twice on a side.
            Default: row k meets row k.
        row_weights: [K], any float, finite and >= 0; default 1.
        grad_loss: the upstream gradient of the loss, a number or an array of one; default 1.
        w1: of sce.
        w2: of sce.
        js_weight: of js: w in w KL(p,m) + (1-w) KL(q,m), m = w p + (1-w) q.
        temperature: what logits are divided by.
        detach: ``"none"``, ``"p"`` or ``"q"``: the side without a gradient.
        reduction: ``"mean"``, divided by the sum of row_weights, or ``"sum"``.
        vocab: number of columns that are no padding; default all.
        grad: whether gradients are computed.

    Raises:
        InvalidArgumentError: (a ValueError) an argument is wrong; the sentence names it.
        UnavailableError, FailedError: (RuntimeErrors) the library is missing or failed.
    """
    inputs = {
        "p_logits": p_logits,
        "q_logits": q_logits,
        "q_weights": q_weights,
        "q_topk_ids": q_topk_ids,
        "q_topk_logps": q_topk_logps,
        "q_model_weights": q_model_weights,
        "p_rows": p_rows,
        "q_rows": q_rows,
        "row_weights": row_weights,
    }
    check_arrays(("p_logits",), inputs)
    numbers = {"w1": w1, "w2": w2, "js_weight": js_weight, "temperature": temperature}
    check_numbers({"vocab": vocab}, numbers)
    choices = {"divergence": divergence, "detach": detach, "reduction": reduction}
    options = numbers | choices | {"vocab": positive("vocab", vocab)}
    args = DivergenceArgs(options=divergence_options(options))
    rows = length("p_logits", p_logits) if p_rows is None else length("p_rows", p_rows)
    values, loss = figures(rows), figures(1)
    of_p = gradient_of(p_logits) if grad and detach != "p" else None
    of_q = gradient_of(q_logits) if grad and detach != "q" and q_logits is not None else None
    outputs = {"values": values, "loss": loss, "grad_p_logits": of_p, "grad_q_logits": of_q}
    run("lr_divergence", args, inputs | {"grad_loss": upstream(grad_loss)} | outputs)
    return Divergence(float(loss[0]), values, of_p, of_q)
