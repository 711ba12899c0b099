"""Logits to log-probabilities of labels, and back."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._abi import TokenLogprobsArgs, TokenLogprobsBackwardArgs
from .._errors import InvalidArgumentError
from .._options import positive, token_options
from ._arrays import (
    Array,
    Float64s,
    Int64s,
    check_arrays,
    check_numbers,
    figures,
    gradient_of,
    length,
    run,
)


class TokenLogprobs(NamedTuple):
    """What :func:`token_logprobs` returns; shapes are those of the rows unless said otherwise."""

    #: Log-probabilities of the labels, of their shape.
    logp: Float64s
    #: log-sum-exp(z).
    lse: Float64s
    #: log-sum-exp(2 z).
    lse2: Float64s
    #: Of softmax(z), in nats.
    entropy: Float64s
    #: The column of the largest logit, the lowest of equal ones.
    argmax: Int64s
    #: Mean of z over the columns where it is not -inf.
    mean_logit: Float64s
    #: With K labels per row: log of the probability that they leave, -inf where it is none.
    tail: Float64s | None
    #: With kept columns: how many rows have their label not among them.
    outside: int | None
    #: Of the logits' shape and dtype, where an upstream gradient is given.
    grad_logits: Array | None


def token_logprobs(
    logits: Array,
    labels: Array,
    *,
    grad_logp: Array | None = None,
    grad_entropy: Array | None = None,
    grad_lse: Array | None = None,
    grad_tail: Array | None = None,
    kept_offsets: Array | None = None,
    kept_ids: Array | None = None,
    ignore_index: int = -100,
    temperature: float = 1.0,
    softcap: float = 0.0,
    vocab: int | None = None,
) -> TokenLogprobs:
    """Log-probability of a label per row of logits, and the other figures of a row.

    ``z`` is ``softcap(logits) / temperature`` below. Logits of -inf have probability 0; a row that
    is all -inf, or holds +inf or NaN, gives NaN in that row only.

    Args:
        logits: [N,V] or [B,T,V], float32, bfloat16 or float16, of any strides but for a contiguous
            last dimension.
        labels: [N] or [B,T], int64 or int32, in [0,vocab) or ignore_index; or [N,K] or [B,T,K], up
            to 1024 labels per row that differ from each other.
        grad_logp: of the labels' shape, any float, as the other upstream gradients.
        grad_entropy: [N] or [B,T].
        grad_lse: [N] or [B,T], what a z-loss hands back.
        grad_tail: [N] or [B,T], with K labels.
        kept_offsets: [N+1], int64 or int32, with kept_ids: [M]: the columns that top-k or top-p
            sampling kept, row after row and ascending in each; N is the number of rows. All
            figures are then of the softmax over these columns, and labels are one per row.
        kept_ids: [M], int64 or int32.
        ignore_index: the label of rows to ignore; their log-probability and gradient are 0.
        temperature: what logits are divided by, after the softcap.
        softcap: ``c * tanh(logits / c)`` for a value c above 0.
        vocab: number of columns that are no padding; default all.

    Returns:
        All figures, and with an upstream gradient ``grad_logits``, which adds up over those given.

    Raises:
        InvalidArgumentError: (a ValueError) an argument is wrong; the sentence names it.
        UnavailableError, FailedError: (RuntimeErrors) the library is missing or failed.
    """
    kept = {"kept_offsets": kept_offsets, "kept_ids": kept_ids}
    inputs = {"logits": logits, "labels": labels, **kept}
    upstreams = {
        "grad_logp": grad_logp,
        "grad_entropy": grad_entropy,
        "grad_lse": grad_lse,
        "grad_tail": grad_tail,
    }
    check_arrays(("logits", "labels"), inputs | upstreams)
    length("logits", logits)
    check_numbers(
        {"ignore_index": ignore_index, "vocab": vocab},
        {"temperature": temperature, "softcap": softcap},
    )
    options = token_options(
        {
            "ignore_index": ignore_index,
            "temperature": temperature,
            "softcap": softcap,
            "vocab": positive("vocab", vocab),
        }
    )
    rows = logits.shape[:-1]
    is_kept = any(array is not None for array in kept.values())
    has_tail = labels.ndim == logits.ndim
    if grad_tail is not None and not has_tail:
        raise InvalidArgumentError("grad_tail: expected labels [N,K] or [B,T,K], several per row")
    logp = figures(*labels.shape)
    lse, lse2, entropy, mean_logit = (figures(*rows) for _ in range(4))
    argmax = np.empty(rows, np.int64)
    tail = figures(*rows) if has_tail else None
    outside = np.zeros(1, np.int64) if is_kept else None
    outputs = {
        "logp": logp,
        "lse": lse,
        "lse2": lse2,
        "entropy": entropy,
        "argmax": argmax,
        "mean_logit": mean_logit,
        "tail": tail,
        "outside": outside,
    }
    run("lr_token_logprobs", TokenLogprobsArgs(options=options), inputs | outputs)
    grad_logits = None
    if any(upstream is not None for upstream in upstreams.values()):
        grad_logits = gradient_of(logits)
        saved = {"lse": lse, "entropy": entropy, "tail": tail}
        run(
            "lr_token_logprobs_backward",
            TokenLogprobsBackwardArgs(options=options),
            inputs | saved | upstreams | {"grad_logits": grad_logits},
        )
    return TokenLogprobs(
        logp,
        lse,
        lse2,
        entropy,
        argmax,
        mean_logit,
        tail,
        None if outside is None else int(outside[0]),
        grad_logits,
    )
