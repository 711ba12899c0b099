"""Arrays of every layout, values by formula, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from logratio import InvalidArgumentError
from logratio.numpy import (
    divergence,
    pair_loss,
    preference_step,
    scoring_rule,
    sequence_logps,
    token_logprobs,
    unpaired_loss,
    unpaired_step,
)

RANDOM = np.random.default_rng(1)
LOGITS = RANDOM.normal(0, 2, (4, 6, 11)).astype(np.float32)
LABELS = RANDOM.integers(0, 11, (4, 6))


def log_softmax(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    x = x.astype(np.float64)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def test_views_are_read_where_they_lie() -> None:
    whole = np.zeros((4, 9, 11), np.float32)
    whole[:, 1:7] = LOGITS
    of_view = token_logprobs(whole[:, 1:7], LABELS[::-1][::-1])
    expected = np.take_along_axis(log_softmax(LOGITS), LABELS[..., None], -1)[..., 0]
    np.testing.assert_allclose(of_view.logp, expected, rtol=1e-5)
    backwards = token_logprobs(LOGITS[::-1], LABELS[::-1])
    np.testing.assert_array_equal(backwards.logp[::-1], of_view.logp)


def test_lists_are_arrays() -> None:
    of_lists = pair_loss(
        [-1.0, -2.5],
        [-2.0, -2.0],
        "sigmoid",
        reference_chosen=[-1.5, -2.0],
        reference_rejected=[-2.0, -3.0],
    )
    margin = 0.1 * np.array([0.5 - 0.0, -0.5 - 1.0])
    np.testing.assert_allclose(of_lists.loss, np.log1p(np.exp(-margin)), rtol=1e-12)
    np.testing.assert_allclose(of_lists.grad_policy_chosen, -0.05 * sigmoid(-margin), rtol=1e-12)
    np.testing.assert_array_equal(of_lists.grad_policy_chosen, -of_lists.grad_policy_rejected)
    assert of_lists.grad_beta is None


def test_kto_by_its_formula() -> None:
    policy, reference = RANDOM.normal(-9, 2, 6), RANDOM.normal(-9, 2, 6)
    chosen = np.array([1, 0, 1, 1, 0, 0], bool)
    kl_policy, kl_reference = np.array([-8.0, -7.0]), np.array([-9.5, -8.0])
    result = unpaired_loss(
        policy,
        reference,
        chosen,
        ("kto", {"beta": 0.3, "undesirable_weight": 0.5}),
        kl_policy_logps=kl_policy,
        kl_reference_logps=kl_reference,
    )
    kl = max(0, (kl_policy - kl_reference).mean())
    ratio = policy - reference
    x = 0.3 * np.where(chosen, ratio - kl, kl - ratio)
    weight = np.where(chosen, 1, 0.5)
    assert result.kl == pytest.approx(kl, rel=1e-12)
    np.testing.assert_allclose(result.loss, weight * (1 - sigmoid(x)), rtol=1e-12)
    np.testing.assert_allclose(result.rewards, 0.3 * ratio, rtol=1e-12)
    slope = -weight * sigmoid(x) * sigmoid(-x) * 0.3 * np.where(chosen, 1, -1) / 6
    np.testing.assert_allclose(result.grad_policy_logps, slope, rtol=1e-12)
    np.testing.assert_allclose(result.grad_reference_logps, -slope, rtol=1e-12)


def test_an_option_that_is_a_scalar_of_numpy() -> None:
    """A scalar is no array to be learned, and no reason to fall back on the default."""
    logps, chosen = np.array([-3.0, -4.0]), np.array([True, False])
    for beta in (0.5, np.float32(0.5), np.array(0.5)):
        result = unpaired_loss(logps, 0 * logps, chosen, ("kto", {"beta": beta}))
        np.testing.assert_array_equal(result.rewards, 0.5 * logps)
        step = unpaired_step(
            LOGITS[:2], LABELS[:2], chosen, ("bco", {"beta": beta}), reference_logps=0 * logps
        )
        np.testing.assert_array_equal(step.rewards, 0.5 * step.logps)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int32, np.int64, np.float32])
def test_masks_of_every_dtype(dtype: type) -> None:
    mask, logps = LABELS % 2, RANDOM.normal(-2, 1, LABELS.shape)
    result = sequence_logps(logps, mask.astype(dtype), grad_logps=np.ones(4))
    np.testing.assert_allclose(result.logps, (logps * mask).sum(1), rtol=1e-14)
    np.testing.assert_array_equal(result.counts, mask.sum(1))
    np.testing.assert_array_equal(result.grad_token_logps, mask)


def test_an_empty_batch() -> None:
    pairs = pair_loss(np.empty(0), np.empty(0), "simpo")
    assert pairs.loss.shape == pairs.grad_policy_chosen.shape == (0,)
    step = preference_step(np.empty((0, 3, 7), np.float32), np.empty((0, 3), np.int64), "simpo")
    assert step.loss == 0 and step.grad_logits is not None and step.grad_logits.shape == (0, 3, 7)
    assert set(step.metrics.values()) == {0}


def test_inputs_are_not_written() -> None:
    logits, labels = LOGITS.copy(), LABELS.copy()
    logits.flags.writeable = labels.flags.writeable = False
    preference_step(logits, labels, "sigmoid", reference_free=True)
    np.testing.assert_array_equal(logits, LOGITS)


def test_half_precision_gradients_have_the_logits_dtype() -> None:
    single = scoring_rule(LOGITS[0], LABELS[0], "brier")
    half = scoring_rule(LOGITS[0].astype(np.float16), LABELS[0], "brier")
    assert half.grad_logits is not None and half.grad_logits.dtype == np.float16
    np.testing.assert_allclose(half.grad_logits, single.grad_logits, atol=2e-3)


def test_without_gradient_there_is_none() -> None:
    with_it = preference_step(LOGITS, LABELS, "sigmoid", reference_free=True)
    without = preference_step(LOGITS, LABELS, "sigmoid", reference_free=True, grad=False)
    assert without.grad_logits is None and with_it.grad_logits is not None
    assert without.metrics["grad_norm"] == 0 and with_it.metrics["grad_norm"] > 0
    assert without.loss == with_it.loss
    assert token_logprobs(LOGITS, LABELS).grad_logits is None
    assert sequence_logps(np.ones((2, 3)), np.ones((2, 3), bool)).grad_token_logps is None


def test_the_gradient_of_a_step_by_differences() -> None:
    reference = RANDOM.normal(-12, 1, 4)

    def loss(x: np.ndarray[Any, Any]) -> float:
        logps = np.take_along_axis(log_softmax(x), LABELS[..., None], -1)[..., 0].sum(1) - reference
        return float(np.log1p(np.exp(-0.2 * (logps[:2] - logps[2:]))).mean())

    step = preference_step(LOGITS, LABELS, ("sigmoid", {"beta": 0.2}), reference_logps=reference)
    assert step.loss == pytest.approx(loss(LOGITS), rel=1e-6)
    gradient = step.grad_logits
    assert gradient is not None
    for at in [(0, 0, 0), (1, 5, 10), (2, 3, 4), (3, 1, 7)]:
        up, down = LOGITS.astype(np.float64), LOGITS.astype(np.float64)
        up[at] += 1e-5
        down[at] -= 1e-5
        assert gradient[at] == pytest.approx((loss(up) - loss(down)) / 2e-5, rel=1e-4, abs=1e-7)


def test_parameters_as_arrays() -> None:
    step = preference_step(
        LOGITS, LABELS, ("sigmoid", {"beta": np.array([0.1, 0.3])}), reference_free=True
    )
    first = preference_step(LOGITS, LABELS, ("sigmoid", {"beta": 0.1}), reference_free=True)
    assert step.losses[0] == first.losses[0]
    assert step.grad_parameters["beta"].shape == (2,)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: token_logprobs(LOGITS.astype(">f4"), LABELS),
            "logits: expected a float, an integer or a mask in this machine's byte order, got >f4",
        ),
        (lambda: token_logprobs(LOGITS.astype(np.float64), LABELS), "logits"),
        (lambda: token_logprobs(np.asfortranarray(LOGITS), LABELS), "logits"),
        (lambda: token_logprobs(LOGITS[0, 0], LABELS), "logits: expected an array of at least 2"),
        (lambda: token_logprobs(LOGITS, LABELS + 6), "labels"),
        (lambda: token_logprobs(LOGITS, LABELS, vocab=0), "vocab: expected a number > 0, got 0"),
        (lambda: preference_step(LOGITS, LABELS, "sigmoid"), "needs the reference's"),
        (
            lambda: preference_step(
                LOGITS, LABELS, "sigmoid", reference_logps=np.zeros(4), reference_free=True
            ),
            "reference_free: expected False",
        ),
        (
            lambda: preference_step(LOGITS, LABELS, ["sft", "simpo"], loss_weights=[1]),
            "loss_weights: expected one per loss, 2, got 1",
        ),
        (lambda: preference_step(LOGITS, LABELS, ("simpo", {"tau": 1})), "tau: simpo has no such"),
        (lambda: pair_loss([1.0], [1.0], ["simpo", "cpo"]), "loss: expected one loss, got 2"),
        (lambda: unpaired_step(LOGITS, LABELS, None, "kto"), "chosen: expected an array, got None"),
        (lambda: unpaired_step(LOGITS, LABELS, np.ones(4, bool), "kto"), "reference"),
        (lambda: divergence(LOGITS[0], LOGITS[1], "kl"), "divergence: expected sce or"),
        (lambda: scoring_rule(LOGITS, LABELS, "log", epsilon=1), "epsilon"),
        (lambda: sequence_logps([[1.0]], [[True]], align="left"), "align: expected completion or"),
    ],
)
def test_mistakes_are_named(call: Callable[[], object], sentence: str) -> None:
    with pytest.raises(InvalidArgumentError) as raised:
        call()
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)
