"""Log-probabilities of examples that are each good or bad to losses, rewards and gradients."""

from __future__ import annotations

from typing import NamedTuple

from .._abi import UnpairedLossArgs
from .._losses import LossLike
from ._arrays import Array, Float64s, check_arrays, figures, length, run
from ._losses import unpaired


class UnpairedLoss(NamedTuple):
    """What :func:`unpaired_loss` returns; gradients are None with ``grad=False``."""

    #: Per example, [B].
    loss: Float64s
    #: beta times the log-ratio, [B].
    rewards: Float64s
    #: The estimate of the KL that kto subtracts.
    kl: float
    #: [B].
    grad_policy_logps: Float64s | None
    grad_reference_logps: Float64s | None


def unpaired_loss(
    policy_logps: Array,
    reference_logps: Array,
    chosen: Array,
    loss: LossLike,
    *,
    kl_policy_logps: Array | None = None,
    kl_reference_logps: Array | None = None,
    grad_loss: Array | None = None,
    grad: bool = True,
) -> UnpairedLoss:
    """An unpaired loss of sequence log-probabilities: kto, apo_zero_unpaired or bco.

    Args:
        policy_logps: [B], any float.
        reference_logps: [B], any float.
        chosen: [B], bool or uint8: whether an example is a desirable one.
        loss: its name, or its name and options, which are numbers.
        kl_policy_logps: [C] with kl_reference_logps: [C], any float, of kto: its KL is the mean of
            their differences, at least 0 and without a gradient; 0 without them.
        grad_loss: [B], any float: the upstream gradient; default that of the mean, 1/B.
        grad: whether gradients are computed.

    Raises:
        InvalidArgumentError: (a ValueError) an argument is wrong; the sentence names it.
        UnavailableError, FailedError: (RuntimeErrors) the library is missing or failed.

    kto is from https://arxiv.org/abs/2402.01306, bco from https://arxiv.org/abs/2404.04656 and
    apo_zero_unpaired from https://arxiv.org/abs/2408.06266.
    """
    inputs = {
        "policy_logps": policy_logps,
        "reference_logps": reference_logps,
        "chosen": chosen,
        "kl_policy_logps": kl_policy_logps,
        "kl_reference_logps": kl_reference_logps,
        "grad_loss": grad_loss,
    }
    check_arrays(("policy_logps", "reference_logps", "chosen"), inputs)
    args = UnpairedLossArgs(loss_options=unpaired(loss).options)
    count = length("policy_logps", policy_logps)
    values, rewards, kl = figures(count), figures(count), figures(1)
    of_policy = figures(count) if grad else None
    of_reference = figures(count) if grad else None
    outputs = {
        "loss": values,
        "rewards": rewards,
        "kl": kl,
        "grad_policy_logps": of_policy,
        "grad_reference_logps": of_reference,
    }
    run("lr_unpaired_loss", args, inputs | outputs)
    return UnpairedLoss(values, rewards, float(kl[0]), of_policy, of_reference)
