"""How far rows of probabilities are apart."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from .._abi import DivergenceArgs
from .._options import divergence_options, positive
from ._arrays import check_tensors, length, new, run
from ._operator import Inputs, Outputs
from ._step import Step
from ._upstream import expected_upstream

_TENSORS = (
    "p_logits",
    "q_logits",
    "q_weights",
    "q_topk_ids",
    "q_topk_logps",
    "q_model_weights",
    "p_rows",
    "q_rows",
    "row_weights",
    "grad_loss",
)


class Divergence(NamedTuple):
    """What :func:`divergence` returns. The loss alone has a gradient."""

    #: Reduced values, a 0-dim tensor.
    loss: Tensor
    #: Per pair of rows, [K].
    values: Tensor


def _memory(inputs: Inputs) -> Outputs:
    logits = inputs["p_logits"]
    side = "p_logits" if inputs["p_rows"] is None else "p_rows"
    return {"loss": new(logits, ()), "values": new(logits, (length(side, inputs[side]),))}


def _run(inputs: Inputs, outputs: Outputs, gradients: Outputs) -> None:
    args = DivergenceArgs(options=divergence_options(inputs))
    tensors = {name: inputs[name] for name in _TENSORS}
    written = {"loss": outputs["loss"].view(1), "values": outputs["values"]}
    run("lr_divergence", args, tensors | written | gradients)


_STEP = Step(
    "divergence",
    "Tensor p_logits, Tensor? q_logits, Tensor? q_weights, Tensor? q_topk_ids, "
    "Tensor? q_topk_logps, Tensor? q_model_weights, Tensor? p_rows, Tensor? q_rows, "
    "Tensor? row_weights, Tensor? grad_loss, str wanted, bool private, "
    "str divergence, str reduction, str detach, float w1, float w2, float temperature, "
    "float js_weight, int vocab",
    trained=("p_logits", "q_logits"),
    memory=_memory,
    run=_run,
    results=2,
)


def divergence(
    p_logits: Tensor,
    q_logits: Tensor | None,
    divergence: str,
    *,
    q_weights: Tensor | None = None,
    q_topk_ids: Tensor | None = None,
    q_topk_logps: Tensor | None = None,
    q_model_weights: Tensor | None = None,
    p_rows: Tensor | None = None,
    q_rows: Tensor | None = None,
    row_weights: Tensor | None = None,
    grad_loss: float | Tensor | None = None,
    w1: float = 1.0,
    w2: float = 1.0,
    js_weight: float = 0.5,
    temperature: float = 1.0,
    detach: str = "none",
    reduction: str = "mean",
    vocab: int | None = None,
    inplace: bool = False,
) -> Divergence:
    """A divergence between rows of two models, p and q, or between p and what is known of q.

    The gradient is computed along with the value, of each side of the logits that requires one.

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
        grad_loss: the upstream gradient of the loss that backward is expected to bring; default 1.
            Any other is right as well, at the price of one more pass.
        w1: of sce.
        w2: of sce.
        js_weight: of js: w in w KL(p,m) + (1-w) KL(q,m), m = w p + (1-w) q.
        temperature: what logits are divided by.
        detach: ``"none"``, ``"p"`` or ``"q"``: the side without a gradient.
        reduction: ``"mean"``, divided by the sum of row_weights, or ``"sum"``.
        vocab: number of columns that are no padding; default all.
        inplace: writes gradients over the logits that have one, which must not be used afterwards.
            Not for torch.compile.

    Raises:
        InvalidArgumentError: (a ValueError) an argument is wrong; the sentence names it.
    """
    tensors = {
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
    check_tensors(**tensors)
    if detach == "p":
        tensors["p_logits"] = p_logits.detach()
    if detach == "q" and q_logits is not None:
        tensors["q_logits"] = q_logits.detach()
    options = {
        "grad_loss": expected_upstream(grad_loss, p_logits),
        "divergence": divergence,
        "reduction": reduction,
        "detach": detach,
        "w1": w1,
        "w2": w2,
        "temperature": temperature,
        "js_weight": js_weight,
        "vocab": positive("vocab", vocab),
    }
    return Divergence(*_STEP(tensors | options, inplace))
