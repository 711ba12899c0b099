"""Logits of examples that are each good or bad to a loss, its gradient and its metrics."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from .._abi import UnpairedStepArgs
from .._losses import LossLike, decode
from .._options import (
    STEP_METRICS,
    WHOLE_SEQUENCES,
    positive,
    sequence_options,
    token_options,
)
from ._arrays import check_tensors, length, new, run
from ._losses import metrics_memory, named_metrics, single_loss, write_metrics
from ._operator import Inputs, Outputs
from ._step import Step
from ._upstream import expected_upstream

_TENSORS = (
    "labels",
    "chosen",
    "mask",
    "reference_logps",
    "reference_token_logps",
    "kl_policy_logps",
    "kl_reference_logps",
    "weights",
    "cu_seqlens",
    "grad_loss",
)
_WRITTEN = ("losses", "logps", "counts", "rewards", "kl")


class UnpairedStep(NamedTuple):
    """What :func:`unpaired_step` returns. The loss alone has a gradient."""

    #: Mean over the examples, a 0-dim tensor.
    loss: Tensor
    #: Per example, [B].
    losses: Tensor
    #: Log-probabilities of the sequences, [B].
    logps: Tensor
    #: Sums of their tokens' weights, [B].
    counts: Tensor
    #: beta times the log-ratio, [B].
    rewards: Tensor
    #: The estimate of the KL that kto subtracts, a 0-dim tensor.
    kl: Tensor
    #: As of :class:`PreferenceStep`, without ``rewards_accuracy``.
    metrics: dict[str, Tensor]


def example_memory(source: str, inputs: Inputs) -> Outputs:
    """Memory for what a step of examples returns; `source` names the logits or hidden states."""
    like, count = inputs[source], length("chosen", inputs["chosen"])
    examples = {name: new(like, (count,)) for name in _WRITTEN if name != "kl"}
    return {
        "loss": new(like, ()),
        **examples,
        "kl": new(like, (1,)),
        "metrics": new(like, (len(STEP_METRICS),)),
    }


def example_fields(inputs: Inputs) -> dict[str, Any]:
    """Fields of a step of examples that are no tensors, but for the metrics."""
    return {
        "loss_options": decode(inputs["loss"]).options,
        "token_options": token_options(inputs),
        "sequence_options": sequence_options(inputs | WHOLE_SEQUENCES),
    }


def example_tensors(inputs: Inputs) -> dict[str, Tensor | None]:
    """Tensors of a step of examples beside its logits or hidden states."""
    return {name: inputs[name] for name in _TENSORS}


def example_outputs(outputs: Outputs) -> Outputs:
    """What the C function writes beside the metrics and the gradients."""
    return {name: outputs[name] for name in _WRITTEN}


def _memory(inputs: Inputs) -> Outputs:
    return example_memory("logits", inputs)


def _run(inputs: Inputs, outputs: Outputs, gradients: Outputs) -> None:
    memory, address = metrics_memory(inputs["logits"])
    args = UnpairedStepArgs(metrics=address, **example_fields(inputs))
    tensors = {"logits": inputs["logits"]} | example_tensors(inputs) | example_outputs(outputs)
    run("lr_unpaired_step", args, tensors | gradients)
    write_metrics(memory, outputs["loss"], outputs["metrics"])


#: As PAIR_ARGUMENTS, of a step of examples.
EXAMPLE_ARGUMENTS = (
    "Tensor labels, Tensor chosen, Tensor? mask, Tensor? reference_logps, "
    "Tensor? reference_token_logps, Tensor? kl_policy_logps, Tensor? kl_reference_logps, "
    "Tensor? weights, Tensor? cu_seqlens, Tensor? grad_loss, str wanted, bool private, "
    "str loss, str reduction, int ignore_index, float temperature, float softcap, int vocab"
)

_STEP = Step(
    "unpaired_step",
    f"Tensor logits, {EXAMPLE_ARGUMENTS}",
    trained=("logits",),
    memory=_memory,
    run=_run,
    results=7,
)


def unpaired_step(
    logits: Tensor,
    labels: Tensor,
    chosen: Tensor,
    loss: LossLike,
    *,
    mask: Tensor | None = None,
    reference_logps: Tensor | None = None,
    reference_token_logps: Tensor | None = None,
    kl_policy_logps: Tensor | None = None,
    kl_reference_logps: Tensor | None = None,
    weights: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    grad_loss: float | Tensor | None = None,
    reduction: str = "sum",
    ignore_index: int = -100,
    temperature: float = 1.0,
    softcap: float = 0.0,
    vocab: int | None = None,
    inplace: bool = False,
) -> UnpairedStep:
    """The way from logits to an unpaired loss: kto, apo_zero_unpaired or bco.

    Args:
        logits: [B,T,V], labels and mask: [B,T], as in :func:`preference_step`.
        chosen: [B], bool or uint8: whether an example is a desirable one.
        loss: its name, or its name and options, which are numbers.
        reference_logps: [B], or reference_token_logps: [B,T], any float; one of the two.
        kl_policy_logps: [C] with kl_reference_logps: [C], any float, of kto: its KL is the mean of
            their differences, at least 0 and without a gradient; 0 without them.
        weights: [B], any float, finite and >= 0: each example's weight; the mean stays over B.
        cu_seqlens: [B+1], for packed sequences.

    The other arguments, what is read and written, and the errors are those of
    :func:`preference_step`. The loss of kto is from https://arxiv.org/abs/2402.01306, bco from
    https://arxiv.org/abs/2404.04656 and apo_zero_unpaired from https://arxiv.org/abs/2408.06266.
    """
    tensors = {
        "logits": logits,
        "labels": labels,
        "chosen": chosen,
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
        "grad_loss": expected_upstream(grad_loss, logits),
        "reduction": reduction,
        "ignore_index": ignore_index,
        "temperature": temperature,
        "softcap": softcap,
        "vocab": positive("vocab", vocab),
    }
    *results, kl, metrics = _STEP(tensors | options | {"loss": single_loss(loss)}, inplace)
    figures = named_metrics(metrics, without=("rewards_accuracy",))
    return UnpairedStep._make((*results, kl[0], figures))
