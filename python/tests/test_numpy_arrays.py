"""What arrays may be, and what is returned."""

from __future__ import annotations

import numpy as np
import pytest

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

RANDOM = np.random.default_rng(3)
LOGITS = RANDOM.standard_normal((4, 3, 7)).astype(np.float32)
LABELS = RANDOM.integers(0, 7, (4, 3))
MASK = np.asarray([[1, 1, 0], [0, 1, 1], [1, 0, 1], [1, 1, 1]], bool)
CHOSEN = np.asarray([True, False, False, True])
REFERENCE = RANDOM.standard_normal((4, 3)) - 2


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_figures_are_float64_and_gradients_the_logits(dtype: str) -> None:
    logits = LOGITS.astype(dtype)
    token = token_logprobs(logits, LABELS, grad_logp=REFERENCE)
    step = preference_step(logits, LABELS, ("simpo", {"beta": np.float32(2)}), mask=MASK)
    rows = logits[:, 0]
    apart = divergence(rows, rows + 1, "l2")
    rule = scoring_rule(logits, LABELS, "brier")
    for logit_gradient in (token.grad_logits, step.grad_logits, apart.grad_q_logits):
        assert logit_gradient.dtype == dtype
    for array in (token.logp, token.lse, token.entropy, step.losses, step.grad_beta, rule.values):
        assert array.dtype == np.float64
    assert token.argmax.dtype == np.int64 and token.tail is None and token.outside is None
    assert all(isinstance(x, float) for x in (step.loss, apart.loss, rule.loss))


def test_gradients_that_are_not_wanted_are_none() -> None:
    logps, rows = REFERENCE[:, 0], LOGITS[:, 0]
    results = [
        token_logprobs(LOGITS, LABELS),
        sequence_logps(REFERENCE, MASK),
        pair_loss(logps, logps, "dlrml", reference_free=True, grad=False),
        unpaired_loss(logps, logps, CHOSEN, "kto", grad=False),
        preference_step(LOGITS, LABELS, ("simpo", {"beta": np.ones(2)}), grad=False),
        unpaired_step(LOGITS, LABELS, CHOSEN, "kto", reference_logps=logps, grad=False),
        divergence(rows, rows, "l2", grad=False),
        scoring_rule(LOGITS, LABELS, "log", grad=False),
    ]
    for result in results:
        gradients = {k: x for k, x in result._asdict().items() if k.startswith("grad_")}
        assert gradients and all(gradient is None for gradient in gradients.values())
    detached = divergence(rows, rows + 1, "js", detach="p")
    assert detached.grad_p_logits is None and detached.grad_q_logits is not None


def test_views_give_the_bits_of_copies_and_are_not_written() -> None:
    memory = np.full((3, 5, 9), np.nan, np.float32)
    logits = memory.transpose(1, 0, 2)[:4, ::-1, 1:8]
    logits[...] = LOGITS
    labels = np.asfortranarray(LABELS.astype(np.int32))
    mask = np.repeat(MASK, 2, 1).astype(np.uint8)[:, ::2]
    weights = np.broadcast_to(np.float32(2), 2)
    before = memory.copy()
    memory.flags.writeable = False
    reference = REFERENCE[::-1].copy()[::-1]
    arguments = {"reference_token_logps": reference, "pair_weights": weights, "grad_loss": 2}
    viewed = preference_step(logits, labels, "sigmoid", mask=mask, **arguments)
    plain = preference_step(
        LOGITS,
        LABELS,
        "sigmoid",
        mask=MASK,
        reference_token_logps=REFERENCE,
        pair_weights=np.asarray([2.0, 2.0]),
        grad_loss=np.asarray([2.0]),
    )
    assert viewed.loss == plain.loss and viewed.metrics == plain.metrics
    np.testing.assert_array_equal(viewed.grad_logits, plain.grad_logits)
    np.testing.assert_array_equal(memory, before)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int32, np.int64, np.float32])
def test_masks_of_every_dtype(dtype: type) -> None:
    got = sequence_logps(REFERENCE, MASK.astype(dtype), grad_logps=np.ones(4))
    np.testing.assert_allclose(got.logps, (REFERENCE * MASK).sum(1), rtol=1e-14)
    np.testing.assert_array_equal(got.counts, MASK.sum(1))
    np.testing.assert_array_equal(got.grad_token_logps, MASK)


def test_ml_dtypes_bfloat16_is_the_float32_of_its_bits() -> None:
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    logits = LOGITS.astype(bfloat16)
    half = token_logprobs(logits, LABELS, grad_logp=REFERENCE.astype(bfloat16))
    full = token_logprobs(
        logits.astype(np.float32),
        LABELS,
        grad_logp=REFERENCE.astype(bfloat16).astype(np.float32),
    )
    np.testing.assert_allclose(half.logp, full.logp, rtol=1e-6)
    assert half.grad_logits.dtype == bfloat16
    np.testing.assert_allclose(
        half.grad_logits.astype(np.float32), full.grad_logits, rtol=2**-8, atol=1e-6
    )


def test_an_empty_batch() -> None:
    nothing = np.empty(0)
    pairs = pair_loss(nothing, nothing, "simpo")
    assert pairs.loss.shape == pairs.grad_policy_chosen.shape == (0,)
    step = preference_step(np.empty((0, 3, 7), np.float32), np.empty((0, 3), np.int64), "simpo")
    assert step.loss == 0 and step.grad_logits.shape == (0, 3, 7)
    assert set(step.metrics.values()) == {0}


def test_unpaired_loss_is_its_formula() -> None:
    policy, reference = RANDOM.standard_normal((2, 4))
    kl_policy, kl_reference = np.asarray([1.0, 2.0]), np.asarray([0.5, 0.5])
    got = unpaired_loss(
        policy,
        reference,
        CHOSEN,
        ("kto", {"beta": 0.3, "desirable_weight": 1.5}),
        kl_policy_logps=kl_policy,
        kl_reference_logps=kl_reference,
    )
    # https://arxiv.org/abs/2402.01306, equation 8, with KTO's KL of 1.
    side = np.where(CHOSEN, 1, -1)
    sigmoid = 1 / (1 + np.exp(-side * 0.3 * (policy - reference - 1)))
    weight = np.where(CHOSEN, 1.5, 1)
    assert got.kl == 1
    np.testing.assert_allclose(got.loss, weight * (1 - sigmoid), rtol=1e-14)
    np.testing.assert_allclose(got.rewards, 0.3 * (policy - reference), rtol=1e-14)
    gradient = -side * weight * 0.3 * sigmoid * (1 - sigmoid) / 4
    np.testing.assert_allclose(got.grad_policy_logps, gradient, rtol=1e-13)
    np.testing.assert_allclose(got.grad_reference_logps, -gradient, rtol=1e-13)
