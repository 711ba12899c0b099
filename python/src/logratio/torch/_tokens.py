"""Log-probabilities of labels, and what else one read of the logits gives."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .._abi import TokenLogprobsArgs, TokenLogprobsBackwardArgs
from .._options import token_options
from ._arrays import absent, output, run
from ._inplace import check_fresh, check_writable, overwritten

#: Outputs of the operator after logp and lse, in its order, and their dtypes.
EXTRAS = {
    "lse2": torch.float32,
    "entropy": torch.float32,
    "argmax": torch.int64,
    "mean_logit": torch.float32,
    "tail": torch.float64,
    "outside": torch.int64,
}
#: Outputs that have a gradient.
DIFFERENTIABLE = ("logp", "lse", "entropy", "tail")

Outputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def _outputs(logits: Tensor, labels: Tensor, wanted: str) -> dict[str, Tensor]:
    """Memory for all outputs, by name; empty for those not wanted."""
    rows = logits.shape[:-1]
    outputs = {
        "logp": output(logits, labels.shape),
        "lse": output(logits, rows, torch.float64),
    }
    names = wanted.split(",")
    for name, dtype in EXTRAS.items():
        if name in names:
            outputs[name] = output(logits, (1,) if name == "outside" else rows, dtype)
        else:
            outputs[name] = absent(logits)
    return outputs


def _present(wanted: str, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
    names = ("logp", "lse", *wanted.split(","))
    return {name: tensor for name, tensor in outputs.items() if name in names}


@torch.library.custom_op("logratio::token_logprobs", mutates_args=())
def _token_logprobs(
    logits: Tensor,
    labels: Tensor,
    kept_offsets: Tensor | None,
    kept_ids: Tensor | None,
    wanted: str,
    ignore_index: int,
    temperature: float,
    softcap: float,
    vocab: int,
) -> Outputs:
    args = TokenLogprobsArgs(options=token_options(ignore_index, temperature, softcap, vocab))
    outputs = _outputs(logits, labels, wanted)
    inputs = {
        "logits": logits,
        "labels": labels,
        "kept_offsets": kept_offsets,
        "kept_ids": kept_ids,
    }
    run("lr_token_logprobs", args, inputs | _present(wanted, outputs))
    return tuple(outputs.values())


@_token_logprobs.register_fake
def _(
    logits: Tensor,
    labels: Tensor,
    kept_offsets: Tensor | None,
    kept_ids: Tensor | None,
    wanted: str,
    ignore_index: int,
    temperature: float,
    softcap: float,
    vocab: int,
) -> Outputs:
    return tuple(_outputs(logits, labels, wanted).values())


def _backward_into(
    grad_logits: Tensor,
    logits: Tensor,
    labels: Tensor,
    saved: dict[str, Tensor | None],
    upstream: dict[str, Tensor | None],
    options: tuple[int, float, float, int],
) -> None:
    args = TokenLogprobsBackwardArgs(options=token_options(*options))
    tensors = {"logits": logits, "labels": labels, "grad_logits": grad_logits}
    run("lr_token_logprobs_backward", args, tensors | saved | upstream)


@torch.library.custom_op("logratio::token_logprobs_backward", mutates_args=())
def _token_logprobs_backward(
    logits: Tensor,
    labels: Tensor,
    lse: Tensor,
    entropy: Tensor | None,
    tail: Tensor | None,
    kept_offsets: Tensor | None,
    kept_ids: Tensor | None,
    grad_logp: Tensor | None,
    grad_lse: Tensor | None,
    grad_entropy: Tensor | None,
    grad_tail: Tensor | None,
    ignore_index: int,
    temperature: float,
    softcap: float,
    vocab: int,
) -> Tensor:
    grad_logits = output(logits, logits.shape, logits.dtype)
    saved = {
        "lse": lse,
        "entropy": entropy,
        "tail": tail,
        "kept_offsets": kept_offsets,
        "kept_ids": kept_ids,
    }
    upstream = {
        "grad_logp": grad_logp,
        "grad_lse": grad_lse,
        "grad_entropy": grad_entropy,
        "grad_tail": grad_tail,
    }
    options = (ignore_index, temperature, softcap, vocab)
    _backward_into(grad_logits, logits, labels, saved, upstream, options)
    return grad_logits


@_token_logprobs_backward.register_fake
def _(logits: Tensor, *_: object) -> Tensor:
    return output(logits, logits.shape, logits.dtype)


def _setup(ctx, inputs, output: Outputs) -> None:
    logits, labels, kept_offsets, kept_ids, wanted, *ctx.options = inputs
    _, lse, lse2, entropy, argmax, mean_logit, tail, outside = output
    ctx.set_materialize_grads(False)
    wanted = wanted.split(",")
    absent = [x for name, x in (("entropy", entropy), ("tail", tail)) if name not in wanted]
    ctx.mark_non_differentiable(lse2, argmax, mean_logit, outside, *absent)
    ctx.save_for_backward(
        logits,
        labels,
        lse,
        entropy if "entropy" in wanted else None,
        tail if "tail" in wanted else None,
        kept_offsets,
        kept_ids,
    )


@once_differentiable
def _backward(ctx, *grads: Tensor | None):
    grad_logp, grad_lse, _, grad_entropy, _, _, grad_tail, _ = grads
    upstream = (grad_logp, grad_lse, grad_entropy, grad_tail)
    grad_logits = None
    if ctx.needs_input_grad[0] and any(one is not None for one in upstream):
        grad_logits = _token_logprobs_backward(*ctx.saved_tensors, *upstream, *ctx.options)
    return grad_logits, *[None] * 8


_token_logprobs.register_autograd(_backward, setup_context=_setup)


class _TokenLogprobsInPlace(torch.autograd.Function):
    """The same; backward writes the gradient over the logits."""

    @staticmethod
    def forward(ctx, *inputs):
        outputs = _token_logprobs(*inputs)
        _setup(ctx, inputs, outputs)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx, *grads: Tensor | None):
        grad_logp, grad_lse, _, grad_entropy, _, _, grad_tail, _ = grads
        logits, labels, lse, entropy, tail, kept_offsets, kept_ids = ctx.saved_tensors
        check_fresh("logits", logits)
        saved = {
            "lse": lse,
            "entropy": entropy,
            "tail": tail,
            "kept_offsets": kept_offsets,
            "kept_ids": kept_ids,
        }
        upstream = {
            "grad_logp": grad_logp,
            "grad_lse": grad_lse,
            "grad_entropy": grad_entropy,
            "grad_tail": grad_tail,
        }
        if all(one is None for one in upstream.values()):
            return (None,) * 9
        _backward_into(logits, logits, labels, saved, upstream, ctx.options)
        return overwritten(logits), *[None] * 8


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
    wanted = {
        "entropy": entropy,
        "lse": lse,
        "lse2": lse2,
        "argmax": argmax,
        "mean_logit": mean_logit,
        "tail": tail,
        "outside": outside,
    }
    names = [name for name, is_wanted in wanted.items() if is_wanted]
    inputs = (
        logits,
        labels,
        kept_offsets,
        kept_ids,
        ",".join(names),
        ignore_index,
        temperature,
        softcap,
        vocab or 0,
    )
    check_fresh("logits", logits)
    if inplace and logits.requires_grad and torch.is_grad_enabled():
        check_writable("logits", logits)
        outputs = _TokenLogprobsInPlace.apply(*inputs)
    else:
        outputs = _token_logprobs(*inputs)
    named = dict(zip(("logp", "lse", *EXTRAS), outputs))
    if not names:
        return named["logp"]
    results = (named[name] for name in ("logp", *names))
    return tuple(x.float() if x.dtype == torch.float64 else x for x in results)


def entropy_from_logits(logits: Tensor, chunk_size: int | None = None) -> Tensor:
    labels = torch.zeros((), dtype=torch.int64, device=logits.device).expand(logits.shape[:-1])
    _, entropy = token_logprobs(logits, labels, entropy=True)
    return entropy


def selective_log_softmax(logits: Tensor, index: Tensor) -> Tensor:
    return token_logprobs(logits, index)
