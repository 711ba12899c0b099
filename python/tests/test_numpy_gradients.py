"""Gradients beside central differences of the values, one case of each operation.

Logits are float32, so that a step h of them leaves an error of about 1e-7 / h in a value of size 1,
beside the h**2 of the difference itself: 1e-3 of the largest gradient is allowed at h = 1/64.
Log-probabilities are float64, as is what is computed from them: 1e-7 is allowed at h = 1e-4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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

RANDOM = np.random.default_rng(7)
LABELS = RANDOM.integers(0, 5, (4, 3))
LABELS[1, 2] = -100
LOGITS = RANDOM.standard_normal((4, 3, 5)).astype(np.float32)
ROWS = RANDOM.standard_normal((3, 5)).astype(np.float32)
LOGPS = {
    name: RANDOM.standard_normal(4) - 2
    for name in (
        "policy_chosen",
        "policy_rejected",
        "reference_chosen",
        "reference_rejected",
        "policy_logps",
        "reference_logps",
    )
}
UPSTREAM = RANDOM.standard_normal((4, 3))
TOKENS = RANDOM.standard_normal((4, 3))
MASK = np.asarray([[1, 1, 0], [0, 1, 1], [1, 1, 1], [1, 0.5, 0]], np.float32)
BETAS = {"beta_kl": np.full(4, 0.3), "beta_mix": np.asarray([0.4]), "tau": np.full(4, 0.7)}
CHOSEN = np.asarray([True, False, True, True])
TOKEN_OPTIONS = {"temperature": 0.8, "softcap": 3.0}


def _tokens(logits: np.ndarray) -> tuple[float, np.ndarray]:
    """A loss with all four upstream gradients, of two labels per row."""
    labels = np.stack([LABELS, (LABELS + 2) % 5], -1)
    grad_logp = np.stack([UPSTREAM, -2 * UPSTREAM], -1)
    upstreams = {"grad_entropy": UPSTREAM, "grad_lse": 0.5 * UPSTREAM, "grad_tail": UPSTREAM**2}
    got = token_logprobs(logits, labels, grad_logp=grad_logp, **upstreams, **TOKEN_OPTIONS)
    figures = {"grad_entropy": got.entropy, "grad_lse": got.lse, "grad_tail": got.tail}
    loss = (got.logp * grad_logp).sum()
    return loss + sum((figures[name] * x).sum() for name, x in upstreams.items()), got.grad_logits


def _sequences(token_logps: np.ndarray) -> tuple[float, np.ndarray]:
    grad_logps = np.arange(1.0, 5)
    options = {"reduction": "mean", "tail_weight": 0.3, "keep_fraction": 0.8}
    got = sequence_logps(token_logps, MASK, grad_logps=grad_logps, **options)
    return (got.logps * grad_logps).sum(), got.grad_token_logps


def _pairs(name: str) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    def evaluate(array: np.ndarray) -> tuple[float, np.ndarray]:
        logps = {key: x for key, x in LOGPS.items() if "_logps" not in key}
        options = dict(BETAS)
        (options if name in options else logps)[name] = array
        first = [logps.pop(key) for key in ("policy_chosen", "policy_rejected")]
        got = pair_loss(*first, ("dlrml", options), **logps)
        return got.loss.mean(), getattr(got, f"grad_{name}")

    return evaluate


def _examples(name: str) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    def evaluate(array: np.ndarray) -> tuple[float, np.ndarray]:
        logps = {key: x for key, x in LOGPS.items() if "_logps" in key} | {name: array}
        grad_loss = np.arange(1.0, 5)
        options = {"beta": 0.5, "undesirable_weight": 2}
        got = unpaired_loss(**logps, chosen=CHOSEN, loss=("bco", options), grad_loss=grad_loss)
        return (got.loss * grad_loss).sum(), getattr(got, f"grad_{name}")

    return evaluate


def _step(logits: np.ndarray) -> tuple[float, np.ndarray]:
    got = preference_step(
        logits,
        LABELS,
        [("sigmoid", {"beta": 0.4}), "sft"],
        loss_weights=[1.5, 0.5],
        mask=MASK,
        reference_logps=LOGPS["reference_logps"],
        pair_weights=np.asarray([0.5, 2]),
        grad_loss=3,
        **TOKEN_OPTIONS,
    )
    return 3 * got.loss, got.grad_logits


def _step_beta(beta: np.ndarray) -> tuple[float, np.ndarray]:
    reference = LOGPS["reference_logps"]
    got = preference_step(LOGITS, LABELS, ("sigmoid", {"beta": beta}), reference_logps=reference)
    return got.loss, got.grad_parameters["beta"]


def _example_step(logits: np.ndarray) -> tuple[float, np.ndarray]:
    got = unpaired_step(
        logits,
        LABELS,
        CHOSEN,
        ("kto", {"beta": 0.3}),
        mask=MASK,
        reference_logps=LOGPS["reference_logps"],
        kl_policy_logps=LOGPS["policy_chosen"] + 1,
        kl_reference_logps=LOGPS["policy_rejected"],
        weights=np.arange(1.0, 5),
        grad_loss=np.asarray(2.0),
        **TOKEN_OPTIONS,
    )
    return 2 * got.loss, got.grad_logits


def _divergence(side: str) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    def evaluate(logits: np.ndarray) -> tuple[float, np.ndarray]:
        sides = {"p_logits": LOGITS[0], "q_logits": ROWS} | {side: logits}
        got = divergence(
            **sides,
            divergence="js",
            js_weight=0.3,
            p_rows=np.asarray([0, 2]),
            q_rows=np.asarray([1, 0], np.int32),
            row_weights=np.asarray([1, 3], np.float32),
            temperature=0.7,
            grad_loss=2.5,
        )
        return 2.5 * got.loss, getattr(got, f"grad_{side}")

    return evaluate


def _rule(logits: np.ndarray) -> tuple[float, np.ndarray]:
    options = {"alpha": 1.5, "epsilon": 0.1, "masked_log": False}
    got = scoring_rule(logits, LABELS, "power", grad_loss=UPSTREAM, **options)
    return (got.values * UPSTREAM).sum(), got.grad_logits


CASES: dict[str, tuple[Callable[[np.ndarray], tuple[float, np.ndarray]], np.ndarray]] = {
    "token_logprobs": (_tokens, LOGITS),
    "sequence_logps": (_sequences, TOKENS),
    "pair_loss policy_chosen": (_pairs("policy_chosen"), LOGPS["policy_chosen"]),
    "pair_loss policy_rejected": (_pairs("policy_rejected"), LOGPS["policy_rejected"]),
    "pair_loss reference_chosen": (_pairs("reference_chosen"), LOGPS["reference_chosen"]),
    "pair_loss reference_rejected": (_pairs("reference_rejected"), LOGPS["reference_rejected"]),
    "pair_loss beta_kl": (_pairs("beta_kl"), BETAS["beta_kl"]),
    "pair_loss beta_mix": (_pairs("beta_mix"), BETAS["beta_mix"]),
    "pair_loss tau": (_pairs("tau"), BETAS["tau"]),
    "unpaired_loss policy_logps": (_examples("policy_logps"), LOGPS["policy_logps"]),
    "unpaired_loss reference_logps": (_examples("reference_logps"), LOGPS["reference_logps"]),
    "preference_step": (_step, LOGITS),
    "preference_step beta": (_step_beta, np.asarray([0.3, 0.5])),
    "unpaired_step": (_example_step, LOGITS),
    "divergence p": (_divergence("p_logits"), LOGITS[0]),
    "divergence q": (_divergence("q_logits"), ROWS),
    "scoring_rule": (_rule, LOGITS),
}


@pytest.mark.parametrize("name", CASES)
def test_gradient_is_the_difference_of_values(name: str) -> None:
    evaluate, at = CASES[name]
    step, tolerance = (2**-6, 1e-3) if at.dtype == np.float32 else (1e-4, 1e-7)
    gradient = evaluate(at)[1]
    assert gradient.shape == at.shape and gradient.dtype == at.dtype
    differences = np.empty(at.shape)
    for index in np.ndindex(at.shape):
        moved: list[Any] = [at.copy(), at.copy()]
        moved[0][index] += step
        moved[1][index] -= step
        differences[index] = (evaluate(moved[0])[0] - evaluate(moved[1])[0]) / (2 * step)
    largest = np.abs(differences).max()
    assert largest > 1e-2
    np.testing.assert_allclose(gradient, differences, rtol=0, atol=tolerance * largest)
