"""Log-probabilities of labels from hidden states, without their logits."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .. import _abi
from .._options import positive, token_options
from .._plan import LinearPlan, plan_of
from ._arrays import Array, given, new, required, run
from ._linear import head_gradients, linear_fields


class LinearTokenLogprobs(NamedTuple):
    """What :func:`linear_token_logprobs` returns: float64, of the labels' shape."""

    #: 0 where labels are ignored.
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
    #: Of the shape and dtype of what they are of; None without an upstream gradient, and for what
    #: is frozen.
    grad_hidden: Array | None
    grad_weight: Array | None
    grad_bias: Array | None
    plan: LinearPlan


def linear_token_logprobs(
    hidden: ArrayLike,
    weight: ArrayLike,
    labels: ArrayLike,
    *,
    bias: ArrayLike | None = None,
    grad_logp: ArrayLike | None = None,
    grad_entropy: ArrayLike | None = None,
    grad_lse: ArrayLike | None = None,
    budget_bytes: int | None = None,
    frozen: str = "none",
    ignore_index: int = -100,
    temperature: float = 1.0,
    softcap: float = 0.0,
    vocab: int | None = None,
) -> LinearTokenLogprobs:
    """:func:`token_logprobs` of ``hidden @ weight.T + bias``, whose logits are never held whole.

    Args:
        hidden: [N,H] or [B,T,H], float32, float16 or bfloat16 (of ml_dtypes), the last dimension
            contiguous.
        weight: [V,H], of the same dtype.
        labels: [N] or [B,T], int64 or int32; one label per row.
        bias: [V], float32, float16 or bfloat16.
        grad_logp, grad_entropy, grad_lse: a number per row, any float: upstream gradients. With
            one of them there are gradients of hidden, weight and bias.
        budget_bytes: for logits that are kept from the forward to the backward, and for the
            threads' tiles; at least 4 V. Default: 256 MiB. Results do not depend on it.
        frozen: ``"weight"`` (and the bias) or ``"hidden"`` has no gradient; ``"none"``: all have.

    The other arguments and the errors are those of :func:`token_logprobs`. Logits are products in
    float32, rounded nowhere, of any dtype.
    """
    hidden, weight = required("hidden", hidden, 2), required("weight", weight, 2)
    labels = required("labels", labels)
    head = {"hidden": hidden, "weight": weight, **given(bias=bias)}
    upstream = given(grad_logp=grad_logp, grad_entropy=grad_entropy, grad_lse=grad_lse)
    has_upstream = any(x is not None for x in upstream.values())
    gradients = head_gradients(head, frozen, has_upstream)
    plan = _abi.LinearPlan()
    options = {
        "ignore_index": ignore_index,
        "temperature": temperature,
        "softcap": softcap,
        "vocab": positive("vocab", vocab),
    }
    args = _abi.LinearTokenLogprobsArgs(
        token_options=token_options(options), **linear_fields(budget_bytes, frozen, plan)
    )
    figures = ("logp", "lse", "lse2", "entropy", "argmax", "mean_logit")
    outputs = {
        name: new(labels.shape, np.int64 if name == "argmax" else np.float64) for name in figures
    }
    tensors = head | {"labels": labels} | upstream | outputs | gradients
    run("lr_linear_token_logprobs", args, tensors)
    return LinearTokenLogprobs(**outputs, **gradients, plan=plan_of(plan))
