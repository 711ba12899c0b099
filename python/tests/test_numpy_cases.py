"""The operations on files with expectations from autograd in float64, which eval is tested on."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import logratio.numpy
import numpy as np
import pytest
from logratio import losses
from safetensors_file import read

FOLDER = Path(__file__).resolve().parents[2] / "cli/src/test/resources/cases"
CASES = sorted(
    file.name.removesuffix(".expect.safetensors") for file in FOLDER.glob("*.expect.safetensors")
)
Array = np.ndarray[Any, Any]
LEARNED = ("beta", "beta_kl", "beta_mix", "tau")

#: The two margins of each dtype that a result has, relative and of the largest value: those of
#: eval's own tests, where figures are float32.
CLOSE = {
    "float64": (2e-5, 3e-6),
    "float32": (2e-5, 3e-6),
    "bfloat16": (2.0**-7, 2e-3),
    "float16": (2.0**-10, 2.5e-4),
    "int64": (0, 0),
}


def test_there_are_cases() -> None:
    """All files are cases, and all of an operation that is offered, none of them skipped."""
    assert len(CASES) >= 63
    assert CASES == sorted(
        file.stem for file in FOLDER.iterdir() if not file.stem.endswith(".expect")
    )
    operations = {read(FOLDER / f"{case}.safetensors")[0]["op"] for case in CASES}
    assert operations <= set(logratio.numpy.__all__)


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_autograd(case: str) -> None:
    agrees(case, *read(FOLDER / f"{case}.safetensors"))


@pytest.mark.parametrize("case", CASES)
def test_agrees_on_views(case: str) -> None:
    options, tensors = read(FOLDER / f"{case}.safetensors")
    agrees(case, options, {name: apart(name, array) for name, array in tensors.items()})


def apart(name: str, array: Array) -> Array:
    """Logits and what makes them, rows apart and upwards; of anything else every second element."""
    if name.endswith(("logits", "hidden", "weight")):
        columns = array.shape[-1]
        memory = np.full((*array.shape[:-1], columns + 3), np.nan, array.dtype)
        view = memory[::-1, ..., :columns]
    else:
        view = np.ones((*array.shape, 2), array.dtype)[..., 0]
    view[...] = array
    assert not view.flags.c_contiguous or view.size < 2
    return view


def agrees(case: str, options: dict[str, str], tensors: dict[str, Array]) -> None:
    _, expected = read(FOLDER / f"{case}.expect.safetensors")
    actual = run(options, tensors)
    for name, values in expected.items():
        result = np.asarray(actual[name])
        if result.shape != values.shape:  # a number, which files hold as [1]
            assert result.shape == () and values.shape == (1,), name
        relative, of_largest = CLOSE[result.dtype.name]
        finite = np.abs(values[np.isfinite(values)])
        largest = finite.max() if finite.size and name != "tail" else 0
        np.testing.assert_allclose(
            result.astype(np.float64).reshape(values.shape),
            values.astype(np.float64),
            rtol=relative,
            atol=of_largest * largest,
            err_msg=name,
        )


def run(options: dict[str, str], tensors: dict[str, Any]) -> dict[str, Any]:
    """Runs the operation that a file names, and names its results as eval does."""
    operation = getattr(logratio.numpy, options.pop("op"))
    own = inspect.signature(operation).parameters
    arguments: dict[str, Any] = {name: x for name, x in tensors.items() if name in own}
    arguments |= {name: read_option(name, x) for name, x in options.items() if name in own}
    if "loss" in options:
        arguments["loss"] = losses_of(options, tensors, set(own))
    if operation is logratio.numpy.divergence:
        arguments.setdefault("q_logits", None)
    results = operation(**arguments)._asdict()
    results |= results.pop("metrics", {})
    for name, gradient in results.pop("grad_parameters", {}).items():
        results[f"grad_{name}"] = gradient
    return results


def read_option(name: str, text: str) -> Any:
    if name == "loss_weights":
        return [float(weight) for weight in text.split(",")]
    if name == "masked_log":
        return text == "on"
    if name in ("vocab", "ignore_index", "budget_bytes"):
        return int(text)
    try:
        return float(text)
    except ValueError:
        return text


def losses_of(options: dict[str, str], tensors: dict[str, Any], own: set[str]) -> Any:
    """The losses, each with those of the other options and of the parameters that it has."""
    given = {name: read_option(name, x) for name, x in options.items() if name not in own}
    given |= {name: tensors[name] for name in LEARNED if name in tensors}
    named = []
    for loss in options["loss"].split(","):
        known = losses()[loss].options
        named.append((loss, {name: x for name, x in given.items() if name in known}))
    return named[0] if len(named) == 1 else named
