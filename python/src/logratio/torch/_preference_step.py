"""Logits of pairs to a preference loss, its gradient and its metrics."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .._abi import PreferenceStepArgs
from .._losses import LossLike, decode
from .._options import WPO, choice, sequence_options, token_options, wpo_choice
from ._arrays import absent, output, run
from ._inplace import check_fresh, check_writable, overwritten
from ._losses import learned_gradients, learned_inputs, present, spec
from ._metrics import metrics_memory, named, rounded
from ._upstream import at_upstream, expected_upstream

Outputs = tuple[
    Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor
]

#: Inputs of the operator that may have a gradient: logits, beta, beta_kl, beta_mix and tau.
_LEARNED = slice(9, 13)
_INPUTS = 26


class PreferenceStep(NamedTuple):
    """What :func:`preference_step` returns; only the loss has a gradient."""

    loss: Tensor
    losses: Tensor
    logps: Tensor
    counts: Tensor
    chosen_rewards: Tensor
    rejected_rewards: Tensor
    metrics: dict[str, Tensor]


def _outputs(logits: Tensor, cu_seqlens: Tensor | None) -> tuple[Tensor, ...]:
    """Memory for losses, logps, counts and the two rewards."""
    sequences = logits.shape[0] if cu_seqlens is None else cu_seqlens.shape[0] - 1
    pairs = sequences // 2
    return tuple(output(logits, (n,)) for n in (pairs, sequences, sequences, pairs, pairs))


def _run(inputs: tuple, grad_logits: Tensor | None) -> tuple[Tensor, ...]:
    """Calls the C function; all outputs of the operator but grad_logits."""
    (
        logits,
        labels,
        mask,
        reference_logps,
        reference_token_logps,
        pair_weights,
        nll_mask,
        cu_seqlens,
        grad_loss,
        *rest,
    ) = inputs
    learned, rest = tuple(rest[:4]), rest[4:]
    _, loss, loss_weights, wpo, token_count, reduction, align, tail_weight, keep_fraction, *token = rest
    losses = decode(loss)
    memory, address = metrics_memory(logits)
    args = PreferenceStepArgs(
        loss_options=losses.options,
        loss_count=len(losses.names),
        token_options=token_options(*token),
        sequence_options=sequence_options(reduction, align, tail_weight, keep_fraction),
        metrics=address,
        wpo=choice("wpo", wpo, WPO),
        token_count=token_count,
    )
    if loss_weights is not None:
        args.loss_weights = (ctypes.c_double * len(loss_weights))(*loss_weights)
    outputs = _outputs(logits, cu_seqlens)
    names = ("losses", "logps", "counts", "chosen_rewards", "rejected_rewards")
    gradients = learned_gradients(learned, logits)
    tensors = {
        "logits": logits,
        "labels": labels,
        "mask": mask,
        "reference_logps": reference_logps,
        "reference_token_logps": reference_token_logps,
        "pair_weights": pair_weights,
        "nll_mask": nll_mask,
        "cu_seqlens": cu_seqlens,
        "grad_loss": grad_loss,
        "grad_logits": grad_logits,
    }
    tensors |= learned_inputs(learned) | present(learned, gradients) | dict(zip(names, outputs))
    run("lr_preference_step", args, tensors)
    figures = rounded(memory)
    return figures[0].clone(), *outputs, figures, *gradients


@torch.library.custom_op("logratio::preference_step", mutates_args=())
def _preference_step(
    logits: Tensor,
    labels: Tensor,
    mask: Tensor | None,
    reference_logps: Tensor | None,
    reference_token_logps: Tensor | None,
    pair_weights: Tensor | None,
    nll_mask: Tensor | None,
    cu_seqlens: Tensor | None,
    grad_loss: Tensor | None,
    beta: Tensor | None,
    beta_kl: Tensor | None,
    beta_mix: Tensor | None,
    tau: Tensor | None,
    want_grad: bool,
    loss: str,
    loss_weights: Sequence[float] | None,
    wpo: str,
    token_count: float,
    reduction: str,
    align: str,
    tail_weight: float,
    keep_fraction: float,
    ignore_index: int,
    temperature: float,
    softcap: float,
    vocab: int,
) -> Outputs:
    inputs = (
        logits,
        labels,
        mask,
        reference_logps,
        reference_token_logps,
        pair_weights,
        nll_mask,
        cu_seqlens,
        grad_loss,
        beta,
        beta_kl,
        beta_mix,
        tau,
        want_grad,
        loss,
        loss_weights,
        wpo,
        token_count,
        reduction,
        align,
        tail_weight,
        keep_fraction,
        ignore_index,
        temperature,
        softcap,
        vocab,
    )
    grad_logits = output(logits, logits.shape, logits.dtype) if want_grad else None
    *outputs, g0, g1, g2, g3 = _run(inputs, grad_logits)
    return *outputs, absent(logits) if grad_logits is None else grad_logits, g0, g1, g2, g3


@_preference_step.register_fake
def _(*inputs: object) -> Outputs:
    logits, cu_seqlens, want_grad = inputs[0], inputs[7], inputs[13]
    return (
        output(logits, ()),
        *_outputs(logits, cu_seqlens),
        output(logits, (11,)),
        output(logits, logits.shape, logits.dtype) if want_grad else absent(logits),
        *learned_gradients(inputs[_LEARNED], logits),
    )


def _setup(ctx, inputs, output: Outputs) -> None:
    _save(ctx, inputs, output[8:], output[7] if inputs[13] else None)
    ctx.mark_non_differentiable(*output[1:])


def _save(ctx, inputs: tuple, learned: Sequence[Tensor], grad_logits: Tensor | None) -> None:
    ctx.set_materialize_grads(False)
    wanted = [None if one is None else gradient for one, gradient in zip(inputs[_LEARNED], learned)]
    ctx.save_for_backward(inputs[8], grad_logits, *wanted)


def _gradients(ctx, upstream: Tensor | None) -> tuple:
    expected, *computed = ctx.saved_tensors
    grad_logits, *learned = at_upstream(computed, upstream, expected)
    return grad_logits, *[None] * 8, *learned, *[None] * (_INPUTS - 13)


@once_differentiable
def _backward(ctx, upstream: Tensor | None, *_: object):
    return _gradients(ctx, upstream)


_preference_step.register_autograd(_backward, setup_context=_setup)


class _PreferenceStepInPlace(torch.autograd.Function):
    """The same, with the gradient written over the logits."""

    @staticmethod
    def forward(ctx, *inputs):
        logits = inputs[0]
        *outputs, g0, g1, g2, g3 = _run(inputs, logits)
        _save(ctx, inputs, (g0, g1, g2, g3), overwritten(logits))
        ctx.mark_non_differentiable(*outputs[1:])
        return tuple(outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream: Tensor | None, *_: object):
        return _gradients(ctx, upstream)


def preference_step(
    logits: Tensor,
    labels: Tensor,
    loss: LossLike | Sequence[LossLike],
    *,
    mask: Tensor | None = None,
    reference_logps: Tensor | None = None,
    reference_token_logps: Tensor | None = None,
    loss_weights: Sequence[float] | None = None,
    pair_weights: Tensor | None = None,
    nll_mask: Tensor | None = None,
    token_count: float | None = None,
    cu_seqlens: Tensor | None = None,
    grad_loss: float | Tensor | None = None,
    reduction: str = "sum",
    tail_weight: float = 1.0,
    align: str = "completion",
    keep_fraction: float = 1.0,
    wpo: str | bool = "off",
    ignore_index: int = -100,
    temperature: float = 1.0,
    softcap: float = 0.0,
    vocab: int | None = None,
    inplace: bool = False,
) -> PreferenceStep:
    check_fresh("logits", logits)
    text, learned = spec(loss)
    want_grad = logits.requires_grad and torch.is_grad_enabled()
    inputs = (
        logits,
        labels,
        mask,
        reference_logps,
        reference_token_logps,
        pair_weights,
        nll_mask,
        cu_seqlens,
        expected_upstream(grad_loss, logits),
        *learned,
        want_grad,
        text,
        loss_weights,
        wpo_choice(wpo),
        token_count or 0.0,
        reduction,
        align,
        tail_weight,
        keep_fraction,
        ignore_index,
        temperature,
        softcap,
        vocab or 0,
    )
    if inplace and want_grad:
        check_writable("logits", logits)
        outputs = _PreferenceStepInPlace.apply(*inputs)
    else:
        outputs = _preference_step(*inputs)
    return PreferenceStep(*outputs[:6], named(outputs[6]))
