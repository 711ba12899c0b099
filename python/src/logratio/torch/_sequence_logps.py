"""Log-probabilities of tokens to those of sequences."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from .._abi import SequenceLogpsArgs
from .._options import sequence_options
from ._arrays import figures_dtype, new, run, sequence_count
from ._operator import Inputs, Operator, Outputs
from ._upstream import differentiable_once

_OPTIONS = "str reduction, str align, float tail_weight, float keep_fraction"


class SequenceLogps(NamedTuple):
    """What :func:`sequence_logps` returns; the log-probabilities have a gradient."""

    #: [B].
    logps: Tensor
    #: Sums of the tokens' weights, [B].
    counts: Tensor


def _memory(inputs: Inputs) -> Outputs:
    tokens = inputs["token_logps"]
    sequences = sequence_count("token_logps", tokens, inputs["cu_seqlens"])
    dtype = figures_dtype(tokens)
    return {name: new(tokens, (sequences,), dtype) for name in ("logps", "counts")}


def _run(inputs: Inputs, outputs: Outputs) -> None:
    args = SequenceLogpsArgs(options=sequence_options(inputs))
    tensors = {name: inputs[name] for name in ("token_logps", "mask", "cu_seqlens")}
    run("lr_sequence_logps", args, tensors | outputs)


_FORWARD = Operator(
    "sequence_logps",
    f"Tensor token_logps, Tensor mask, Tensor? cu_seqlens, {_OPTIONS}",
    2,
    _memory,
    _run,
)


def _gradient_memory(inputs: Inputs) -> Outputs:
    grad_logps, mask = inputs["grad_logps"], inputs["mask"]
    return {"grad_token_logps": new(grad_logps, mask.shape, grad_logps.dtype)}


def _run_backward(inputs: Inputs, outputs: Outputs) -> None:
    args = SequenceLogpsArgs(options=sequence_options(inputs))
    tensors = {name: inputs[name] for name in ("mask", "cu_seqlens", "grad_logps")}
    run("lr_sequence_logps", args, tensors | outputs)


_BACKWARD = Operator(
    "sequence_logps_backward",
    f"Tensor grad_logps, Tensor mask, Tensor? cu_seqlens, {_OPTIONS}",
    1,
    _gradient_memory,
    _run_backward,
)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    token_logps, mask, cu_seqlens, *ctx.options = inputs
    ctx.dtype = token_logps.dtype
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(mask, cu_seqlens)


@differentiable_once
def _backward(ctx: Any, grad_logps: Tensor | None, _: None) -> tuple[Any, ...]:
    if grad_logps is None:
        return (None,) * len(_FORWARD.names)
    gradient = _BACKWARD.op(grad_logps, *ctx.saved_tensors, *ctx.options)
    return gradient.to(ctx.dtype), *[None] * (len(_FORWARD.names) - 1)


_FORWARD.op.register_autograd(_backward, setup_context=_setup)


def sequence_logps(
    token_logps: Tensor,
    mask: Tensor,
    *,
    cu_seqlens: Tensor | None = None,
    reduction: str = "sum",
    tail_weight: float = 1.0,
    align: str = "completion",
    keep_fraction: float = 1.0,
) -> SequenceLogps:
    """Log-probabilities of sequences, of those of their tokens.

    Args:
        token_logps: [B,T], any float. Values at tokens that do not count are never read.
        mask: [B,T], bool, uint8, int32 or int64, or float32 weights: the tokens that count.
        cu_seqlens: [B+1], int64 or int32, for packed sequences: 0, and then where each ends.
            Tensors [B,T] are then [N].
        reduction: ``"sum"``, or ``"mean"``, which divides by the sum of the weights, at least 1.
        tail_weight: weight of the tokens past the pair's shared ones, 0 to 1; below 1 the first
            half of the sequences is chosen and the second rejected.
        align: ``"completion"`` or ``"absolute"``: which tokens of a pair are shared.
        keep_fraction: share of the shared tokens that are kept; needs a tail_weight below 1.

    Returns:
        float32, or float64 where token_logps are.

    Raises:
        InvalidArgumentError: (a ValueError) an argument is wrong; the sentence names it.
    """
    inputs = {
        "token_logps": token_logps,
        "mask": mask,
        "cu_seqlens": cu_seqlens,
        "reduction": reduction,
        "align": align,
        "tail_weight": tail_weight,
        "keep_fraction": keep_fraction,
    }
    return SequenceLogps(*_FORWARD(inputs))
