"""pair_loss and unpaired_loss beside their formulas."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch_oracle import (
    PAIRED,
    PAIRED_CASES,
    REFERENCE_FREE,
    UNPAIRED_CASES,
    Pairs,
    close,
    double,
    paired_id,
    unpaired,
)

import logratio
from logratio.torch import pair_loss, unpaired_loss

LOGPS = ("policy_chosen", "policy_rejected", "reference_chosen", "reference_rejected")
LEARNED = ("beta", "beta_kl", "beta_mix", "tau")
PAIRED_KINDS = ("LR_LOSS_OF_MARGIN", "LR_LOSS_OF_LOG_RATIOS", "LR_LOSS_REFERENCE_FREE")


def batch(pairs: int, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(pairs)
    logps = {name: -6 + 2 * torch.randn(pairs, generator=generator) for name in LOGPS}
    return {name: x.clamp(max=-1).to(dtype).requires_grad_() for name, x in logps.items()}


def given(name: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    names = LOGPS[:2] if name in REFERENCE_FREE else LOGPS
    return {key: tensors[key] for key in names}


def expected(
    case: tuple[str, dict[str, Any]],
    tensors: dict[str, torch.Tensor],
    counts: tuple[torch.Tensor, torch.Tensor],
) -> torch.Tensor:
    name, options = case
    zero = torch.zeros_like(tensors["policy_chosen"])
    logps = [tensors.get(key, zero) for key in LOGPS]
    return PAIRED[name](Pairs(*logps, *(x.double() for x in counts)), options)


def test_every_loss_is_tested() -> None:
    described = logratio.losses()
    paired = {name for name, loss in described.items() if loss.kind.name in PAIRED_KINDS}
    aliases = {name for name in paired if name != described[name].name}
    assert paired - aliases <= set(PAIRED)
    assert {name for name, _ in PAIRED_CASES} == set(PAIRED)


@pytest.mark.parametrize("case", PAIRED_CASES, ids=paired_id)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_values_and_gradients(case: tuple[str, dict[str, Any]], dtype: torch.dtype) -> None:
    name, options = case
    inputs = given(name, batch(5, dtype))
    oracle = {key: double(x) for key, x in inputs.items()}
    counts = torch.tensor([3, 1, 4, 2, 6]), torch.tensor([2, 5, 1, 3, 4])
    result = pair_loss(
        **inputs, loss=(name, options), chosen_counts=counts[0], rejected_counts=counts[1]
    )
    values = expected(case, oracle, counts)
    # float64 figures differ by rounding alone; float32 ones are rounded once.
    tolerance = 1e-12 if dtype == torch.float64 else 1e-6
    close(result.loss, values, tolerance)
    upstream = torch.linspace(-1, 2, len(values))
    result.loss.backward(upstream.to(dtype))
    values.backward(upstream.double())
    for key, tensor in inputs.items():
        close(
            tensor.grad,
            oracle[key].grad if oracle[key].grad is not None else 0 * oracle[key],
            tolerance,
        )


@pytest.mark.parametrize("shape", [(), (1,), (5,)])
@pytest.mark.parametrize(
    "name", ["dlrml", "discopop", "sigmoid", "ipo", "dbaql", "aqfl", "aot", "simpo", "orpo"]
)
def test_learned_parameters(name: str, shape: tuple[int, ...]) -> None:
    inputs = given(name, batch(5, torch.float64))
    options = {key: option.default for key, option in logratio.losses()[name].options.items()}
    generator = torch.Generator().manual_seed(1)
    learned = {
        key: (options[key] * (1 + torch.rand(shape, generator=generator))).double().requires_grad_()
        for key in LEARNED
        if key in options
    }
    oracle = {key: double(x) for key, x in inputs.items()}
    parameters = {key: double(x) for key, x in learned.items()}
    ones = torch.ones(5), torch.ones(5)
    loss = pair_loss(**inputs, loss=(name, learned)).loss
    values = expected((name, parameters), oracle, ones)
    close(loss, values, 1e-12)
    upstream = torch.linspace(-1, 2, len(values)).double()
    loss.backward(upstream)
    values.backward(upstream)
    for key, tensor in learned.items():
        assert tensor.grad.shape == tensor.shape
        close(tensor.grad, parameters[key].grad, 1e-11)
    close(inputs["policy_chosen"].grad, oracle["policy_chosen"].grad, 1e-11)


def test_gradcheck_through_the_batch() -> None:
    inputs = batch(4, torch.float64)
    tau = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)

    def losses(*logps: torch.Tensor) -> torch.Tensor:
        *logps, parameter = logps
        options = {"tau": parameter, "beta": 0.2}
        return pair_loss(**dict(zip(LOGPS, logps)), loss=("aqfl", options)).loss

    assert torch.autograd.gradcheck(losses, (*inputs.values(), tau))


def test_published_values_of_discopop() -> None:
    """Table of the paper's losses at rho = (-4, -.5, .5, 10), beta = tau = .05."""
    rho = torch.tensor([-4.0, -0.5, 0.5, 10.0], dtype=torch.float64)
    zero = torch.zeros(4, dtype=torch.float64)
    published = {
        "discopop": 0.77568803196137698,
        "dbaql": 0.66259230191730387,
        "aql": 0.73038990189019415,
        "aqfl": 0.76618309408587490,
        "padll": 0.42901523418581773,
        "cell": 0.81090311387978913,
    }
    for name, mean in published.items():
        loss = pair_loss(rho, zero, name, reference_chosen=zero, reference_rejected=zero).loss
        assert loss.mean().item() == pytest.approx(mean, rel=1e-14)


def test_off_and_on_may_be_false_and_true() -> None:
    inputs = batch(3, torch.float32)
    for is_on, word in ((True, "on"), (False, "off")):
        ours = pair_loss(**inputs, loss=("kto_pair", {"detach": is_on})).loss
        ours.sum().backward()
        gradient = inputs["policy_chosen"].grad.clone()
        inputs["policy_chosen"].grad = None
        pair_loss(**inputs, loss=("kto_pair", {"detach": word})).loss.sum().backward()
        assert torch.equal(inputs["policy_chosen"].grad, gradient)
        inputs["policy_chosen"].grad = None


def test_rewards_have_no_gradient() -> None:
    inputs = batch(3, torch.float32)
    result = pair_loss(**inputs, loss=("sigmoid", {"beta": 0.3}))
    close(result.chosen_rewards, 0.3 * (inputs["policy_chosen"] - inputs["reference_chosen"]))
    close(result.rejected_rewards, 0.3 * (inputs["policy_rejected"] - inputs["reference_rejected"]))
    assert not result.chosen_rewards.requires_grad
    assert not result.rejected_rewards.requires_grad


def test_reference_free() -> None:
    inputs = batch(3, torch.float32)
    policy = {name: inputs[name] for name in LOGPS[:2]}
    zero = torch.zeros(3)
    with_zeros = pair_loss(**policy, loss="sigmoid", reference_chosen=zero, reference_rejected=zero)
    assert torch.equal(
        pair_loss(**policy, loss="sigmoid", reference_free=True).loss, with_zeros.loss
    )
    with pytest.raises(ValueError, match="^loss: sigmoid needs the reference"):
        pair_loss(**policy, loss="sigmoid")
    with pytest.raises(ValueError, match="^reference_free: expected False"):
        pair_loss(**inputs, loss="sigmoid", reference_free=True)


def test_no_pairs() -> None:
    nothing = torch.zeros(0, requires_grad=True)
    loss = pair_loss(nothing, nothing, "sigmoid", reference_free=True).loss
    loss.sum().backward()
    assert loss.shape == nothing.grad.shape == (0,)


def test_certain_answers_of_orpo() -> None:
    """log(1 - p) where p is within 1e-9 of 1: a naive formula gives inf or NaN."""
    chosen = torch.tensor([-1e-9], dtype=torch.float64, requires_grad=True)
    rejected = torch.tensor([-2.0], dtype=torch.float64)
    loss = pair_loss(chosen, rejected, "orpo").loss
    loss.backward()
    log_odds = -1e-9 - torch.log(-torch.expm1(chosen)) + 2 + torch.log(-torch.expm1(rejected))
    assert loss.item() == pytest.approx(1e-9 + 0.1 * torch.exp(-log_odds).log1p().item(), rel=1e-9)
    assert torch.isfinite(chosen.grad).all()


@pytest.mark.parametrize(
    "case, with_kl",
    [(case, False) for case in UNPAIRED_CASES]
    + [(case, True) for case in UNPAIRED_CASES if case[0] == "kto"],
)
def test_unpaired(case: tuple[str, dict[str, Any]], with_kl: bool) -> None:
    name, options = case
    generator = torch.Generator().manual_seed(2)
    policy = (-5 + torch.randn(6, generator=generator)).double().requires_grad_()
    reference = (-5 + torch.randn(6, generator=generator)).double().requires_grad_()
    chosen = torch.tensor([True, False, True, True, False, False])
    kl = {}
    if with_kl:
        kl = {
            "kl_policy_logps": torch.tensor([1.0, 2]),
            "kl_reference_logps": torch.tensor([0.5, 1]),
        }
    result = unpaired_loss(policy, reference, chosen, (name, options), **kl)
    assert result.kl.shape == () and result.kl.item() == (0.75 if with_kl else 0)
    oracle = double(policy), double(reference)
    values = unpaired(name, options, *oracle, chosen, 0.75 if with_kl else 0.0)
    close(result.loss, values, 1e-12)
    close(result.rewards, options.get("beta", 0.1) * (oracle[0] - oracle[1]), 1e-12)
    upstream = torch.linspace(1, 3, 6).double()
    result.loss.backward(upstream)
    values.backward(upstream)
    close(policy.grad, oracle[0].grad, 1e-12)
    close(reference.grad, oracle[1].grad, 1e-12)
