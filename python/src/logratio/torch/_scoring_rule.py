"""Strictly proper scoring rules as losses of tokens."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from .._abi import ScoringRuleArgs
from .._options import positive, rule_options
from ._arrays import check_tensors, new, run
from ._operator import Inputs, Outputs
from ._step import Step
from ._upstream import expected_upstream


class ScoringRule(NamedTuple):
    """What :func:`scoring_rule` returns."""

    #: Mean over the rows that are not ignored, a 0-dim tensor.
    loss: Tensor
    #: Per row, of the labels' shape; 0 for ignored rows.
    values: Tensor


def _memory(inputs: Inputs) -> Outputs:
    logits, labels = inputs["logits"], inputs["labels"]
    return {"loss": new(logits, ()), "values": new(logits, labels.shape)}


def _run(inputs: Inputs, outputs: Outputs, gradients: Outputs) -> None:
    args = ScoringRuleArgs(options=rule_options(inputs))
    labels, grad_loss = inputs["labels"], inputs["grad_loss"]
    if grad_loss is not None and not inputs["per_row"]:
        counted = (labels != inputs["ignore_index"]).sum().clamp(min=1)
        grad_loss = (grad_loss / counted).expand(labels.shape)
    tensors = {"logits": inputs["logits"], "labels": labels, "grad_loss": grad_loss}
    written = {"loss": outputs["loss"].view(1), "values": outputs["values"]}
    run("lr_scoring_rule", args, tensors | written | gradients)


_STEP = Step(
    "scoring_rule",
    "Tensor logits, Tensor labels, Tensor? grad_loss, str wanted, bool private, "
    "bool per_row, str rule, str normalisation, bool masked_log, float alpha, float epsilon, "
    "int vocab, int ignore_index",
    trained=("logits",),
    memory=_memory,
    run=_run,
    results=2,
)


def scoring_rule(
    logits: Tensor,
    labels: Tensor,
    rule: str,
    *,
    grad_loss: float | Tensor | None = None,
    alpha: float = 2.0,
    normalisation: str = "selten",
    epsilon: float = 0.0,
    masked_log: bool = False,
    vocab: int | None = None,
    ignore_index: int = -100,
    inplace: bool = False,
) -> ScoringRule:
    """A strictly proper scoring rule as the loss of each token: minus its score.

    Either the loss has a gradient, or the values do, where `grad_loss` is given per row.

    Args:
        logits: [N,V] or [B,T,V], float32, bfloat16 or float16, rows contiguous.
        labels: [N] or [B,T], int64 or int32.
        rule: ``"log"``, ``"brier"``, ``"spherical"``, ``"power"`` or ``"pseudo_spherical"``.
        grad_loss: the upstream gradient that backward is expected to bring: of the loss, a number
            or a 0-dim tensor, default 1; or of the values, any float of the labels' shape. Any
            other is right as well, at the price of one more pass, except that a row whose number is
            0 here cannot have another.
        alpha: above 1, of power and pseudo_spherical.
        normalisation: of power and pseudo_spherical, ``"selten"`` or ``"jnw"``.
        epsilon: in [0, 1): smoothing of the score.
        masked_log: adds the masked log term to a smoothed score.
        vocab: number of columns that are no padding; default all.
        ignore_index: the label of rows to ignore.
        inplace: writes the gradient over the logits, which must not be used afterwards. Not for
            torch.compile.

    Raises:
        InvalidArgumentError: (a ValueError) an argument is wrong; the sentence names it.
    """
    check_tensors(logits=logits, labels=labels)
    expected: Tensor | None
    if isinstance(grad_loss, Tensor) and grad_loss.dim() > 0:
        per_row, expected = True, grad_loss.detach()
    else:
        per_row, expected = False, expected_upstream(grad_loss, logits)
    inputs = {
        "logits": logits,
        "labels": labels,
        "grad_loss": expected,
        "per_row": per_row,
        "rule": rule,
        "normalisation": normalisation,
        "masked_log": masked_log,
        "alpha": alpha,
        "epsilon": epsilon,
        "vocab": positive("vocab", vocab),
        "ignore_index": ignore_index,
    }
    return ScoringRule(*_STEP(inputs, inplace))
