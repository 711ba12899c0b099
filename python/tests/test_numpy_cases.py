"""Every case of the command line's tests, beside PyTorch's autograd in float64."""

from __future__ import annotations

import numpy as np
import pytest

import numpy_cases as cases

#: What the command line's tests allow the CPU backend: relative to a value, and to the largest. All
#: figures are computed in float32; a gradient of half precision is rounded to that.
TOLERANCES = {
    "float64": (2e-5, 3e-6),
    "float32": (2e-5, 3e-6),
    "bfloat16": (2**-7, 2e-3),
    "float16": (2**-10, 2.5e-4),
}


def test_every_case_is_one_of_an_operation() -> None:
    files = {name: cases.case(name)[0] for name in cases.names()}
    operations = [file.metadata["op"] for file in files.values()]
    assert [op for op in operations if op not in cases.OPERATIONS] == []
    assert len(files) == 63
    dtypes = [file.dtypes.get(key) for file in files.values() for key in ("logits", "p_logits")]
    # F64 logits would have to be rounded first.
    assert set(dtypes) - {None} == {"F32", "BF16", "F16"}


def agrees(name: str, file: cases.File, tensors: dict[str, np.ndarray]) -> None:
    expected = cases.case(name)[1]
    results = cases.run(file, tensors)
    assert len(expected) >= 3
    for key, values in expected.items():
        actual = results[key]
        assert actual is not None, f"{key} is missing"
        if not isinstance(actual, np.ndarray):
            actual = np.asarray([actual], np.float64)
        assert actual.shape == values.shape, key
        if values.dtype == np.int64:
            np.testing.assert_array_equal(actual, values, key)
            continue
        relative, of_largest = TOLERANCES[actual.dtype.name]
        finite = np.abs(values[np.isfinite(values)])
        # A tail is good to its own size, next to 0 as far below.
        absolute = 0.0 if key == "tail" else of_largest * finite.max(initial=0)
        with np.errstate(invalid="ignore"):  # two infinities that are equal
            error = np.abs(actual.astype(np.float64) - values)
        close = (actual == values) | (error <= np.maximum(relative * np.abs(values), absolute))
        close |= np.isnan(actual.astype(np.float64)) & np.isnan(values)
        assert close.all(), f"{key}: {actual[~close]} is not {values[~close]}"


@pytest.mark.parametrize("name", cases.names())
def test_case(name: str) -> None:
    file = cases.case(name)[0]
    agrees(name, file, file.tensors)


@pytest.mark.parametrize("name", cases.names())
def test_case_of_views(name: str) -> None:
    """Logits whose rows lie apart and upwards, and all else at every second element."""
    file = cases.case(name)[0]
    agrees(name, file, {key: _apart(key, array) for key, array in file.tensors.items()})


def _apart(name: str, array: np.ndarray) -> np.ndarray:
    if name.endswith(("logits", "q_weights")):
        columns = array.shape[-1]
        memory = np.full((*array.shape[:-1], columns + 3), np.nan, array.dtype)
        view = memory[::-1, ..., :columns]
    else:
        view = np.ones((*array.shape, 2), array.dtype)[..., 0]
    view[...] = array
    assert not view.flags.c_contiguous or view.size < 2
    return view


HALF = [name for name in cases.names() if "BF16" in cases.case(name)[0].dtypes.values()]


@pytest.mark.parametrize("name", HALF)
def test_bfloat16_case(name: str) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    file = cases.case(name)[0]
    tensors = {
        key: array.astype(ml_dtypes.bfloat16) if file.dtypes[key] == "BF16" else array
        for key, array in file.tensors.items()
    }
    agrees(name, file, tensors)
