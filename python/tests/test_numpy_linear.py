"""The fused linear operations on arrays: beside their twins, and gradients beside differences.

A twin gets the logits as float32 numbers of a product in float64, so that the two differ by the
rounding of float32 products of H terms: by about 1e-6 in a logit of size 1.
"""

from __future__ import annotations

from typing import Any

import logratio
import ml_dtypes
import numpy as np
import pytest
from logratio.numpy import (
    linear_preference_step,
    linear_token_logprobs,
    linear_unpaired_step,
    preference_step,
    token_logprobs,
    unpaired_step,
)

RANDOM = np.random.default_rng(3)
ROWS, LENGTH, H, V = 4, 5, 12, 257
HIDDEN = RANDOM.standard_normal((ROWS, LENGTH, H)).astype(np.float32)
WEIGHT = (0.4 * RANDOM.standard_normal((V, H))).astype(np.float32)
BIAS = RANDOM.standard_normal(V).astype(np.float32)
LABELS = RANDOM.integers(0, 200, (ROWS, LENGTH))
LABELS[2, 1] = -100
REFERENCE = RANDOM.standard_normal(ROWS) - 30
CHOSEN = np.asarray([True, False, True, True])
UPSTREAM = RANDOM.standard_normal((ROWS, LENGTH))
OPTIONS = {"softcap": 6.0, "temperature": 0.8, "vocab": 200}
DTYPES = [np.float32, np.float16, ml_dtypes.bfloat16]
NAMES = ("hidden", "weight", "bias")
CLOSE = 5e-6

Array = np.ndarray[Any, Any]


def head(dtype: Any = np.float32) -> dict[str, Array]:
    return {
        "hidden": HIDDEN.astype(dtype),
        "weight": WEIGHT.astype(dtype),
        "bias": BIAS.astype(dtype),
    }


def product(hidden: Array, weight: Array, bias: Array) -> Array:
    wide = [array.astype(np.float64) for array in (hidden, weight, bias)]
    return (wide[0] @ wide[1].T + wide[2]).astype(np.float32)


def near(actual: Any, expected: Any, tolerance: float = CLOSE, least: float = 1e-30) -> None:
    """Two arrays differ by at most `tolerance` times the largest expected number."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    largest = max(least, np.abs(expected).max())
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * largest)


def near_gradients(fused: Any, logits: Array, given: dict[str, Array]) -> None:
    """Gradients beside those that a gradient of logits gives in float64."""
    rows = logits.reshape(-1, V).astype(np.float64)
    hidden = given["hidden"].reshape(-1, H).astype(np.float64)
    expected = {
        "hidden": rows @ given["weight"].astype(np.float64),
        "weight": rows.T @ hidden,
        "bias": rows.sum(0),
    }
    rounding = {"float32": CLOSE, "float16": 2.0**-10, "bfloat16": 2.0**-7}
    for name in NAMES:
        gradient = getattr(fused, f"grad_{name}")
        assert gradient.dtype == given[name].dtype and gradient.shape == given[name].shape
        wide = expected[name].reshape(gradient.shape)
        near(gradient, wide, rounding[gradient.dtype.name])


def near_figures(fused: Any, plain: Any) -> None:
    for name, expected in plain._asdict().items():
        if name == "metrics":
            assert list(fused.metrics) == list(expected)
            for figure in expected:
                near(fused.metrics[figure], expected[figure], least=1)
        elif not name.startswith("grad_"):
            near(getattr(fused, name), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("options", [{}, OPTIONS], ids=["plain", "options"])
def test_token_logprobs(dtype: Any, options: dict[str, Any]) -> None:
    given = head(dtype)
    upstreams = {"grad_logp": UPSTREAM, "grad_entropy": UPSTREAM[::-1], "grad_lse": UPSTREAM**2}
    fused = linear_token_logprobs(labels=LABELS, **given, **upstreams, **options)
    plain = token_logprobs(product(**given), LABELS, **upstreams, **options)
    for name in ("logp", "lse", "lse2", "entropy", "argmax", "mean_logit"):
        near(getattr(fused, name), getattr(plain, name))
    near_gradients(fused, plain.grad_logits, given)
    assert fused.plan.method == "sweep" and fused.plan.rows == ROWS * LENGTH
    without = linear_token_logprobs(labels=LABELS, **given, **options)
    assert without.grad_hidden is without.grad_weight is without.grad_bias is None
    assert without.plan.method == "forward" and without.plan.operations == 2


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("options", [{}, OPTIONS], ids=["plain", "options"])
def test_preference_step(dtype: Any, options: dict[str, Any]) -> None:
    given = head(dtype)
    loss = ("sigmoid", {"beta": np.asarray([0.3, 0.2])})
    inputs = {"reference_logps": REFERENCE, "grad_loss": 2.0, **options}
    fused = linear_preference_step(labels=LABELS, loss=loss, **given, **inputs)
    plain = preference_step(product(**given), LABELS, loss, **inputs)
    near_figures(fused, plain)
    near(fused.grad_parameters["beta"], plain.grad_parameters["beta"])
    near_gradients(fused, plain.grad_logits, given)
    assert fused.plan.gemm == f"{logratio.gemm().library}"


def test_unpaired_step() -> None:
    given = head()
    inputs = {"reference_logps": REFERENCE, "weights": np.arange(1.0, 5), **OPTIONS}
    fused = linear_unpaired_step(labels=LABELS, chosen=CHOSEN, loss="kto", **given, **inputs)
    plain = unpaired_step(product(**given), LABELS, CHOSEN, "kto", **inputs)
    near_figures(fused, plain)
    near_gradients(fused, plain.grad_logits, given)


def test_packed_sequences() -> None:
    given = head()
    lengths = np.asarray([5, 2, 0, 4])
    columns = np.arange(LENGTH) < lengths[:, None]
    padded = linear_preference_step(labels=LABELS, loss="simpo", mask=columns, **given)
    packed = linear_preference_step(
        given["hidden"][columns],
        given["weight"],
        LABELS[columns],
        "simpo",
        bias=given["bias"],
        cu_seqlens=np.concatenate([[0], lengths.cumsum()]),
    )
    assert np.array_equal(packed.losses, padded.losses)
    assert np.array_equal(packed.grad_hidden, padded.grad_hidden[columns])
    assert np.array_equal(packed.grad_weight, padded.grad_weight)


@pytest.mark.parametrize("frozen, absent", [("weight", NAMES[1:]), ("hidden", NAMES[:1])])
def test_what_is_frozen_has_no_gradient(frozen: str, absent: tuple[str, ...]) -> None:
    given = head() | {"reference_logps": REFERENCE}
    whole = linear_preference_step(labels=LABELS, loss="sigmoid", **given)
    part = linear_preference_step(labels=LABELS, loss="sigmoid", frozen=frozen, **given)
    for name in NAMES:
        gradient = getattr(part, f"grad_{name}")
        if name in absent:
            assert gradient is None
        else:
            near(gradient, getattr(whole, f"grad_{name}"))
    assert part.plan.method == ("online" if frozen == "weight" else "sweep")


def test_without_a_bias_or_a_gradient() -> None:
    step = linear_preference_step(HIDDEN, WEIGHT, LABELS, "simpo", grad=False)
    assert step.grad_hidden is step.grad_weight is step.grad_bias is None
    assert step.plan.method == "forward"
    assert linear_preference_step(HIDDEN, WEIGHT, LABELS, "simpo").grad_bias is None


@pytest.mark.parametrize("name", NAMES)
def test_gradient_is_the_difference_of_values(name: str) -> None:
    """As in test_numpy_gradients.py: 1e-3 of the largest is allowed at a step of 1/64."""
    step = 2.0**-6
    at = head()[name][:3]

    def loss(moved: Array | None = None) -> Any:
        given = head()
        if moved is not None:
            given[name][:3] = moved
        inputs = {"reference_logps": REFERENCE, "softcap": 6.0}
        return linear_preference_step(labels=LABELS, loss="sigmoid", **given, **inputs)

    gradient = getattr(loss(), f"grad_{name}")[:3]
    indices = list(np.ndindex(at.shape))
    differences = np.zeros(at.shape)
    for index in indices:
        moved = [at.copy(), at.copy()]
        moved[0][index] += step
        moved[1][index] -= step
        differences[index] = (loss(moved[0]).loss - loss(moved[1]).loss) / (2 * step)
    near(gradient, differences, 1e-3)
    assert np.abs(differences).max() > 1e-3


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another H": ({"weight": WEIGHT[:, 1:]}, "weight is F32 [257, 11]"),
    "a weight's dtype": ({"weight": WEIGHT.astype(np.float16)}, "weight is F16 [257, 12]"),
    "float64": ({"hidden": HIDDEN.astype(np.float64)}, "hidden is F64"),
    "too small a budget": ({"budget_bytes": 4 * V - 1}, "budget_bytes is 1027, expected at least"),
    "a broken budget": ({"budget_bytes": 1e9}, "budget_bytes: expected an integer, got 1000000000"),
    "no budget": ({"budget_bytes": 0}, "budget_bytes: expected a number > 0, got 0"),
    "no such frozen": ({"frozen": "bias"}, "frozen: expected none or weight or hidden, got 'bias'"),
    "no weight": ({"weight": None}, "weight: expected an array, got None"),
    "a bias's shape": ({"bias": BIAS[1:]}, "bias is F32 [256], expected shape [257]"),
    "half a reference": ({"reference_weight": WEIGHT}, "reference_hidden is missing"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(name: str) -> None:
    given, sentence = WRONG[name]
    with pytest.raises(logratio.InvalidArgumentError) as caught:
        linear_preference_step(**head() | {"labels": LABELS, "loss": "simpo"} | given)
    assert str(caught.value).startswith(sentence) and "\n" not in str(caught.value)
