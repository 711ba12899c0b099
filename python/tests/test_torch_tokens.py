"""token_logprobs, selective_log_softmax and entropy_from_logits beside torch in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch_oracle import ROUNDING, close, double, entropies, token_logps

from logratio.torch import entropy_from_logits, selective_log_softmax, token_logprobs

DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def case(dtype: torch.dtype, *rows: int, columns: int = 777) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(sum(rows))
    logits = (3 * torch.randn(*rows, columns, generator=generator)).to(dtype)
    return logits, torch.randint(0, columns, rows, generator=generator)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("sliced", [False, True])
def test_values_and_gradients(dtype: torch.dtype, inplace: bool, sliced: bool) -> None:
    whole, labels = case(dtype, 3, 5)
    labels[1, 2] = -100
    whole.requires_grad_()
    logits = whole * 1
    oracle = double(whole)
    z = oracle
    if sliced:
        logits, labels, z = logits[:, :-1], labels[:, 1:], oracle[:, :-1]
    logp, entropy, lse = token_logprobs(logits, labels, entropy=True, lse=True, inplace=inplace)
    values = token_logps(z, labels), entropies(z), z.logsumexp(-1)
    for ours, value in zip((logp, entropy, lse), values):
        assert ours.dtype == torch.float32 and ours.shape == labels.shape
        close(ours, value)
    counted = (labels != -100).double()
    upstreams = [torch.linspace(-1, 2, labels.numel()).view(labels.shape) * s for s in (1, 0.3, 2)]
    sum((u * x).sum() for u, x in zip(upstreams, (logp, entropy, lse))).backward()
    # An ignored row has no gradient, whatever upstream its entropy has.
    sum((u.double() * x * counted).sum() for u, x in zip(upstreams, values)).backward()
    assert whole.grad.dtype == dtype
    close(whole.grad, oracle.grad, ROUNDING[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_options(dtype: torch.dtype) -> None:
    logits, labels = case(dtype, 7)
    labels = labels.clamp(max=599)
    logits.requires_grad_()
    oracle = double(logits)
    ours = token_logprobs(logits, labels, temperature=0.7, softcap=5.0, vocab=600)
    values = token_logps(5 * torch.tanh(oracle[:, :600] / 5) / 0.7, labels)
    close(ours, values)
    ours.sum().backward()
    values.sum().backward()
    close(logits.grad, oracle.grad, ROUNDING[dtype])
    assert not logits.grad[:, 600:].any()


def test_figures_without_gradient() -> None:
    logits, labels = case(torch.float32, 4)
    logits.requires_grad_()
    figures = token_logprobs(logits, labels, lse2=True, argmax=True, mean_logit=True)
    z = logits.detach().double()
    for ours, value in zip(figures[1:], ((2 * z).logsumexp(-1), z.argmax(-1), z.mean(-1))):
        assert not ours.requires_grad
        close(ours, value)
    assert figures[2].dtype == torch.int64 and figures[0].requires_grad


@pytest.mark.parametrize("rows", [(), (3,), (2, 3), (2, 3, 2), (0,), (0, 4)])
def test_leading_dimensions(rows: tuple[int, ...]) -> None:
    logits, labels = case(torch.float32, *rows)
    logits.requires_grad_()
    logp, entropy = token_logprobs(logits, labels, entropy=True)
    assert logp.shape == entropy.shape == labels.shape
    close(logp, token_logps(logits, labels))
    logp.sum().backward()
    assert logits.grad.shape == logits.shape
    assert entropy_from_logits(logits).shape == labels.shape


def test_k_labels_and_their_tail() -> None:
    logits, _ = case(torch.float32, 2, 3)
    logits.requires_grad_()
    labels = torch.stack([torch.randperm(777)[:4] for _ in range(6)]).view(2, 3, 4)
    oracle = double(logits)
    logps, tail = token_logprobs(logits, labels, tail=True)
    values = oracle.log_softmax(-1).gather(-1, labels)
    rest = torch.log1p(-values.exp().sum(-1))
    close(logps, values)
    close(tail, rest)
    upstream = torch.linspace(-1, 1, 24).view(2, 3, 4)
    ((logps * upstream).sum() + tail.sum()).backward()
    ((values * upstream.double()).sum() + rest.sum()).backward()
    close(logits.grad, oracle.grad)


def test_kept_columns() -> None:
    logits, labels = case(torch.float32, 3, columns=50)
    logits.requires_grad_()
    kept = [sorted(torch.randperm(50)[:n].tolist()) for n in (5, 1, 9)]
    labels = torch.tensor([kept[0][2], kept[1][0], next(i for i in range(50) if i not in kept[2])])
    logp, outside = token_logprobs(
        logits,
        labels,
        outside=True,
        kept_offsets=torch.tensor([0, 5, 6, 15]),
        kept_ids=torch.tensor(sum(kept, [])),
    )
    assert outside.item() == 1 and outside.shape == () and logp[2] == -math.inf
    oracle = double(logits)
    masked = torch.full_like(oracle, -math.inf)
    for row, ids in enumerate(kept):
        masked[row, ids] = oracle[row, ids]
    values = masked.log_softmax(-1)[torch.arange(2), labels[:2]]
    close(logp[:2], values)
    logp[:2].sum().backward()
    values.sum().backward()
    close(logits.grad, oracle.grad)


@pytest.mark.parametrize("index_dtype", [torch.int64, torch.int32])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [None, 1, 2, 6])
def test_selective_log_softmax(dtype: torch.dtype, k: int | None, index_dtype: torch.dtype) -> None:
    logits, index = case(dtype, 2, 5)
    if k is not None:  # of 4 columns, so that some stand in a row more than once
        index = torch.randint(0, 4, (2, 5, k), generator=torch.Generator().manual_seed(k))
    logits.requires_grad_()
    oracle = double(logits)
    ours = selective_log_softmax(logits, index.to(index_dtype))
    columns = index if k is not None else index.unsqueeze(-1)
    values = oracle.log_softmax(-1).gather(-1, columns).view(index.shape)
    assert ours.dtype == torch.float32 and ours.shape == index.shape
    close(ours, values)
    upstream = torch.linspace(-1, 2, index.numel()).view(index.shape)
    ours.backward(upstream)
    values.backward(upstream.double())
    close(logits.grad, oracle.grad, ROUNDING[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_entropy_from_logits(dtype: torch.dtype) -> None:
    logits, _ = case(dtype, 2, 5)
    logits.requires_grad_()
    oracle = double(logits)
    ours, values = entropy_from_logits(logits, chunk_size=1), entropies(oracle)
    close(ours, values)
    ours.square().sum().backward()
    values.square().sum().backward()
    close(logits.grad, oracle.grad, ROUNDING[dtype])


def test_masked_logits() -> None:
    """A first block of -inf, as a constrained decoder leaves it, and a row that is -inf alone."""
    logits, labels = case(torch.float32, 3, columns=40_000)
    logits[0, :20_000] = -math.inf
    labels[0] = 30_000
    logits[1] = -math.inf
    logits.requires_grad_()
    oracle = double(logits)
    logp, entropy = token_logprobs(logits, labels, entropy=True)
    values = token_logps(oracle, labels)
    kept = oracle[0, 20_000:]
    close(logp[[0, 2]], values[[0, 2]])
    close(entropy[0], entropies(kept))
    assert logp[1].isnan() and entropy[1].isnan()
    (logp[0] + logp[2]).backward()
    (values[0] + values[2]).backward()
    close(logits.grad[[0, 2]], oracle.grad[[0, 2]])
    assert not logits.grad[0, :20_000].any()


def test_all_rows_ignored() -> None:
    logits, labels = case(torch.float32, 4)
    logits.requires_grad_()
    logp = token_logprobs(logits, torch.full_like(labels, -100))
    logp.sum().backward()
    assert not logp.any() and not logits.grad.any()


def test_strides_of_all_tensors() -> None:
    """A transposed batch of rows, labels of another stride, and an expanded upstream."""
    whole, labels = case(torch.float32, 5, 3)
    whole.requires_grad_()
    oracle = double(whole)
    logp = token_logprobs(whole.transpose(0, 1), labels.t())
    close(logp, token_logps(oracle, labels).t())
    logp.sum().backward()
    token_logps(oracle, labels).sum().backward()
    close(whole.grad, oracle.grad)
