"""Log-probabilities of tokens to those of sequences, and those to losses."""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import ArrayLike

from .._abi import PairLossArgs, SequenceLogpsArgs, UnpairedLossArgs
from .._errors import InvalidArgumentError
from .._losses import LEARNED, LossLike, Losses, check_reference, check_single, parse
from .._options import sequence_options
from ._arrays import Array, as_array, given, new, required, run, sequence_count, vector


class SequenceLogps(NamedTuple):
    """What :func:`sequence_logps` returns: float64."""

    #: [B].
    logps: Array
    #: Sums of the tokens' weights, [B].
    counts: Array
    #: [B,T] (packed: [N]); None without an upstream gradient.
    grad_token_logps: Array | None


def sequence_logps(
    token_logps: ArrayLike,
    mask: ArrayLike,
    *,
    grad_logps: ArrayLike | None = None,
    cu_seqlens: ArrayLike | None = None,
    reduction: str = "sum",
    tail_weight: float = 1.0,
    align: str = "completion",
    keep_fraction: float = 1.0,
) -> SequenceLogps:
    """Log-probabilities of sequences, of those of their tokens.

    Args:
        token_logps: [B,T], any float. Values at tokens that do not count are never read.
        mask: [B,T], bool, uint8, int32 or int64, or float32 weights: the tokens that count.
        grad_logps: [B], any float: the upstream gradient, for `grad_token_logps`.
        cu_seqlens: [B+1], int64 or int32, for packed sequences: 0, and then where each ends.
            Arrays [B,T] are then [N].
        reduction: ``"sum"``, or ``"mean"``, which divides by the sum of the weights, at least 1.
        tail_weight: weight of the tokens past the pair's shared ones, 0 (POET) to 1 (LD-DPO
            between); below 1 the first half of the sequences is chosen and the second rejected.
        align: ``"completion"`` or ``"absolute"``: which tokens of a pair are shared.
        keep_fraction: share of the shared tokens that are kept; needs a tail_weight below 1.

    Raises:
        InvalidArgumentError: (a ValueError) an argument is wrong; the sentence names it.
    """
    inputs = given(
        token_logps=required("token_logps", token_logps),
        mask=mask,
        cu_seqlens=cu_seqlens,
        grad_logps=grad_logps,
    )
    tokens = required("token_logps", token_logps)
    sequences = sequence_count(tokens, inputs["cu_seqlens"])
    outputs: dict[str, Any] = {
        "logps": new(sequences),
        "counts": new(sequences),
        "grad_token_logps": None if grad_logps is None else new(tokens.shape),
    }
    options = {
        "reduction": reduction,
        "tail_weight": tail_weight,
        "align": align,
        "keep_fraction": keep_fraction,
    }
    args = SequenceLogpsArgs(options=sequence_options(options))
    run("lr_sequence_logps", args, inputs | outputs)
    return SequenceLogps(**outputs)


class PairLoss(NamedTuple):
    """What :func:`pair_loss` returns: float64; a gradient is None where its input is absent."""

    #: Per pair, [P]; of kto_pair [2P], the chosen ones first.
    loss: Array
    chosen_rewards: Array
    rejected_rewards: Array
    grad_policy_chosen: Array
    grad_policy_rejected: Array
    grad_reference_chosen: Array | None
    grad_reference_rejected: Array | None
    #: Of a parameter that is an array, of its shape; of dlrml and discopop always, then [1].
    grad_beta: Array | None
    grad_beta_kl: Array | None
    grad_beta_mix: Array | None
    grad_tau: Array | None


def pair_loss(
    policy_chosen: ArrayLike,
    policy_rejected: ArrayLike,
    loss: LossLike,
    *,
    reference_chosen: ArrayLike | None = None,
    reference_rejected: ArrayLike | None = None,
    chosen_counts: ArrayLike | None = None,
    rejected_counts: ArrayLike | None = None,
    grad_loss: ArrayLike | None = None,
    reference_free: bool = False,
) -> PairLoss:
    """A paired preference loss of sequence log-probabilities, with every gradient.

    Args:
        policy_chosen: [P], any float, as the other log-probabilities.
        policy_rejected: [P].
        loss: a name of :func:`logratio.losses`, or a name and its options. The options beta,
            beta_kl, beta_mix and tau may be arrays, [1] or [P].
        reference_chosen: [P] with reference_rejected: [P]; neither if the loss has no reference.
        chosen_counts: [P] and rejected_counts: [P], any float, int64 or int32: the lengths, of
            losses that divide by them; default 1.
        grad_loss: of the loss's shape, any float: the upstream gradient; default 1/P, which makes
            the gradients those of the mean.
        reference_free: takes the reference as 0; the two arrays must then be absent. Losses that
            never have a reference do not need it.

    Raises:
        InvalidArgumentError: (a ValueError) an argument is wrong; the sentence names it.

    Papers and trainers that each loss comes from are in ``docs/losses.md``.
    """
    losses = one_loss(loss)
    (description,) = losses.descriptions
    inputs = given(
        policy_chosen=required("policy_chosen", policy_chosen),
        policy_rejected=required("policy_rejected", policy_rejected),
        reference_chosen=reference_chosen,
        reference_rejected=reference_rejected,
    )
    counts = given(
        chosen_counts=chosen_counts, rejected_counts=rejected_counts, grad_loss=grad_loss
    )
    has_reference = reference_chosen is not None or reference_rejected is not None
    check_reference(losses.names, has_reference, reference_free)
    parameters = learned_arrays(losses)
    pairs = len(required("policy_chosen", policy_chosen))
    outputs: dict[str, Any] = {
        "loss": new(pairs * description.losses_per_pair),
        "chosen_rewards": new(pairs),
        "rejected_rewards": new(pairs),
    }
    outputs |= {
        f"grad_{name}": None if array is None else new(array.shape)
        for name, array in inputs.items()
    }
    outputs |= parameter_gradients(losses, parameters)
    args = PairLossArgs(loss_options=losses.options)
    run("lr_pair_loss", args, inputs | counts | parameters | outputs)
    return PairLoss(**outputs)


class UnpairedLoss(NamedTuple):
    """What :func:`unpaired_loss` returns: float64."""

    #: [B].
    loss: Array
    rewards: Array
    #: Of kto, detached.
    kl: float
    grad_policy_logps: Array
    grad_reference_logps: Array


def unpaired_loss(
    policy_logps: ArrayLike,
    reference_logps: ArrayLike,
    chosen: ArrayLike,
    loss: LossLike,
    *,
    kl_policy_logps: ArrayLike | None = None,
    kl_reference_logps: ArrayLike | None = None,
    grad_loss: ArrayLike | None = None,
) -> UnpairedLoss:
    """An unpaired loss of sequence log-probabilities: kto, apo_zero_unpaired or bco.

    Args:
        policy_logps: [B], any float.
        reference_logps: [B], any float.
        chosen: [B], bool or uint8: whether an example is a desirable one.
        loss: its name, or its name and options, which are numbers.
        kl_policy_logps: [C] with kl_reference_logps: [C], any float, of kto: its KL is the mean of
            their differences, at least 0 and without a gradient; 0 without them.
        grad_loss: [B], any float: the upstream gradient; default 1/B.

    Raises:
        InvalidArgumentError: (a ValueError) an argument is wrong; the sentence names it.

    kto is from https://arxiv.org/abs/2402.01306, bco from https://arxiv.org/abs/2404.04656 and
    apo_zero_unpaired from https://arxiv.org/abs/2408.06266.
    """
    losses = unpaired(loss)
    policy = required("policy_logps", policy_logps)
    inputs = given(
        policy_logps=policy,
        reference_logps=required("reference_logps", reference_logps),
        chosen=required("chosen", chosen),
        kl_policy_logps=kl_policy_logps,
        kl_reference_logps=kl_reference_logps,
        grad_loss=grad_loss,
    )
    names = ("loss", "rewards", "grad_policy_logps", "grad_reference_logps")
    outputs: dict[str, Any] = {name: new(policy.shape) for name in names} | {"kl": new(1)}
    run("lr_unpaired_loss", UnpairedLossArgs(loss_options=losses.options), inputs | outputs)
    return UnpairedLoss(**outputs | {"kl": float(outputs["kl"][0])})


def one_loss(loss: LossLike) -> Losses:
    """Reads a loss of which there may be but one."""
    losses = parse(loss)
    check_single(losses.names)
    return losses


def unpaired(loss: LossLike) -> Losses:
    """Reads a loss of examples, whose options are all numbers; one may be a scalar of NumPy."""
    losses = one_loss(loss)
    for name, value in losses.learned.items():
        if as_array(name, value).ndim:
            raise InvalidArgumentError(f"{name}: expected a number, got an array")
        setattr(losses.options[0], name, float(value))
    return losses


def learned_arrays(losses: Losses) -> dict[str, Array]:
    """The parameters that are arrays, [1] or [P]; one without dimensions becomes [1]."""
    return {name: vector(name, array) for name, array in losses.learned.items()}


def parameter_gradients(losses: Losses, parameters: dict[str, Array]) -> dict[str, Array | None]:
    """Memory for the gradients of a single loss's parameters, None where it has none."""
    gradients: dict[str, Array | None] = {f"grad_{name}": None for name in LEARNED}
    if len(losses.names) > 1:
        return gradients
    (description,) = losses.descriptions
    for name in LEARNED:
        array = parameters.get(name)
        option = description.options.get(name)
        if array is not None:
            gradients[f"grad_{name}"] = new(array.shape)
        elif option is not None and option.has_gradient:
            gradients[f"grad_{name}"] = new(1)
    return gradients
