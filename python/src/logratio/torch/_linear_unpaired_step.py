"""Hidden states of examples that are each good or bad to a loss, without the logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from .. import _abi
from .._losses import LossLike
from .._options import positive
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
from ._losses import metrics_memory, named_metrics, single_loss, write_metrics
from ._operator import Inputs, Outputs
from ._step import Step
from ._unpaired_step import (
    EXAMPLE_ARGUMENTS,
    example_fields,
    example_memory,
    example_outputs,
    example_tensors,
)
from ._upstream import expected_upstream


class LinearUnpairedStep(NamedTuple):
    """What :func:`linear_unpaired_step` returns. The loss alone has a gradient."""

    #: As of :class:`UnpairedStep`.
    loss: Tensor
    losses: Tensor
    logps: Tensor
    counts: Tensor
    rewards: Tensor
    kl: Tensor
    metrics: dict[str, Tensor]
    #: As of :class:`LinearPreferenceStep`.
    plan: Mapping[str, Tensor]


def _memory(inputs: Inputs) -> Outputs:
    return example_memory("hidden", inputs) | {"plan": plan_memory()}


def _run(inputs: Inputs, outputs: Outputs, gradients: Outputs) -> None:
    memory, address = metrics_memory(inputs["hidden"])
    plan = _abi.LinearPlan()
    args = _abi.LinearUnpairedStepArgs(
        metrics=address, **example_fields(inputs), **linear_fields(inputs, plan)
    )
    tensors = head(inputs) | example_tensors(inputs) | example_outputs(outputs)
    run("lr_linear_unpaired_step", args, tensors | gradients)
    write_metrics(memory, outputs["loss"], outputs["metrics"])
    write_plan(plan, outputs["plan"])


_STEP = Step(
    "linear_unpaired_step",
    f"{HEAD_ARGUMENTS}, {EXAMPLE_ARGUMENTS}, {LINEAR_ARGUMENTS}",
    trained=HEAD,
    memory=_memory,
    run=_run,
    results=8,
)


def linear_unpaired_step(
    hidden: Tensor,
    weight: Tensor,
    labels: Tensor,
    chosen: Tensor,
    loss: LossLike,
    *,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    reference_logps: Tensor | None = None,
    reference_token_logps: Tensor | None = None,
    kl_policy_logps: Tensor | None = None,
    kl_reference_logps: Tensor | None = None,
    weights: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    grad_loss: float | Tensor | None = None,
    budget_bytes: int | None = None,
    frozen: str = "none",
    reduction: str = "sum",
    ignore_index: int = -100,
    temperature: float = 1.0,
    softcap: float = 0.0,
    vocab: int | None = None,
) -> LinearUnpairedStep:
    """:func:`unpaired_step` of ``hidden @ weight.T + bias``, whose logits are never held whole.

    Args:
        hidden: [B,T,H], or [N,H] with cu_seqlens; weight, bias, budget_bytes and frozen: as in
            :func:`linear_preference_step`.

    The other arguments and the errors are those of :func:`unpaired_step`; there is no ``inplace``.
    """
    tensors = {
        "hidden": hidden,
        "weight": weight,
        "labels": labels,
        "chosen": chosen,
        "bias": bias,
        "mask": mask,
        "reference_logps": reference_logps,
        "reference_token_logps": reference_token_logps,
        "kl_policy_logps": kl_policy_logps,
        "kl_reference_logps": kl_reference_logps,
        "weights": weights,
        "cu_seqlens": cu_seqlens,
    }
    check_tensors(**tensors)
    options = {
        "grad_loss": expected_upstream(grad_loss, hidden),
        "reduction": reduction,
        "ignore_index": ignore_index,
        "temperature": temperature,
        "softcap": softcap,
        "vocab": positive("vocab", vocab),
        **linear_inputs(budget_bytes, frozen, tensors),
    }
    inputs = tensors | options | {"loss": single_loss(loss)}
    *results, kl, metrics, plan = _STEP(inputs, inplace=False)
    figures = named_metrics(metrics, without=("rewards_accuracy",))
    return LinearUnpairedStep._make((*results, kl[0], figures, named_plan(plan)))
