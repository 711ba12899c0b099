"""Log-probabilities of pairs to losses and rewards."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from .._abi import PairLossArgs
from .._losses import LEARNED, LossLike, decode
from ._arrays import figures_dtype, length, new, new_gradient, run
from ._losses import learned, loss_inputs
from ._operator import Inputs, Operator, Outputs
from ._upstream import differentiable_once

_LOGPS = ("policy_chosen", "policy_rejected", "reference_chosen", "reference_rejected")
_COUNTS = ("chosen_counts", "rejected_counts")
_ARGUMENTS = (
    "Tensor policy_chosen, Tensor policy_rejected, Tensor? reference_chosen, "
    "Tensor? reference_rejected, Tensor? chosen_counts, Tensor? rejected_counts, Tensor? beta, "
    "Tensor? beta_kl, Tensor? beta_mix, Tensor? tau, str loss"
)
_DIFFERENTIABLE = _LOGPS + LEARNED


class PairLoss(NamedTuple):
    """What :func:`pair_loss` returns; the loss has a gradient."""

    #: Per pair, [P]; of kto_pair [2P], the chosen ones first.
    loss: Tensor
    #: [P].
    chosen_rewards: Tensor
    rejected_rewards: Tensor


def _tensors(inputs: Inputs) -> dict[str, Tensor | None]:
    return {name: inputs[name] for name in _LOGPS + _COUNTS} | learned(inputs)


def _memory(inputs: Inputs) -> Outputs:
    logps = inputs["policy_chosen"]
    (loss,) = decode(inputs["loss"]).descriptions
    pairs, dtype = length("policy_chosen", logps), figures_dtype(logps)
    return {
        "loss": new(logps, (pairs * loss.losses_per_pair,), dtype),
        "chosen_rewards": new(logps, (pairs,), dtype),
        "rejected_rewards": new(logps, (pairs,), dtype),
    }


def _run(inputs: Inputs, outputs: Outputs) -> None:
    args = PairLossArgs(loss_options=decode(inputs["loss"]).options)
    run("lr_pair_loss", args, _tensors(inputs) | outputs)


_FORWARD = Operator("pair_loss", _ARGUMENTS, 3, _memory, _run)


def _gradient_memory(inputs: Inputs) -> Outputs:
    like = inputs["policy_chosen"]
    return {f"grad_{name}": new_gradient(inputs[name], like) for name in _DIFFERENTIABLE}


def _run_backward(inputs: Inputs, outputs: Outputs) -> None:
    args = PairLossArgs(loss_options=decode(inputs["loss"]).options)
    given = [name for name in _DIFFERENTIABLE if inputs[name] is not None]
    gradients = {f"grad_{name}": outputs[f"grad_{name}"] for name in given}
    upstream = {"grad_loss": inputs["grad_loss"]}
    run("lr_pair_loss", args, _tensors(inputs) | upstream | gradients)


_BACKWARD = Operator(
    "pair_loss_backward",
    f"Tensor grad_loss, {_ARGUMENTS}",
    len(_DIFFERENTIABLE),
    _gradient_memory,
    _run_backward,
)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, ctx.loss = inputs
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(*output[1:])
    ctx.save_for_backward(*tensors)


@differentiable_once
def _backward(ctx: Any, grad_loss: Tensor | None, *_: None) -> tuple[Any, ...]:
    if grad_loss is None:
        return (None,) * len(_FORWARD.names)
    computed = _BACKWARD.op(grad_loss, *ctx.saved_tensors, ctx.loss)
    gradients = dict(zip(_DIFFERENTIABLE, computed))
    given = dict(zip(_FORWARD.names, ctx.saved_tensors))
    return tuple(
        gradients.get(name) if given.get(name) is not None else None for name in _FORWARD.names
    )


_FORWARD.op.register_autograd(_backward, setup_context=_setup)


def pair_loss(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    loss: LossLike,
    *,
    reference_chosen: Tensor | None = None,
    reference_rejected: Tensor | None = None,
    chosen_counts: Tensor | None = None,
    rejected_counts: Tensor | None = None,
    reference_free: bool = False,
) -> PairLoss:
    """A paired preference loss of sequence log-probabilities.

    Every tensor of log-probabilities has a gradient, and backward computes it for the upstream
    that comes, so that statistics over the batch are differentiated as they are.

    Args:
        policy_chosen: [P], any float, as the other log-probabilities.
        policy_rejected: [P].
        loss: a name of :func:`logratio.losses`, or a name and its options. The options beta,
            beta_kl, beta_mix and tau may be tensors, 0-dim, [1] or [P], and then have gradients.
        reference_chosen: [P] with reference_rejected: [P]; neither if the loss has no reference.
        chosen_counts: [P] and rejected_counts: [P], any float, int64 or int32: the lengths, of
            losses that divide by them; default 1.
        reference_free: takes the reference as 0; the two tensors must then be absent. Losses that
            never have a reference do not need it.

    Returns:
        float32, or float64 where policy_chosen is. With aot and aot_unpaired loss k belongs to rank
        k of the ascending stable sort.

    Raises:
        InvalidArgumentError: (a ValueError) an argument is wrong; the sentence names it.

    Papers and trainers that each loss comes from are in ``docs/losses.md``.
    """
    tensors = {
        "policy_chosen": policy_chosen,
        "policy_rejected": policy_rejected,
        "reference_chosen": reference_chosen,
        "reference_rejected": reference_rejected,
        "chosen_counts": chosen_counts,
        "rejected_counts": rejected_counts,
    }
    has_reference = reference_chosen is not None or reference_rejected is not None
    inputs = tensors | loss_inputs(loss, has_reference, reference_free, is_single=True)
    return PairLoss(*_FORWARD(inputs))
