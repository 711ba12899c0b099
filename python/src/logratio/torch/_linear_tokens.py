"""Log-probabilities of labels from hidden states, without their logits.

Where nothing but the hidden states has a gradient, and the log-probabilities alone are wanted, the
gradient for an upstream of 1 is computed along with them, and backward is a multiplication.
Otherwise backward calls the C function again, with the upstream gradients.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .. import _abi
from .._options import positive, token_options
from ._arrays import absent, check_tensors, length, new, new_gradient, run
from ._inplace import check_fresh
from ._linear import (
    HEAD,
    HEAD_ARGUMENTS,
    LINEAR_ARGUMENTS,
    head,
    linear_fields,
    linear_inputs,
    named_plan,
    plan_memory,
    trained,
    write_plan,
)
from ._operator import Inputs, Operator, Outputs
from ._upstream import at_upstream, differentiable_once

_OPTIONS = f"int ignore_index, float temperature, float softcap, int vocab, {LINEAR_ARGUMENTS}"
_OPTION_COUNT = _OPTIONS.count(",") + 1

#: Outputs per row, in the operator's order, and their dtypes.
_OUTPUTS = {
    "logp": torch.float32,
    "lse": torch.float32,
    "entropy": torch.float32,
    "lse2": torch.float32,
    "argmax": torch.int64,
    "mean_logit": torch.float32,
}
_DIFFERENTIABLE = ("logp", "lse", "entropy")


def _wanted(inputs: Inputs) -> list[str]:
    named = inputs["wanted"].split(",")
    return [name for name in _OUTPUTS if name == "logp" or name in named]


def _memory(inputs: Inputs) -> Outputs:
    hidden, wanted = inputs["hidden"], _wanted(inputs)
    rows = {
        name: new(hidden, inputs["labels"].shape, dtype) if name in wanted else absent(hidden)
        for name, dtype in _OUTPUTS.items()
    }
    # Not in a narrower dtype: it is rounded once, when it is the gradient.
    slope = new(hidden, hidden.shape) if inputs["slope"] else absent(hidden)
    return rows | {"slope": slope, "plan": plan_memory()}


def _run(inputs: Inputs, outputs: Outputs) -> None:
    plan = _abi.LinearPlan()
    args = _abi.LinearTokenLogprobsArgs(
        token_options=token_options(inputs), **linear_fields(inputs, plan)
    )
    tensors = head(inputs) | {"labels": inputs["labels"]}
    tensors |= {name: outputs[name] for name in _wanted(inputs)}
    if inputs["slope"]:
        one = new(inputs["hidden"], ()).fill_(1)
        tensors |= {"grad_logp": one.expand(inputs["labels"].shape)}
        tensors |= {"grad_hidden": outputs["slope"]}
    run("lr_linear_token_logprobs", args, tensors)
    write_plan(plan, outputs["plan"])


_FORWARD = Operator(
    "linear_token_logprobs",
    f"{HEAD_ARGUMENTS}, Tensor labels, str wanted, bool slope, bool private, {_OPTIONS}",
    len(_OUTPUTS) + 2,
    _memory,
    _run,
)


def _gradient_memory(inputs: Inputs) -> Outputs:
    hidden, names = inputs["hidden"], inputs["trained"].split(",")
    return {
        f"grad_{name}": new_gradient(inputs[name], hidden) if name in names else absent(hidden)
        for name in HEAD
    }


def _run_backward(inputs: Inputs, outputs: Outputs) -> None:
    args = _abi.LinearTokenLogprobsArgs(
        token_options=token_options(inputs), **linear_fields(inputs, _abi.LinearPlan())
    )
    upstreams = {name: inputs[name] for name in ("labels", "grad_logp", "grad_lse", "grad_entropy")}
    gradients = {f"grad_{name}": outputs[f"grad_{name}"] for name in inputs["trained"].split(",")}
    run("lr_linear_token_logprobs", args, head(inputs) | upstreams | gradients)


_BACKWARD = Operator(
    "linear_token_logprobs_backward",
    f"{HEAD_ARGUMENTS}, Tensor labels, Tensor? grad_logp, Tensor? grad_lse, Tensor? grad_entropy, "
    f"str trained, {_OPTIONS}",
    len(HEAD),
    _gradient_memory,
    _run_backward,
)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    given = _FORWARD.named(inputs)
    outputs = dict(zip((*_OUTPUTS, "slope", "plan"), output))
    wanted = _wanted(given)
    ctx.options = inputs[-_OPTION_COUNT:]
    ctx.has_slope, ctx.is_private = given["slope"], given["private"]
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(
        *(x for name, x in outputs.items() if name not in _DIFFERENTIABLE or name not in wanted)
    )
    if ctx.has_slope:
        ctx.dtype = given["hidden"].dtype
        ctx.save_for_backward(outputs["slope"])
    else:
        ctx.save_for_backward(*(given[name] for name in (*HEAD, "labels")))


@differentiable_once
def _backward(ctx: Any, *upstreams: Tensor | None) -> tuple[Any, ...]:
    upstreams = upstreams[: len(_DIFFERENTIABLE)]
    gradients: dict[str, Tensor | None] = {}
    if ctx.has_slope:
        (gradient,) = at_upstream(ctx.saved_tensors, upstreams[0], None, ctx.is_private)
        gradients["hidden"] = None if gradient is None else gradient.to(ctx.dtype)
    elif any(upstream is not None for upstream in upstreams):
        names = [name for name, is_needed in zip(HEAD, ctx.needs_input_grad) if is_needed]
        values = (*ctx.saved_tensors, *upstreams, ",".join(names), *ctx.options)
        computed = dict(zip(HEAD, _BACKWARD.op(*values)))
        gradients = {name: computed[name] for name in names}
    return tuple(gradients.get(name) for name in _FORWARD.names)


_FORWARD.op.register_autograd(_backward, setup_context=_setup)


def linear_token_logprobs(
    hidden: Tensor,
    weight: Tensor,
    labels: Tensor,
    *,
    bias: Tensor | None = None,
    entropy: bool = False,
    lse: bool = False,
    lse2: bool = False,
    argmax: bool = False,
    mean_logit: bool = False,
    plan: bool = False,
    budget_bytes: int | None = None,
    frozen: str = "none",
    ignore_index: int = -100,
    temperature: float = 1.0,
    softcap: float = 0.0,
    vocab: int | None = None,
) -> Tensor | tuple[Any, ...]:
    """:func:`token_logprobs` of ``hidden @ weight.T + bias``, whose logits are never held whole.

    Where hidden alone requires a gradient, and neither entropy nor lse is asked for, the gradient
    is computed along with the log-probabilities.

    Args:
        hidden: [..,H], float32, bfloat16 or float16, of any strides but for a contiguous last
            dimension.
        weight: [V,H], of the same dtype.
        labels: [..], int64 or int32, in [0,vocab) or ignore_index.
        bias: [V], float32, bfloat16 or float16.
        entropy, lse, lse2, argmax, mean_logit: also returns these, as :func:`token_logprobs` does;
            entropy and lse are differentiable.
        plan: also returns the numbers of a :class:`logratio.LinearPlan` of the call by name, each
            a 0-dim float64 tensor on the CPU.
        budget_bytes, frozen: as in :func:`linear_preference_step`.

    Returns:
        logp, float32 of the labels' shape; where more is asked for, a tuple of logp and then, in
        the order of the arguments above, float32 tensors [..] but for argmax and the plan.

    The other arguments and the errors are those of :func:`token_logprobs`; there is no ``inplace``.
    """
    asked = {
        "entropy": entropy,
        "lse": lse,
        "lse2": lse2,
        "argmax": argmax,
        "mean_logit": mean_logit,
    }
    extras = [name for name, is_wanted in asked.items() if is_wanted]
    check_tensors(hidden=hidden, weight=weight, labels=labels, bias=bias)
    length("hidden", hidden)
    rows = labels.shape
    if hidden.dim() not in (2, 3):
        labels, hidden = labels.reshape(-1), hidden.reshape(-1, hidden.shape[-1])
    tensors: Inputs = {"hidden": hidden, "weight": weight, "bias": bias, "labels": labels}
    for name, tensor in head(tensors).items():
        if tensor is not None:
            check_fresh(name, tensor)
    options = {
        "wanted": ",".join(extras),
        "slope": trained(tensors) == ["hidden"] and not (entropy or lse),
        "private": True,
        "ignore_index": ignore_index,
        "temperature": temperature,
        "softcap": softcap,
        "vocab": positive("vocab", vocab),
        **linear_inputs(budget_bytes, frozen, tensors),
    }
    outputs = _FORWARD(tensors | options)
    named = dict(zip((*_OUTPUTS, "slope", "plan"), outputs))
    results = [named[name].view(rows) for name in ("logp", *extras)]
    if plan:
        return (*results, named_plan(named["plan"]))
    return tuple(results) if extras else results[0]
