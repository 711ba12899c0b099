"""Logits of pairs to a preference loss, its gradient and its metrics."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor

from .._abi import PreferenceStepArgs
from .._errors import InvalidArgumentError
from .._losses import LossLike, decode
from .._options import (
    STEP_METRICS,
    WPO,
    choice,
    positive,
    sequence_options,
    token_options,
    wpo_choice,
)
from ._arrays import check_tensors, new, run, sequence_count
from ._losses import learned, loss_inputs, metrics_memory, named_metrics, write_metrics
from ._operator import Inputs, Outputs
from ._step import Step
from ._upstream import expected_upstream

_TENSORS = (
    "labels",
    "mask",
    "reference_logps",
    "reference_token_logps",
    "pair_weights",
    "nll_mask",
    "cu_seqlens",
    "grad_loss",
)
_WRITTEN = ("losses", "logps", "counts", "chosen_rewards", "rejected_rewards")


class PreferenceStep(NamedTuple):
    """What :func:`preference_step` returns. The loss alone has a gradient."""

    #: Mean over the pairs, a 0-dim tensor.
    loss: Tensor
    #: Per pair, [P].
    losses: Tensor
    #: Log-probabilities of the sequences, [2P].
    logps: Tensor
    #: Sums of their tokens' weights, [2P].
    counts: Tensor
    #: Rewards, [P].
    chosen_rewards: Tensor
    rejected_rewards: Tensor
    #: Each a 0-dim tensor: ``rewards_chosen``, ``rewards_rejected``, ``rewards_margin``,
    #: ``rewards_accuracy``, ``entropy``, ``token_accuracy``, ``logits_chosen``,
    #: ``logits_rejected``, ``grad_norm``, ``nonfinite``.
    metrics: dict[str, Tensor]


def pair_memory(source: str, inputs: Inputs) -> Outputs:
    """Memory for what a step of pairs returns; `source` names the logits or hidden states."""
    like = inputs[source]
    sequences = sequence_count(source, like, inputs["cu_seqlens"])
    pairs = sequences // 2
    return {
        "loss": new(like, ()),
        "losses": new(like, (pairs,)),
        "logps": new(like, (sequences,)),
        "counts": new(like, (sequences,)),
        "chosen_rewards": new(like, (pairs,)),
        "rejected_rewards": new(like, (pairs,)),
        "metrics": new(like, (len(STEP_METRICS),)),
    }


def pair_fields(inputs: Inputs) -> dict[str, Any]:
    """Fields of a step of pairs that are no tensors, but for the metrics."""
    losses, weights = decode(inputs["loss"]), inputs["loss_weights"]
    fields = {
        "loss_options": losses.options,
        "loss_count": len(losses.names),
        "token_options": token_options(inputs),
        "sequence_options": sequence_options(inputs),
        "wpo": choice("wpo", inputs["wpo"], WPO),
        "token_count": inputs["token_count"],
    }
    if weights is not None:
        if len(weights) != len(losses.names):
            raise InvalidArgumentError(
                f"loss_weights: expected one per loss, {len(losses.names)}, got {len(weights)}"
            )
        fields["loss_weights"] = (ctypes.c_double * len(weights))(*weights)
    return fields


def pair_tensors(inputs: Inputs) -> dict[str, Tensor | None]:
    """Tensors of a step of pairs beside its logits or hidden states."""
    return {name: inputs[name] for name in _TENSORS} | learned(inputs)


def pair_outputs(outputs: Outputs) -> Outputs:
    """What the C function writes beside the metrics and the gradients."""
    return {name: outputs[name] for name in _WRITTEN}


def _memory(inputs: Inputs) -> Outputs:
    return pair_memory("logits", inputs)


def _run(inputs: Inputs, outputs: Outputs, gradients: Outputs) -> None:
    memory, address = metrics_memory(inputs["logits"])
    args = PreferenceStepArgs(metrics=address, **pair_fields(inputs))
    tensors = {"logits": inputs["logits"]} | pair_tensors(inputs) | pair_outputs(outputs)
    run("lr_preference_step", args, tensors | gradients)
    write_metrics(memory, outputs["loss"], outputs["metrics"])


#: Arguments of an operator of a step of pairs behind its logits or hidden states and their like.
PAIR_ARGUMENTS = (
    "Tensor labels, Tensor? mask, Tensor? reference_logps, Tensor? reference_token_logps, "
    "Tensor? pair_weights, Tensor? nll_mask, Tensor? cu_seqlens, Tensor? grad_loss, "
    "Tensor? beta, Tensor? beta_kl, Tensor? beta_mix, Tensor? tau, str wanted, bool private, "
    "str loss, float[]? loss_weights, str wpo, float token_count, str reduction, str align, "
    "float tail_weight, float keep_fraction, int ignore_index, float temperature, float softcap, "
    "int vocab"
)

_STEP = Step(
    "preference_step",
    f"Tensor logits, {PAIR_ARGUMENTS}",
    trained=("logits",),
    memory=_memory,
    run=_run,
    results=7,
    learned=True,
)


def preference_step(
    logits: Tensor,
    labels: Tensor,
    loss: LossLike | Sequence[LossLike],
    *,
    mask: Tensor | None = None,
    reference_logps: Tensor | None = None,
    reference_token_logps: Tensor | None = None,
    reference_free: bool = False,
    loss_weights: Sequence[float] | None = None,
    pair_weights: Tensor | None = None,
    nll_mask: Tensor | None = None,
    token_count: float | None = None,
    cu_seqlens: Tensor | None = None,
    grad_loss: float | Tensor | None = None,
    reduction: str = "sum",
    tail_weight: float = 1.0,
    align: str = "completion",
    keep_fraction: float = 1.0,
    wpo: str | bool = "off",
    ignore_index: int = -100,
    temperature: float = 1.0,
    softcap: float = 0.0,
    vocab: int | None = None,
    inplace: bool = False,
) -> PreferenceStep:
    """The whole way from logits to a preference loss, with its gradient and its metrics.

    The logits are read once forward, and read and written once for the gradient, which is computed
    along with the loss wherever autograd will want it. Tokens that do not count are not read, and
    their gradient is 0.

    Args:
        logits: [2P,T,V], float32, bfloat16 or float16, of any strides but for a contiguous last
            dimension. Sequences 0 to P-1 are chosen, P to 2P-1 rejected. They are shifted already:
            ``logits[:, t]`` predicts ``labels[:, t]``.
        labels: [2P,T], int64 or int32.
        loss: a name of :func:`logratio.losses`; a name and its options, such as
            ``("sigmoid", {"beta": 0.1})``; or a list of them, which add up. The options beta,
            beta_kl, beta_mix and tau of a single loss may be tensors, 0-dim, [1] or [P], and then
            have gradients. torch.compile compiles again for another number, not for another tensor.
        mask: [2P,T], bool, uint8, int32 or int64, or float32 weights: the tokens that count, less
            those whose label is ignore_index. Default: all.
        reference_logps: [2P], any float: the reference's log-probabilities, reduced with the same
            mask and options. A constant.
        reference_token_logps: [2P,T], in place of reference_logps.
        reference_free: takes the reference as 0; the two tensors must then be absent. Losses that
            never have a reference do not need it.
        loss_weights: one per loss; default 1.
        pair_weights: [P], any float, finite and >= 0: each pair's weight.
        nll_mask: [2P,T]: the chosen tokens that the negative log-likelihood of sft, orpo and cpo
            covers; default the mask.
        token_count: divisor of sft and of ``nll="token"``, such as the tokens of all micro-batches;
            default the batch's own count.
        cu_seqlens: [2P+1], int64 or int32, for packed sequences: 0, and then where each ends. The
            logits are then [N,V], and tensors [2P,T] are [N].
        grad_loss: the upstream gradient of the loss that backward is expected to bring, a number
            or a tensor of one; default 1. Any other is right as well, at the price of one more
            pass: a loss that is divided by the number of micro-batches should be announced here.
            ``grad_norm`` is for this upstream, and so is the rounding of a float16 gradient, which
            a loss scale keeps from underflow.
        reduction: of tokens to sequences, ``"sum"`` or ``"mean"``.
        tail_weight: weight of the tokens past the pair's shared ones, 0 (POET) to 1; between the
            two it is LD-DPO's.
        align: ``"completion"`` or ``"absolute"``: which tokens of a pair are shared.
        keep_fraction: share of the shared tokens that are kept; needs a tail_weight below 1.
        wpo: ``"off"``, ``"on"`` or ``"capped"``, False or True: weights of WPO, without gradient.
        ignore_index: the label of tokens to ignore.
        temperature: what logits are divided by, after the softcap.
        softcap: ``c * tanh(logits / c)`` for a value c above 0.
        vocab: number of columns that are no padding; default all.
        inplace: writes the gradient over the logits, which must not be used afterwards, instead of
            allocating one. Without a gradient to compute nothing is written. Not for
            torch.compile.

    Raises:
        InvalidArgumentError: (a ValueError) an argument is wrong; the sentence names it.
        UnavailableError, FailedError: (RuntimeErrors) the library or a device failed.

    Papers and trainers that each loss comes from are in ``docs/losses.md``.
    """
    has_reference = reference_logps is not None or reference_token_logps is not None
    tensors = {
        "logits": logits,
        "labels": labels,
        "mask": mask,
        "reference_logps": reference_logps,
        "reference_token_logps": reference_token_logps,
        "pair_weights": pair_weights,
        "nll_mask": nll_mask,
        "cu_seqlens": cu_seqlens,
    }
    check_tensors(**tensors)
    options = {
        "grad_loss": expected_upstream(grad_loss, logits),
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
    }
    losses = loss_inputs(loss, has_reference, reference_free)
    *outputs, metrics = _STEP(tensors | options | losses, inplace)
    return PreferenceStep._make((*outputs, named_metrics(metrics)))
