"""Hidden states to losses, gradients and metrics, without their logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from numpy.typing import ArrayLike

from .. import _abi
from .._losses import LossLike, check_reference, parse
from .._plan import LinearPlan, plan_of
from ._arrays import Array, given, metrics_of, new, required, run, sequence_count, upstream
from ._linear import head_gradients, linear_fields
from ._sequences import learned_arrays, unpaired
from ._steps import example_fields, example_outputs, pair_fields, pair_outputs


class LinearPreferenceStep(NamedTuple):
    """What :func:`linear_preference_step` returns: :class:`PreferenceStep` with other gradients."""

    loss: float
    losses: Array
    logps: Array
    counts: Array
    chosen_rewards: Array
    rejected_rewards: Array
    metrics: dict[str, float]
    #: Of the shape and dtype of what they are of; None for what is not wanted or frozen.
    grad_hidden: Array | None
    grad_weight: Array | None
    grad_bias: Array | None
    #: Of the parameters that are arrays, by name (beta, beta_kl, beta_mix, tau).
    grad_parameters: dict[str, Array]
    plan: LinearPlan


def linear_preference_step(
    hidden: ArrayLike,
    weight: ArrayLike,
    labels: ArrayLike,
    loss: LossLike | Sequence[LossLike],
    *,
    bias: ArrayLike | None = None,
    grad: bool = True,
    mask: ArrayLike | None = None,
    reference_logps: ArrayLike | None = None,
    reference_token_logps: ArrayLike | None = None,
    reference_hidden: ArrayLike | None = None,
    reference_weight: ArrayLike | None = None,
    reference_bias: ArrayLike | None = None,
    reference_free: bool = False,
    loss_weights: Sequence[float] | None = None,
    pair_weights: ArrayLike | None = None,
    nll_mask: ArrayLike | None = None,
    token_count: float | None = None,
    cu_seqlens: ArrayLike | None = None,
    grad_loss: ArrayLike | None = None,
    budget_bytes: int | None = None,
    frozen: str = "none",
    reduction: str = "sum",
    tail_weight: float = 1.0,
    align: str = "completion",
    keep_fraction: float = 1.0,
    wpo: str | bool = "off",
    ignore_index: int = -100,
    temperature: float = 1.0,
    softcap: float = 0.0,
    vocab: int | None = None,
) -> LinearPreferenceStep:
    """:func:`preference_step` of ``hidden @ weight.T + bias``, whose logits are never held whole.

    Args:
        hidden: [2P,T,H], or [N,H] with cu_seqlens, float32, float16 or bfloat16 (of ml_dtypes), the
            last dimension contiguous: the states that the head makes logits of.
        weight: [V,H], of the same dtype.
        bias: [V], float32, float16 or bfloat16.
        reference_hidden: as hidden, with reference_weight [V,H] and, where it has one,
            reference_bias [V]: the reference model's, in place of reference_logps and
            reference_token_logps. Its log-probabilities are computed with the same options.
        budget_bytes, frozen: as in :func:`linear_token_logprobs`.

    The other arguments and the errors are those of :func:`preference_step`. Logits are products in
    float32, rounded nowhere, of any dtype; ``grad_norm`` is that of their gradient.
    """
    losses = parse(loss)
    hidden, weight = required("hidden", hidden, 2), required("weight", weight, 2)
    head = {"hidden": hidden, "weight": weight, **given(bias=bias)}
    inputs = given(
        labels=required("labels", labels),
        mask=mask,
        reference_logps=reference_logps,
        reference_token_logps=reference_token_logps,
        reference_hidden=reference_hidden,
        reference_weight=reference_weight,
        reference_bias=reference_bias,
        pair_weights=pair_weights,
        nll_mask=nll_mask,
        cu_seqlens=cu_seqlens,
        grad_loss=upstream(grad_loss),
    )
    references = (reference_logps, reference_token_logps, reference_hidden, reference_weight)
    check_reference(losses.names, any(x is not None for x in references), reference_free)
    parameters = learned_arrays(losses)
    metrics, plan = _abi.StepMetrics(), _abi.LinearPlan()
    args = _abi.LinearPreferenceStepArgs(
        **pair_fields(
            losses,
            metrics,
            {
                "loss_weights": loss_weights,
                "token_count": token_count,
                "wpo": wpo,
                "reduction": reduction,
                "tail_weight": tail_weight,
                "align": align,
                "keep_fraction": keep_fraction,
                "ignore_index": ignore_index,
                "temperature": temperature,
                "softcap": softcap,
                "vocab": vocab,
            },
        ),
        **linear_fields(budget_bytes, frozen, plan),
    )
    outputs = pair_outputs(sequence_count(hidden, inputs["cu_seqlens"]))
    gradients = head_gradients(head, frozen, grad)
    by_name = {name: new(array.shape) for name, array in parameters.items() if grad}
    of_parameters = {f"grad_{name}": array for name, array in by_name.items()}
    tensors = head | inputs | parameters | outputs | gradients | of_parameters
    run("lr_linear_preference_step", args, tensors)
    return LinearPreferenceStep(
        loss=metrics.loss,
        **outputs,
        metrics=metrics_of(metrics),
        **gradients,
        grad_parameters=by_name,
        plan=plan_of(plan),
    )


class LinearUnpairedStep(NamedTuple):
    """What :func:`linear_unpaired_step` returns: :class:`UnpairedStep` with other gradients."""

    loss: float
    losses: Array
    logps: Array
    counts: Array
    rewards: Array
    kl: float
    metrics: dict[str, float]
    #: Of the shape and dtype of what they are of; None for what is not wanted or frozen.
    grad_hidden: Array | None
    grad_weight: Array | None
    grad_bias: Array | None
    plan: LinearPlan


def linear_unpaired_step(
    hidden: ArrayLike,
    weight: ArrayLike,
    labels: ArrayLike,
    chosen: ArrayLike,
    loss: LossLike,
    *,
    bias: ArrayLike | None = None,
    grad: bool = True,
    mask: ArrayLike | None = None,
    reference_logps: ArrayLike | None = None,
    reference_token_logps: ArrayLike | None = None,
    kl_policy_logps: ArrayLike | None = None,
    kl_reference_logps: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    cu_seqlens: ArrayLike | None = None,
    grad_loss: ArrayLike | None = None,
    budget_bytes: int | None = None,
    frozen: str = "none",
    reduction: str = "sum",
    ignore_index: int = -100,
    temperature: float = 1.0,
    softcap: float = 0.0,
    vocab: int | None = None,
) -> LinearUnpairedStep:
    """:func:`unpaired_step` of ``hidden @ weight.T + bias``, whose logits are never held whole.

    Args:
        hidden: [B,T,H], or [N,H] with cu_seqlens; weight, bias: as in
            :func:`linear_preference_step`.
        budget_bytes, frozen: as in :func:`linear_token_logprobs`.

    The other arguments and the errors are those of :func:`unpaired_step`.
    """
    losses = unpaired(loss)
    hidden, weight = required("hidden", hidden, 2), required("weight", weight, 2)
    head = {"hidden": hidden, "weight": weight, **given(bias=bias)}
    inputs = given(
        labels=required("labels", labels),
        chosen=required("chosen", chosen),
        mask=mask,
        reference_logps=reference_logps,
        reference_token_logps=reference_token_logps,
        kl_policy_logps=kl_policy_logps,
        kl_reference_logps=kl_reference_logps,
        weights=weights,
        cu_seqlens=cu_seqlens,
        grad_loss=upstream(grad_loss),
    )
    metrics, plan = _abi.StepMetrics(), _abi.LinearPlan()
    args = _abi.LinearUnpairedStepArgs(
        **example_fields(
            losses,
            metrics,
            {
                "reduction": reduction,
                "ignore_index": ignore_index,
                "temperature": temperature,
                "softcap": softcap,
                "vocab": vocab,
            },
        ),
        **linear_fields(budget_bytes, frozen, plan),
    )
    outputs = example_outputs(sequence_count(hidden, inputs["cu_seqlens"]))
    kl = new(1)
    gradients = head_gradients(head, frozen, grad)
    run("lr_linear_unpaired_step", args, head | inputs | outputs | {"kl": kl} | gradients)
    return LinearUnpairedStep(
        loss=metrics.loss,
        **outputs,
        kl=float(kl[0]),
        metrics=metrics_of(metrics, without=("rewards_accuracy",)),
        **gradients,
        plan=plan_of(plan),
    )
