"""scoring_rule beside its formulas in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch_oracle import ROUNDING, close, double
from torch_oracle import scoring_rule as formula

from logratio.torch import scoring_rule

CASES: list[tuple[str, dict[str, Any]]] = [
    *((rule, {}) for rule in ("log", "brier", "spherical", "power", "pseudo_spherical")),
    *(
        (rule, {"alpha": 1.5, "normalisation": normalisation})
        for rule in ("power", "pseudo_spherical")
        for normalisation in ("selten", "jnw")
    ),
    *((rule, {"epsilon": 0.1, "masked_log": True}) for rule in ("brier", "spherical")),
    ("log", {"epsilon": 0.1}),
]


def case(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(6)
    logits = (2 * torch.randn(2, 3, 120, generator=generator)).to(dtype).requires_grad_()
    labels = torch.randint(0, 100, (2, 3), generator=generator)
    labels[0, 1] = -100
    return logits, labels


@pytest.mark.parametrize("rule, options", CASES)
@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("inplace", [False, True])
def test_values_and_gradients(
    rule: str, options: dict[str, Any], dtype: torch.dtype, inplace: bool
) -> None:
    logits, labels = case(dtype)
    result = scoring_rule(logits * 1, labels, rule, inplace=inplace, **options)
    oracle = double(logits)
    values = formula(rule, oracle, labels, options)
    close(result.values, values)
    close(result.loss, values.sum() / 5)
    (2 * result.loss).backward()
    (2 * values.sum() / 5).backward()
    close(logits.grad, oracle.grad, max(5e-6, ROUNDING[dtype]))
    assert result.loss.shape == () and not result.values.requires_grad


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_gradient_of_the_values(inplace: bool, factor: float) -> None:
    logits, labels = case()
    upstream = torch.linspace(1, 2, 6).view(2, 3)
    result = scoring_rule(logits * 1, labels, "brier", grad_loss=upstream, inplace=inplace)
    result.values.backward(factor * upstream)
    oracle = double(logits)
    formula("brier", oracle, labels, {}).backward((factor * upstream).double())
    close(logits.grad, oracle.grad)
    assert not result.loss.requires_grad


def test_other_upstream_per_row() -> None:
    logits, labels = case(torch.bfloat16)
    expected, brought = torch.ones(2, 3), torch.linspace(-1, 2, 6).view(2, 3)
    scoring_rule(logits, labels, "log", grad_loss=expected).values.backward(brought)
    oracle = double(logits)
    formula("log", oracle, labels, {}).backward(brought.double())
    close(logits.grad, oracle.grad, 2 * ROUNDING[torch.bfloat16])
    logits.grad = None
    expected[1, 1] = 0
    values = scoring_rule(logits, labels, "log", grad_loss=expected).values
    with pytest.raises(ValueError, match="^grad_loss: expected a number other than 0"):
        values.backward(brought)


def test_expected_upstream_of_the_loss() -> None:
    logits, labels = case()
    loss = scoring_rule(logits, labels, "log", grad_loss=0.25).loss
    (loss / 4).backward()
    oracle = double(logits)
    (formula("log", oracle, labels, {}).sum() / 20).backward()
    close(logits.grad, oracle.grad)


def test_vocab_and_all_ignored() -> None:
    logits, labels = case()
    oracle = double(logits)
    result = scoring_rule(logits, labels, "spherical", vocab=100)
    close(result.values, formula("spherical", oracle[..., :100], labels, {}))
    nothing = scoring_rule(logits, torch.full_like(labels, -100), "log")
    nothing.loss.backward()
    assert nothing.loss == 0 and not nothing.values.any() and not logits.grad.any()
