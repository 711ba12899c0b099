"""Log-probabilities of labels, and what else one read of the logits gives.

The operator reads the logits once. Its backward reads them once more and writes the gradient, with
all upstream gradients taken in on the way.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .._abi import TokenLogprobsArgs, TokenLogprobsBackwardArgs
from .._options import positive, token_options
from ._arrays import absent, check_tensors, length, new, run
from ._inplace import check_fresh, check_writable, overwritten, untraced
from ._operator import Inputs, Operator, Outputs
from ._upstream import differentiable_once

_OPTIONS = "int ignore_index, float temperature, float softcap, int vocab"
_KEPT = ("kept_offsets", "kept_ids")

#: Outputs, in the operator's order, and their dtypes. What backward needs again is float64.
_OUTPUTS = {
    "logp": torch.float32,
    "lse": torch.float64,
    "entropy": torch.float32,
    "tail": torch.float64,
    "lse2": torch.float32,
    "argmax": torch.int64,
    "mean_logit": torch.float32,
    "outside": torch.int64,
}
_ALWAYS = ("logp", "lse")
_DIFFERENTIABLE = ("logp", "lse", "entropy", "tail")


def _wanted(inputs: Inputs) -> list[str]:
    named = inputs["wanted"].split(",")
    return [name for name in _OUTPUTS if name in _ALWAYS or name in named]


def _memory(inputs: Inputs) -> Outputs:
    logits, labels = inputs["logits"], inputs["labels"]
    shapes = {"logp": labels.shape, "outside": (1,)}
    wanted = _wanted(inputs)
    return {
        name: new(logits, shapes.get(name, logits.shape[:-1]), dtype)
        if name in wanted
        else absent(logits)
        for name, dtype in _OUTPUTS.items()
    }


def _run(inputs: Inputs, outputs: Outputs) -> None:
    args = TokenLogprobsArgs(options=token_options(inputs))
    tensors = {name: inputs[name] for name in ("logits", "labels", *_KEPT)}
    run("lr_token_logprobs", args, tensors | {name: outputs[name] for name in _wanted(inputs)})


_FORWARD = Operator(
    "token_logprobs",
    f"Tensor logits, Tensor labels, Tensor? kept_offsets, Tensor? kept_ids, str wanted, {_OPTIONS}",
    len(_OUTPUTS),
    _memory,
    _run,
)

_SAVED = ("logits", "labels", *_KEPT, "lse", "entropy", "tail")
_UPSTREAM = tuple(f"grad_{name}" for name in _DIFFERENTIABLE)


def _gradient_memory(inputs: Inputs) -> Outputs:
    logits = inputs["logits"]
    return {"grad_logits": new(logits, logits.shape, logits.dtype)}


def _run_backward(inputs: Inputs, outputs: Outputs) -> None:
    args = TokenLogprobsBackwardArgs(options=token_options(inputs))
    run("lr_token_logprobs_backward", args, {n: inputs[n] for n in _SAVED + _UPSTREAM} | outputs)


_BACKWARD = Operator(
    "token_logprobs_backward",
    "Tensor logits, Tensor labels, Tensor? kept_offsets, Tensor? kept_ids, Tensor lse, "
    "Tensor? entropy, Tensor? tail, Tensor? grad_logp, Tensor? grad_lse, Tensor? grad_entropy, "
    f"Tensor? grad_tail, {_OPTIONS}",
    1,
    _gradient_memory,
    _run_backward,
)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    given, outputs = _FORWARD.named(inputs), dict(zip(_OUTPUTS, output))
    wanted = _wanted(given)
    ctx.options = inputs[-4:]
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(
        *(x for name, x in outputs.items() if name not in _DIFFERENTIABLE or name not in wanted)
    )
    saved = given | {name: x if name in wanted else None for name, x in outputs.items()}
    ctx.save_for_backward(*(saved[name] for name in _SAVED))


def _gradients(ctx: Any, upstreams: tuple[Tensor | None, ...], inplace: bool) -> tuple[Any, ...]:
    upstreams = upstreams[: len(_DIFFERENTIABLE)]
    gradient = None
    if any(upstream is not None for upstream in upstreams):
        values = (*ctx.saved_tensors, *upstreams, *ctx.options)
        if inplace:
            inputs = _BACKWARD.named(values)
            check_fresh("logits", inputs["logits"])
            _run_backward(inputs, {"grad_logits": inputs["logits"]})
            gradient = overwritten(inputs["logits"])
        else:
            gradient = _BACKWARD.op(*values)
    return gradient, *[None] * (len(_FORWARD.names) - 1)


@differentiable_once
def _backward(ctx: Any, *upstreams: Tensor | None) -> tuple[Any, ...]:
    return _gradients(ctx, upstreams, inplace=False)


_FORWARD.op.register_autograd(_backward, setup_context=_setup)


class _InPlace(torch.autograd.Function):
    """The same, with the gradient written over the logits when backward comes."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, ...]:
        outputs = _FORWARD.op(*inputs)
        _setup(ctx, inputs, outputs)
        return outputs

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, *upstreams: Tensor | None) -> tuple[Any, ...]:
        return _gradients(ctx, upstreams, inplace=True)


@untraced
def _write_over(inputs: tuple[Any, ...]) -> tuple[Tensor, ...]:
    check_writable("logits", inputs[0])
    return _InPlace.apply(*inputs)


def token_logprobs(
    logits: Tensor,
    labels: Tensor,
    *,
    entropy: bool = False,
    lse: bool = False,
    lse2: bool = False,
    argmax: bool = False,
    mean_logit: bool = False,
    tail: bool = False,
    outside: bool = False,
    kept_offsets: Tensor | None = None,
    kept_ids: Tensor | None = None,
    ignore_index: int = -100,
    temperature: float = 1.0,
    softcap: float = 0.0,
    vocab: int | None = None,
    inplace: bool = False,
) -> Tensor | tuple[Tensor, ...]:
    """Log-probability of a label per row of logits, differentiable.

    ``z`` is ``softcap(logits) / temperature`` below. Logits of -inf have probability 0; a row that
    is all -inf, or holds +inf or NaN, gives NaN in that row only.

    Args:
        logits: [..,V], float32, bfloat16 or float16, of any strides but for a contiguous last
            dimension, so that ``logits[:, :-1]`` is not copied.
        labels: [..], int64 or int32, in [0,vocab) or ignore_index; or [..,K], up to 1024 labels per
            row that differ from each other.
        entropy: also returns the entropy of softmax(z) in nats, differentiable.
        lse: also returns log-sum-exp(z), differentiable (a z-loss).
        lse2: also returns log-sum-exp(2 z).
        argmax: also returns the int64 column of the largest logit, the lowest of equal ones.
        mean_logit: also returns the mean of z over the columns where it is not -inf.
        tail: of K labels: also returns the log of the probability that they leave, differentiable.
        outside: with kept columns: also returns how many rows have their label not among them, a
            0-dim int64 tensor.
        kept_offsets: [N+1], int64 or int32, with kept_ids: [M]: the columns that top-k or top-p
            sampling kept, row after row and ascending in each; N is the number of rows. All
            figures are then of the softmax over these columns.
        kept_ids: [M], int64 or int32.
        ignore_index: the label of rows to ignore; their log-probability and gradient are 0.
        temperature: what logits are divided by, after the softcap.
        softcap: ``c * tanh(logits / c)`` for a value c above 0.
        vocab: number of columns that are no padding; default all.
        inplace: backward writes the gradient over the logits, which must not be used afterwards,
            instead of allocating one. Not for torch.compile.

    Returns:
        logp, float32 of the labels' shape; where more is asked for, a tuple of logp and then, in
        the order of the arguments above, float32 tensors [..] but for argmax and outside.

    Raises:
        InvalidArgumentError: (a ValueError) an argument is wrong; the sentence names it.
        UnavailableError, FailedError: (RuntimeErrors) the library or a device failed.
    """
    asked = {
        "entropy": entropy,
        "lse": lse,
        "lse2": lse2,
        "argmax": argmax,
        "mean_logit": mean_logit,
        "tail": tail,
        "outside": outside,
    }
    extras = [name for name, is_wanted in asked.items() if is_wanted]
    options = (ignore_index, temperature, softcap, positive("vocab", vocab))
    figures = _figures(logits, labels, extras, kept_offsets, kept_ids, options, inplace)
    return figures if extras else figures[0]


#: Options of a plain call, in the operators' order.
_DEFAULTS = (-100, 1.0, 0.0, 0)


def _figures(
    logits: Tensor,
    labels: Tensor,
    extras: list[str],
    kept_offsets: Tensor | None = None,
    kept_ids: Tensor | None = None,
    options: tuple[Any, ...] = _DEFAULTS,
    inplace: bool = False,
) -> tuple[Tensor, ...]:
    """logp and the extras, of logits and labels of any leading dimensions."""
    check_tensors(logits=logits, labels=labels, kept_offsets=kept_offsets, kept_ids=kept_ids)
    length("logits", logits)
    check_fresh("logits", logits)
    rows, of_labels = logits.shape[:-1], labels.shape
    if logits.dim() not in (2, 3):
        labels = labels.reshape(-1, *of_labels[len(rows) :])
        logits = logits.reshape(-1, logits.shape[-1])
    inputs = (logits, labels, kept_offsets, kept_ids, ",".join(extras), *options)
    if inplace and logits.requires_grad and torch.is_grad_enabled():
        outputs = _write_over(inputs)
    else:
        outputs = _FORWARD.op(*inputs)
    shapes = {"logp": of_labels, "outside": ()}
    named = dict(zip(_OUTPUTS, outputs))
    results = []
    for name in ("logp", *extras):
        result = named[name].view(shapes.get(name, rows))
        results.append(result.float() if result.is_floating_point() else result)
    return tuple(results)


def entropy_from_logits(logits: Tensor, chunk_size: int | None = None) -> Tensor:
    """Entropy in nats per row of logits, differentiable.

    Args:
        logits: [..,V], float32, bfloat16 or float16, as in :func:`token_logprobs`.
        chunk_size: not used; TRL's function of the same name has it, to hold less memory.

    Returns:
        float32 [..].
    """
    check_tensors(logits=logits)
    length("logits", logits)
    first = torch.zeros((), dtype=torch.int64, device=logits.device)
    return _figures(logits, first.expand(logits.shape[:-1]), ["entropy"])[1]


def selective_log_softmax(logits: Tensor, index: Tensor) -> Tensor:
    """Log-probabilities of chosen columns, by TRL's name and signature, differentiable.

    Args:
        logits: [..,V], float32, bfloat16 or float16, as in :func:`token_logprobs`.
        index: [..] or [..,K], int64 or int32, in [0,V); -100 gives 0. A column may stand in a row
            more than once.

    Returns:
        float32 of index's shape, whatever dtype the logits have.
    """
    check_tensors(logits=logits, index=index)
    if index.dim() < logits.dim() or index.shape[-1] < 2:
        return _figures(logits, index, [])[0]
    # The C function takes labels that differ, so a column is asked for where it stands first in
    # the sorted row, and the others have their number from there.
    ascending, order = index.sort(dim=-1)
    repeats = torch.zeros_like(ascending, dtype=torch.bool)
    repeats[..., 1:] = ascending[..., 1:] == ascending[..., :-1]
    places = torch.arange(index.shape[-1], device=index.device)
    firsts = places.masked_fill(repeats, 0).cummax(dim=-1).values
    distinct = _figures(logits, ascending.masked_fill(repeats, -100), [])[0]
    logp = distinct.gather(-1, firsts)
    return torch.empty_like(logp).scatter(-1, order, logp)
