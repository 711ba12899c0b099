"""Log-probabilities of examples that are each good or bad to losses and rewards."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from .._abi import UnpairedLossArgs
from .._losses import LossLike, decode
from ._arrays import figures_dtype, new, new_gradient, run
from ._losses import single_loss
from ._operator import Inputs, Operator, Outputs
from ._upstream import differentiable_once

_TENSORS = ("policy_logps", "reference_logps", "chosen", "kl_policy_logps", "kl_reference_logps")
_ARGUMENTS = (
    "Tensor policy_logps, Tensor reference_logps, Tensor chosen, Tensor? kl_policy_logps, "
    "Tensor? kl_reference_logps, str loss"
)
_DIFFERENTIABLE = ("policy_logps", "reference_logps")


class UnpairedLoss(NamedTuple):
    """What :func:`unpaired_loss` returns; the loss has a gradient."""

    #: Per example, [B].
    loss: Tensor
    #: beta times the log-ratio, [B].
    rewards: Tensor
    #: The estimate of the KL that kto subtracts, a 0-dim tensor.
    kl: Tensor


def _memory(inputs: Inputs) -> Outputs:
    logps = inputs["policy_logps"]
    dtype = figures_dtype(logps)
    return {
        "loss": new(logps, logps.shape, dtype),
        "rewards": new(logps, logps.shape, dtype),
        "kl": new(logps, (1,), dtype),
    }


def _run(inputs: Inputs, outputs: Outputs) -> None:
    args = UnpairedLossArgs(loss_options=decode(inputs["loss"]).options)
    run("lr_unpaired_loss", args, {name: inputs[name] for name in _TENSORS} | outputs)


_FORWARD = Operator("unpaired_loss", _ARGUMENTS, 3, _memory, _run)


def _gradient_memory(inputs: Inputs) -> Outputs:
    return {f"grad_{name}": new_gradient(inputs[name], inputs[name]) for name in _DIFFERENTIABLE}


def _run_backward(inputs: Inputs, outputs: Outputs) -> None:
    args = UnpairedLossArgs(loss_options=decode(inputs["loss"]).options)
    tensors = {name: inputs[name] for name in (*_TENSORS, "grad_loss")}
    run("lr_unpaired_loss", args, tensors | outputs)


_BACKWARD = Operator(
    "unpaired_loss_backward",
    f"Tensor grad_loss, {_ARGUMENTS}",
    2,
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
    gradients = (None, None)
    if grad_loss is not None:
        gradients = _BACKWARD.op(grad_loss, *ctx.saved_tensors, ctx.loss)
    return *gradients, *[None] * (len(_FORWARD.names) - 2)


_FORWARD.op.register_autograd(_backward, setup_context=_setup)


def unpaired_loss(
    policy_logps: Tensor,
    reference_logps: Tensor,
    chosen: Tensor,
    loss: LossLike,
    *,
    kl_policy_logps: Tensor | None = None,
    kl_reference_logps: Tensor | None = None,
) -> UnpairedLoss:
    """An unpaired loss of sequence log-probabilities: kto, apo_zero_unpaired or bco.

    Args:
        policy_logps: [B], any float.
        reference_logps: [B], any float.
        chosen: [B], bool or uint8: whether an example is a desirable one.
        loss: its name, or its name and options, which are numbers.
        kl_policy_logps: [C] with kl_reference_logps: [C], any float, of kto: its KL is the mean of
            their differences, at least 0 and without a gradient; 0 without them.

    Returns:
        float32, or float64 where policy_logps are.

    Raises:
        InvalidArgumentError: (a ValueError) an argument is wrong; the sentence names it.

    kto is from https://arxiv.org/abs/2402.01306, bco from https://arxiv.org/abs/2404.04656 and
    apo_zero_unpaired from https://arxiv.org/abs/2408.06266.
    """
    tensors = {
        "policy_logps": policy_logps,
        "reference_logps": reference_logps,
        "chosen": chosen,
        "kl_policy_logps": kl_policy_logps,
        "kl_reference_logps": kl_reference_logps,
    }
    loss_of_examples, rewards, kl = _FORWARD(tensors | {"loss": single_loss(loss)})
    return UnpairedLoss(loss_of_examples, rewards, kl[0])
