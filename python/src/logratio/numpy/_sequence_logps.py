"""Log-probabilities of tokens to those of sequences."""

from __future__ import annotations

from typing import NamedTuple

from .._abi import SequenceLogpsArgs
from .._options import sequence_options
from ._arrays import Array, Float64s, check_arrays, check_numbers, figures, run, sequence_count


class SequenceLogps(NamedTuple):
    """What :func:`sequence_logps` returns."""

    #: [B].
    logps: Float64s
    #: Sums of the tokens' weights, [B].
    counts: Float64s
    #: Of the mask's shape, where grad_logps are given; 0 at tokens that do not count.
    grad_token_logps: Float64s | None


def sequence_logps(
    token_logps: Array,
    mask: Array,
    *,
    grad_logps: Array | None = None,
    cu_seqlens: Array | None = None,
    reduction: str = "sum",
    tail_weight: float = 1.0,
    align: str = "completion",
    keep_fraction: float = 1.0,
) -> SequenceLogps:
    """Log-probabilities of sequences, of those of their tokens.

    Args:
        token_logps: [B,T], any float. Values at tokens that do not count are never read.
        mask: [B,T], bool, uint8, int32 or int64, or float32 weights: the tokens that count.
        grad_logps: [B], any float: the upstream gradient, for that of token_logps.
        cu_seqlens: [B+1], int64 or int32, for packed sequences: 0, and then where each ends.
            Arrays [B,T] are then [N].
        reduction: ``"sum"``, or ``"mean"``, which divides by the sum of the weights, at least 1.
        tail_weight: weight of the tokens past the pair's shared ones, 0 (POET) to 1; between the
            two it is LD-DPO's. Below 1 the first half of the sequences is chosen and the second
            rejected.
        align: ``"completion"`` or ``"absolute"``: which tokens of a pair are shared.
        keep_fraction: share of the shared tokens that are kept; needs a tail_weight below 1.

    Raises:
        InvalidArgumentError: (a ValueError) an argument is wrong; the sentence names it.
        UnavailableError, FailedError: (RuntimeErrors) the library is missing or failed.
    """
    inputs = {
        "token_logps": token_logps,
        "mask": mask,
        "grad_logps": grad_logps,
        "cu_seqlens": cu_seqlens,
    }
    check_arrays(("token_logps", "mask"), inputs)
    numbers = {"tail_weight": tail_weight, "keep_fraction": keep_fraction}
    check_numbers({}, numbers)
    args = SequenceLogpsArgs(
        options=sequence_options({"reduction": reduction, "align": align, **numbers})
    )
    sequences = sequence_count("token_logps", token_logps, cu_seqlens)
    logps, counts = figures(sequences), figures(sequences)
    gradient = None if grad_logps is None else figures(*mask.shape)
    outputs = {"logps": logps, "counts": counts, "grad_token_logps": gradient}
    run("lr_sequence_logps", args, inputs | outputs)
    return SequenceLogps(logps, counts, gradient)
