"""Log-probabilities of pairs to losses, rewards and gradients."""

from __future__ import annotations

from typing import NamedTuple

from .._abi import PairLossArgs
from .._losses import LEARNED, LossLike
from ._arrays import Array, Float64s, check_arrays, figures, length, run
from ._losses import learned_gradients, paired, single


class PairLoss(NamedTuple):
    """What :func:`pair_loss` returns; a gradient that there is not is None."""

    #: Per pair, [P]; of kto_pair [2P], the chosen ones first.
    loss: Float64s
    #: [P].
    chosen_rewards: Float64s
    rejected_rewards: Float64s
    #: [P], as the other gradients of log-probabilities.
    grad_policy_chosen: Float64s | None = None
    grad_policy_rejected: Float64s | None = None
    grad_reference_chosen: Float64s | None = None
    grad_reference_rejected: Float64s | None = None
    #: Of the parameter's shape where it is an array; else [1], of discopop (beta and tau) and dlrml
    #: (the other three) alone.
    grad_beta: Float64s | None = None
    grad_beta_kl: Float64s | None = None
    grad_beta_mix: Float64s | None = None
    grad_tau: Float64s | None = None


def pair_loss(
    policy_chosen: Array,
    policy_rejected: Array,
    loss: LossLike,
    *,
    reference_chosen: Array | None = None,
    reference_rejected: Array | None = None,
    chosen_counts: Array | None = None,
    rejected_counts: Array | None = None,
    reference_free: bool = False,
    grad_loss: Array | None = None,
    grad: bool = True,
) -> PairLoss:
    """A paired preference loss of sequence log-probabilities, and every gradient.

    Args:
        policy_chosen: [P], any float, as the other log-probabilities.
        policy_rejected: [P].
        loss: a name of :func:`logratio.losses`, or a name and its options. The options beta,
            beta_kl, beta_mix and tau may be arrays, 0-dim, [1] or [P].
        reference_chosen: [P] with reference_rejected: [P]; neither if the loss has no reference.
        chosen_counts: [P] and rejected_counts: [P], any float, int64 or int32: the lengths, of
            losses that divide by them; default 1.
        reference_free: takes the reference as 0; the two arrays must then be absent. Losses that
            never have a reference do not need it.
        grad_loss: any float of the loss's shape: its upstream gradient; default that of the mean.
        grad: whether gradients are computed.

    Returns:
        float64 arrays. With aot and aot_unpaired loss k, and grad_loss k, belong to rank k of the
        ascending stable sort.

    Raises:
        InvalidArgumentError: (a ValueError) an argument is wrong; the sentence names it.
        UnavailableError, FailedError: (RuntimeErrors) the library is missing or failed.

    Papers and trainers that each loss comes from are in ``docs/losses.md``.
    """
    logps = {
        "policy_chosen": policy_chosen,
        "policy_rejected": policy_rejected,
        "reference_chosen": reference_chosen,
        "reference_rejected": reference_rejected,
    }
    others = {
        "chosen_counts": chosen_counts,
        "rejected_counts": rejected_counts,
        "grad_loss": grad_loss,
    }
    check_arrays(("policy_chosen", "policy_rejected"), logps | others)
    has_reference = reference_chosen is not None or reference_rejected is not None
    losses, parameters = paired(loss, has_reference, reference_free)
    (description,) = single(losses).descriptions
    pairs = length("policy_chosen", policy_chosen)
    outputs = {
        "loss": figures(pairs * description.losses_per_pair),
        "chosen_rewards": figures(pairs),
        "rejected_rewards": figures(pairs),
    }
    if grad:
        outputs |= {
            f"grad_{name}": figures(pairs) for name, array in logps.items() if array is not None
        }
        outputs |= {
            f"grad_{name}": figures(1)
            for name in LEARNED
            if name in description.options and description.options[name].has_gradient
        }
        outputs |= learned_gradients(parameters)
    args = PairLossArgs(loss_options=losses.options)
    run("lr_pair_loss", args, logps | others | parameters | outputs)
    return PairLoss(**outputs)
