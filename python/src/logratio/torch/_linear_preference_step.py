"""Hidden states of pairs to a preference loss, its gradient and its metrics, without the logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from .. import _abi
from .._losses import LossLike
from .._options import positive, wpo_choice
from ._arrays import check_tensors, run
from ._linear import (
    HEAD,
    HEAD_ARGUMENTS,
    LINEAR_ARGUMENTS,
    head,
    linear_fields,
    linear_inputs,
    named_plan,
    plan_memory,
    write_plan,
)
from ._losses import loss_inputs, metrics_memory, named_metrics, write_metrics
from ._operator import Inputs, Outputs
from ._preference_step import (
    PAIR_ARGUMENTS,
    pair_fields,
    pair_memory,
    pair_outputs,
    pair_tensors,
)
from ._step import Step
from ._upstream import expected_upstream

_REFERENCE = ("reference_hidden", "reference_weight", "reference_bias")


class LinearPreferenceStep(NamedTuple):
    """What :func:`linear_preference_step` returns. The loss alone has a gradient."""

    #: As of :class:`PreferenceStep`.
    loss: Tensor
    losses: Tensor
    logps: Tensor
    counts: Tensor
    chosen_rewards: Tensor
    rejected_rewards: Tensor
    metrics: dict[str, Tensor]
    #: The numbers of a :class:`logratio.LinearPlan`, each a 0-dim float64 tensor on the CPU;
    #: ``method`` is 0 for forward, 1 for online, 2 for sweep.
    plan: Mapping[str, Tensor]


def _memory(inputs: Inputs) -> Outputs:
    return pair_memory("hidden", inputs) | {"plan": plan_memory()}


def _run(inputs: Inputs, outputs: Outputs, gradients: Outputs) -> None:
    memory, address = metrics_memory(inputs["hidden"])
    plan = _abi.LinearPlan()
    args = _abi.LinearPreferenceStepArgs(
        metrics=address, **pair_fields(inputs), **linear_fields(inputs, plan)
    )
    reference = {name: inputs[name] for name in _REFERENCE}
    tensors = head(inputs) | reference | pair_tensors(inputs) | pair_outputs(outputs)
    run("lr_linear_preference_step", args, tensors | gradients)
    write_metrics(memory, outputs["loss"], outputs["metrics"])
    write_plan(plan, outputs["plan"])


_STEP = Step(
    "linear_preference_step",
    f"{HEAD_ARGUMENTS}, Tensor? reference_hidden, Tensor? reference_weight, "
    f"Tensor? reference_bias, {PAIR_ARGUMENTS}, {LINEAR_ARGUMENTS}",
    trained=HEAD,
    memory=_memory,
    run=_run,
    results=8,
    learned=True,
)


def linear_preference_step(
    hidden: Tensor,
    weight: Tensor,
    labels: Tensor,
    loss: LossLike | Sequence[LossLike],
    *,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    reference_logps: Tensor | None = None,
    reference_token_logps: Tensor | None = None,
    reference_hidden: Tensor | None = None,
    reference_weight: Tensor | None = None,
    reference_bias: Tensor | None = None,
    reference_free: bool = False,
    loss_weights: Sequence[float] | None = None,
    pair_weights: Tensor | None = None,
    nll_mask: Tensor | None = None,
    token_count: float | None = None,
    cu_seqlens: Tensor | None = None,
    grad_loss: float | Tensor | None = None,
    budget_bytes: int | None = None,
    frozen: str = "none",
    reduction: str = "sum",
    tail_weight: float = 1.0,
    align: str = "completion",
    keep_fraction: float = 1.0,
    wpo: str | bool = "off",
    ignore_index: int = -100,
    temperature: float = 1.0,
    softcap: float = 0.0,
    vocab: int | None = None,
) -> LinearPreferenceStep:
    """:func:`preference_step` of ``hidden @ weight.T + bias``, whose logits are never held whole.

    Gradients of hidden, weight and bias are computed along with the loss, of those that require
    one. Rows that do not count are neither read nor multiplied. Logits are products in float32,
    rounded nowhere, of any dtype.

    Args:
        hidden: [2P,T,H], or [N,H] with cu_seqlens, float32, bfloat16 or float16, of any strides but
            for a contiguous last dimension: the states that a model's head makes logits of. Its
            gradient has its dtype, as have the others.
        weight: [V,H], of the same dtype; without a gradient the work is a third less.
        bias: [V], float32, bfloat16 or float16.
        reference_hidden: as hidden, with reference_weight [V,H] and, where it has one,
            reference_bias [V]: the reference model's, in place of reference_logps and
            reference_token_logps. Its log-probabilities are computed with the same options.
            Constants.
        budget_bytes: for logits that are kept from the forward to the backward, and for the
            threads' tiles; at least 4 V. Default: 256 MiB. Results do not depend on it.
        frozen: ``"weight"`` (and the bias) or ``"hidden"`` makes it an error if that requires a
            gradient; ``"none"`` leaves it to them.

    The other arguments and the errors are those of :func:`preference_step`; there is no
    ``inplace``. ``grad_norm`` is that of the gradient of the logits.
    """
    references = (reference_logps, reference_token_logps, reference_hidden, reference_weight)
    tensors = {
        "hidden": hidden,
        "weight": weight,
        "labels": labels,
        "bias": bias,
        "mask": mask,
        "reference_logps": reference_logps,
        "reference_token_logps": reference_token_logps,
        "reference_hidden": reference_hidden,
        "reference_weight": reference_weight,
        "reference_bias": reference_bias,
        "pair_weights": pair_weights,
        "nll_mask": nll_mask,
        "cu_seqlens": cu_seqlens,
    }
    check_tensors(**tensors)
    options = {
        "grad_loss": expected_upstream(grad_loss, hidden),
        "loss_weights": loss_weights,
        "wpo": wpo_choice(wpo),
        "token_count": positive("token_count", token_count),
        "reduction": reduction,
        "align": align,
        "tail_weight": tail_weight,
        "keep_fraction": keep_fraction,
        "ignore_index": ignore_index,
        "temperature": temperature,
        "softcap": softcap,
        "vocab": positive("vocab", vocab),
        **linear_inputs(budget_bytes, frozen, tensors),
    }
    losses = loss_inputs(loss, any(x is not None for x in references), reference_free)
    *outputs, metrics, plan = _STEP(tensors | options | losses, inplace=False)
    return LinearPreferenceStep._make((*outputs, named_metrics(metrics), named_plan(plan)))
