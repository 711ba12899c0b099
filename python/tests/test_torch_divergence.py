"""divergence beside its formulas in float64."""

from __future__ import annotations

import pytest
import torch
from torch_oracle import ROUNDING, close, double
from torch_oracle import divergence as formula

from logratio.torch import divergence

NAMES = ["sce", "jeffreys", "kl_pq", "kl_qp", "js", "l2", "tvd", "wasserstein1", "cosine"]


def rows(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(*shape, generator=generator)).to(dtype).requires_grad_()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("inplace", [False, True])
def test_values_and_gradients(name: str, dtype: torch.dtype, inplace: bool) -> None:
    p, q = rows(1, 4, 333, dtype=dtype), rows(2, 4, 333, dtype=dtype)
    oracle = double(p), double(q)
    weights = torch.tensor([1.0, 0.5, 0, 2])
    result = divergence(p * 1, q * 1, name, row_weights=weights, temperature=1.5, inplace=inplace)
    values = formula(name, *((x / 1.5).log_softmax(-1) for x in oracle))
    loss = (weights * values).sum() / 3.5
    close(result.values, values, 1e-5)
    close(result.loss, loss, 1e-5)
    (result.loss * 3).backward()
    (loss * 3).backward()
    # The upstream is not the expected one, so that a gradient is rounded twice.
    for side, of_oracle in zip((p, q), oracle):
        close(side.grad, of_oracle.grad, max(1e-5, 2 * ROUNDING[dtype]))
    assert not result.values.requires_grad


def test_options() -> None:
    p, q = rows(3, 5, 90), rows(4, 6, 90)
    oracle = double(p), double(q)
    p_rows, q_rows = torch.tensor([4, 0, 2]), torch.tensor([1, 5, 0])
    result = divergence(
        p, q, "js", js_weight=0.3, p_rows=p_rows, q_rows=q_rows, reduction="sum", vocab=80
    )
    log_p, log_q = oracle[0][p_rows, :80].log_softmax(-1), oracle[1][q_rows, :80].log_softmax(-1)
    loss = formula("js", log_p, log_q, 0.3).sum()
    close(result.loss, loss)
    result.loss.backward()
    loss.backward()
    close(p.grad, oracle[0].grad)
    close(q.grad, oracle[1].grad)


def test_weights_of_sce() -> None:
    p, q = rows(3, 5, 90), rows(4, 5, 90)
    result = divergence(p, q, "sce", w1=0.25, w2=2.0)
    log_p, log_q = double(p).log_softmax(-1), double(q).log_softmax(-1)
    close(result.values, -(0.25 * log_p.exp() * log_q + 2 * log_q.exp() * log_p).sum(-1))


@pytest.mark.parametrize("side", ["p", "q"])
def test_detached_side(side: str) -> None:
    p, q = rows(1, 4, 50), rows(2, 4, 50)
    divergence(p, q, "jeffreys", detach=side).loss.backward()
    kept, detached = (q, p) if side == "p" else (p, q)
    assert detached.grad is None
    oracle = double(p), double(q)
    formula("jeffreys", *(x.log_softmax(-1) for x in oracle)).mean().backward()
    close(kept.grad, oracle[1 if side == "p" else 0].grad)


def test_one_side_requires_a_gradient() -> None:
    p, q = rows(1, 4, 50), rows(2, 4, 50).detach()
    untouched = q.clone()
    divergence(p * 1, q, "kl_pq", inplace=True).loss.backward()
    oracle = double(p)
    formula("kl_pq", oracle.log_softmax(-1), q.double().log_softmax(-1)).mean().backward()
    close(p.grad, oracle.grad)
    assert torch.equal(q, untouched)


def test_weights_for_q() -> None:
    p, weights = rows(1, 4, 50), torch.rand(4, 50) + 0.1
    result = divergence(p, None, "kl_pq", q_weights=weights)
    oracle = double(p)
    log_q = (weights / weights.sum(-1, keepdim=True)).double().log()
    loss = formula("kl_pq", oracle.log_softmax(-1), log_q).mean()
    close(result.loss, loss)
    result.loss.backward()
    loss.backward()
    close(p.grad, oracle.grad)


def test_known_columns_of_q() -> None:
    p, q = rows(1, 3, 40), rows(2, 3, 40).detach()
    logps, ids = q.log_softmax(-1).topk(5)
    result = divergence(p, None, "kl_qp", q_topk_ids=ids, q_topk_logps=logps)
    oracle = double(p)

    def with_rest(known: torch.Tensor) -> torch.Tensor:
        return torch.cat([known, torch.log1p(-known.exp().sum(-1, keepdim=True))], -1)

    log_p = with_rest(oracle.log_softmax(-1).gather(-1, ids))
    loss = formula("kl_qp", log_p, with_rest(logps.double())).mean()
    close(result.loss, loss)
    result.loss.backward()
    loss.backward()
    close(p.grad, oracle.grad)


def test_several_teachers() -> None:
    p, q = rows(1, 3, 40), rows(2, 2, 3, 40)
    oracle = double(p), double(q)
    result = divergence(p, q, "js", q_model_weights=torch.tensor([1.0, 3.0]))
    log_p, log_q = (x.log_softmax(-1) for x in oracle)
    loss = (formula("js", log_p, log_q[0]) + 3 * formula("js", log_p, log_q[1])).mean() / 4
    close(result.loss, loss)
    result.loss.backward()
    loss.backward()
    close(p.grad, oracle[0].grad)
    close(q.grad, oracle[1].grad)


def test_logits_that_differ_by_a_constant() -> None:
    """Liger's KL of such logits is not 0 where exponents overflow."""
    p = rows(1, 3, 40)
    result = divergence(p, p.detach() + 1000, "kl_pq")
    result.loss.backward()
    # float32 holds logits near 1000 to 6e-5.
    assert abs(result.loss.item()) < 1e-6 and p.grad.abs().max() < 1e-5
