"""Log-probabilities of labels, and what else one read of the logits gives."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .._abi import TokenLogprobsArgs, TokenLogprobsBackwardArgs
from .._errors import InvalidArgumentError
from .._options import positive, token_options
from ._arrays import Array, given, gradient_of, new, required, run


class TokenLogprobs(NamedTuple):
    """What :func:`token_logprobs` returns: float64, one number per row unless said otherwise."""

    #: Of the labels' shape; 0 where they are ignored.
    logp: Array
    #: Log-sum-exp of z, and of 2z.
    lse: Array
    lse2: Array
    #: In nats.
    entropy: Array
    #: int64, of the raw logits, the lowest index on ties.
    argmax: Array
    #: Mean of z over the columns where it is not -inf.
    mean_logit: Array
    #: Log of the probability that several labels leave; None with one label per row.
    tail: Array | None
    #: int64 [1], the rows whose label is not kept; None without kept_ids.
    outside: Array | None
    #: Of the logits' shape and dtype; None without an upstream gradient.
    grad_logits: Array | None


def token_logprobs(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    grad_logp: ArrayLike | None = None,
    grad_entropy: ArrayLike | None = None,
    grad_lse: ArrayLike | None = None,
    grad_tail: ArrayLike | None = None,
    kept_offsets: ArrayLike | None = None,
    kept_ids: ArrayLike | None = None,
    ignore_index: int = -100,
    temperature: float = 1.0,
    softcap: float = 0.0,
    vocab: int | None = None,
) -> TokenLogprobs:
    """Log-probabilities of labels, the other figures of each row, and the gradient of the logits.

    Args:
        logits: [N,V] or [B,T,V], float32, float16 or bfloat16 (of ml_dtypes), the last dimension
            contiguous. z is softcap(logits) / temperature.
        labels: [N] or [B,T], int64 or int32; or [N,K] or [B,T,K], up to 1024 that differ per row.
        grad_logp: of the labels' shape, any float: the upstream gradient of logp. With it, or with
            another upstream gradient, there is `grad_logits`.
        grad_entropy, grad_lse, grad_tail: a number per row, any float. grad_lse is what a z-loss
            hands back; grad_tail is of several labels.
        kept_offsets: [N+1], int64 or int32, with kept_ids: [M], ascending in each row: the columns
            that each row keeps, as a sampler with top-k or top-p drew from them.
        ignore_index: the label of rows to ignore.
        temperature: above 0.
        softcap: ``c * tanh(logits / c)`` for a value c above 0; 0 is none.
        vocab: number of columns that are no padding; default all.

    Raises:
        InvalidArgumentError: (a ValueError) an argument is wrong; the sentence names it.
    """
    logits, labels = required("logits", logits, 2), required("labels", labels)
    options = {
        "ignore_index": ignore_index,
        "temperature": temperature,
        "softcap": softcap,
        "vocab": positive("vocab", vocab),
    }
    inputs = given(logits=logits, labels=labels, kept_offsets=kept_offsets, kept_ids=kept_ids)
    rows = logits.shape[:-1]
    has_tail = labels.ndim == logits.ndim
    if grad_tail is not None and not has_tail:
        raise InvalidArgumentError("grad_tail: expected labels [N,K] or [B,T,K], several per row")
    outputs: dict[str, Any] = {
        "logp": new(labels.shape),
        "lse": new(rows),
        "lse2": new(rows),
        "entropy": new(rows),
        "argmax": new(rows, np.int64),
        "mean_logit": new(rows),
        "tail": new(rows) if has_tail else None,
        "outside": None if kept_ids is None else new(1, np.int64),
    }
    run("lr_token_logprobs", TokenLogprobsArgs(options=token_options(options)), inputs | outputs)
    upstream = given(
        grad_logp=grad_logp, grad_entropy=grad_entropy, grad_lse=grad_lse, grad_tail=grad_tail
    )
    grad_logits = None
    if any(gradient is not None for gradient in upstream.values()):
        grad_logits = gradient_of(logits)
        known = {"lse": outputs["lse"]}
        known |= {
            name: outputs[name]
            for name in ("entropy", "tail")
            if upstream[f"grad_{name}"] is not None
        }
        args = TokenLogprobsBackwardArgs(options=token_options(options))
        run(
            "lr_token_logprobs_backward",
            args,
            inputs | known | upstream | {"grad_logits": grad_logits},
        )
    return TokenLogprobs(**outputs, grad_logits=grad_logits)
