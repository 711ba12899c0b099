"""Losses, gradients and metrics of LogratioDPOTrainer beside those of TRL's DPOTrainer.

Both get the same logits. TRL's own code on float64 logits is the oracle; TRL in float32 tells how
near to it one may expect to be.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field, replace
from math import isfinite, log
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import trl.trainer.dpo_trainer as trl_module
import trl_harness as harness
from torch import Tensor, nn
from trl import DPOTrainer

import logratio
from logratio._abi import LossKind
from logratio.torch import pair_loss
from logratio.trl import LogratioDPOConfig, LogratioDPOTrainer
from logratio.trl._config import EXTRA

LOSSES = [
    "sigmoid",
    "hinge",
    "ipo",
    "exo_pair",
    "nca_pair",
    "robust",
    "bco_pair",
    "sppo_hard",
    "aot",
    "aot_unpaired",
    "apo_zero",
    "apo_down",
    "discopop",
    "sft",
    "sigmoid_norm",
]
SMOOTHED = ["exo_pair", "robust", "aot", "aot_unpaired"]
OF_MARGIN = ["sigmoid", "sigmoid_norm", "hinge", "ipo", "exo_pair", "robust", "discopop", "sft"]
WEIGHTED = [name for name in LOSSES if name not in ("aot", "aot_unpaired", "sft")]
DIVERGENCES = ["forward_kl", "js_divergence", "alpha_divergence"]

#: Error of a figure relative to figures above 1, and of a gradient relative to its largest element:
#: log-probabilities between -32 and -64, the reference's too, are 4e-6 apart in float32.
TOLERANCE = 4e-6
#: Gradients below are noise of the oracle: 1 - p has an error of 1e-16 in float64.
NOISE = 1e-12
#: Rounding of a gradient to bfloat16: half of 2^-7, relative to the element.
BFLOAT16 = 2**-8


@dataclass
class Case:
    """A batch, the options that differ from the trainer's, and what TRL gets wrong in it."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    batch: str = "plain"
    #: Metrics that TRL in float32 gives as NaN or infinity.
    wrong_metrics: tuple[str, ...] = ()
    #: Whether TRL's loss in float32 is NaN.
    wrong_loss: bool = False
    #: Whether TRL raises an error.
    fails: bool = False

    @property
    def tolerance(self) -> float:
        """Errors of log-probabilities are multiplied by beta, and by 1/tau in discopop's gate."""
        amplification = 20 if "discopop" in self.options.get("loss_type", []) else 1
        return TOLERANCE * max(amplification, self.options.get("beta", 1))


def cases() -> list[Case]:
    found = []
    for name in LOSSES:
        options: dict[str, Any] = {"loss_type": [name]}
        if name in SMOOTHED:
            options["label_smoothing"] = 0.1
        case = Case(name, options)
        found += [case, replace(case, name=f"{name}-precomputed", batch="precomputed")]
        for alpha in (0.0, 0.3, 1.0):
            found.append(Case(f"{name}-ld-{alpha}", options | {"ld_alpha": alpha}))
        for batch in ("one_pair", "empty_answer", "bfloat16"):
            found.append(replace(case, name=f"{name}-{batch}", batch=batch))
        # An entropy of 0 * inf, and a mean with -inf in it.
        wrong = ("entropy", "logits/chosen", "logits/rejected")
        found.append(Case(f"{name}-inf_columns", options, "inf_columns", wrong))
        found.append(Case(f"{name}-certain", options, "certain"))
        # exp(-z) is infinite in float32 where its weight in the mixture is 0.
        is_nan = name == "discopop"
        found.append(Case(f"{name}-mistaken", options, "mistaken", wrong_loss=is_nan))
    for name in OF_MARGIN:
        smoothing = 0.1 if name in SMOOTHED else 0.0
        for divergence in DIVERGENCES:
            options = {
                "loss_type": [name],
                "f_divergence_type": divergence,
                "label_smoothing": smoothing,
            }
            found.append(Case(f"{name}-{divergence}", options))
    for coefficient in (1.0, 2.5):
        options = {
            "f_divergence_type": "alpha_divergence",
            "f_alpha_divergence_coef": coefficient,
        }
        found.append(Case(f"sigmoid-alpha-{coefficient}", options))
    for name in WEIGHTED:
        options = {"loss_type": [name], "use_weighting": True}
        if name in SMOOTHED:
            options["label_smoothing"] = 0.1
        # TRL weights in place what autograd has saved.
        fails = name == "hinge"
        found.append(Case(f"{name}-wpo", options, fails=fails))
        found.append(Case(f"{name}-wpo-ld", options | {"ld_alpha": 0.3}, fails=fails))
    mixed: dict[str, Any] = {
        "loss_type": ["sigmoid", "bco_pair", "sft"],
        "loss_weights": [0.8, 0.2, 1.0],
    }
    found.append(Case("mpo", mixed))
    found.append(Case("mpo-ld", mixed | {"ld_alpha": 0.5}))
    ranked: dict[str, Any] = {
        "loss_type": ["aot", "ipo", "discopop"],
        "loss_weights": [0.5, -0.25, 2.0],
    }
    found.append(Case("ranked", ranked))
    found.append(Case("tau", {"loss_type": ["discopop"], "discopop_tau": 0.4}))
    found.append(Case("beta", {"loss_type": ["sigmoid_norm"], "beta": 3.0}))
    # TRL's sigmoid does not smooth.
    found.append(Case("smooth-sigmoid", {"loss_type": ["sigmoid"], "label_smoothing": 0.2}))
    return found


class Given(nn.Module):
    """A model that gives the logits that it was given."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, **_: Any) -> SimpleNamespace:
        return SimpleNamespace(logits=self.logits)


@dataclass
class Batch:
    """Logits, the reference's logits, and the inputs; ``kept`` columns are not -inf."""

    logits: Tensor
    reference: Tensor
    inputs: dict[str, Tensor]
    kept: int
    precomputed: bool


def batch(kind: str) -> Batch:
    random = torch.Generator().manual_seed(7)
    count, length = 1 if kind == "one_pair" else 4, 14
    kept = 80
    vocab = 97 if kind == "inf_columns" else kept
    shape = (2 * count, length, vocab)
    logits = 2 * torch.randn(shape, generator=random)
    reference = logits + 0.2 * torch.randn(shape, generator=random)
    ids = torch.randint(0, kept, shape[:2], generator=random)
    prompts = torch.randint(1, 5, (count,), generator=random).repeat(2)
    answers = torch.randint(1, 9, (2 * count,), generator=random)
    if kind == "empty_answer":
        answers[0] = answers[-1] = 0
    column = torch.arange(length)
    ends = (prompts + answers)[:, None]
    if kind == "inf_columns":
        logits[..., kept:] = reference[..., kept:] = -torch.inf
    if kind in ("certain", "mistaken"):
        # One answer's labels are sure, the other's out of the question: margins of some hundreds.
        sign = torch.ones(2 * count, 1, 1)
        sign[count if kind == "certain" else 0 :][:count] = -1
        labels = ids.roll(-1, 1)[..., None]
        logits.scatter_add_(2, labels, (60 * sign).expand(labels.shape))
    if kind == "bfloat16":
        logits, reference = logits.bfloat16(), reference.bfloat16()
    inputs = {
        "input_ids": ids,
        "attention_mask": (column < ends).long(),
        "completion_mask": ((column >= prompts[:, None]) & (column < ends)).long(),
    }
    if kind == "precomputed":
        chosen, rejected = -5 * torch.rand(2, count, generator=random)
        inputs |= {"ref_chosen_logps": chosen, "ref_rejected_logps": rejected}
    return Batch(logits, reference, inputs, kept, kind == "precomputed")


@dataclass
class Result:
    loss: float
    gradient: Tensor
    metrics: dict[str, float]


def run(trainer: Any, options: dict[str, Any], given: Batch) -> Result:
    """One step of a trainer, whose options are set as its constructor would set them."""
    args = trainer.args = copy(trainer.unchanged_args)
    for name, value in options.items():
        setattr(args, name, value)
    trainer.loss_types = args.loss_type
    trainer.loss_weights = args.loss_weights or [1.0] * len(args.loss_type)
    trainer.precompute_ref_logps = given.precomputed
    for name in (
        "beta",
        "ld_alpha",
        "f_divergence_type",
        "f_alpha_divergence_coef",
        "label_smoothing",
        "use_weighting",
    ):
        setattr(trainer, name, getattr(args, name))
    trainer._metrics["train"].clear()
    trainer._total_train_tokens = 0
    trainer.ref_model = Given(given.reference)
    trainer.model.train()
    leaf = given.logits.clone().requires_grad_()
    # The result of an operation, as a model's logits are: they may be overwritten.
    loss = trainer.compute_loss(Given(leaf.clone()), given.inputs)
    loss.backward()
    metrics = {name: sum(x) / len(x) for name, x in trainer._metrics["train"].items()}
    assert leaf.grad is not None
    return Result(loss.item(), leaf.grad, metrics)


def in_float64() -> type[DPOTrainer]:
    """TRL's trainer, but for what keeps it from running in float64 and from weighting hinge."""
    source = textwrap.dedent(inspect.getsource(DPOTrainer._compute_loss))
    edits = {
        "torch.float32: 80.0}": "torch.float32: 80.0, torch.float64: 700.0}",
        "torch.clamp(t_chosen.float()": "torch.clamp(t_chosen.double()",
        "torch.clamp(t_rejected.float()": "torch.clamp(t_rejected.double()",
        "per_sequence_loss *= ": "per_sequence_loss = per_sequence_loss * ",
    }
    for theirs, ours in edits.items():
        assert source.count(theirs) == 1
        source = source.replace(theirs, ours)
    namespace: dict[str, Any] = {}
    exec(source, vars(trl_module), namespace)
    return type("Oracle", (DPOTrainer,), namespace)


@pytest.fixture(scope="module")
def trainers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("losses")
    kinds: dict[str, type] = {
        "ours": LogratioDPOTrainer,
        "theirs": DPOTrainer,
        "oracle": in_float64(),
    }
    args = harness.config(folder, LogratioDPOConfig)
    trainers = {name: harness.trainer(kind, args) for name, kind in kinds.items()}
    for trainer in trainers.values():
        trainer.unchanged_args = args
    return trainers


def error(figure: float, exact: float) -> float:
    difference = abs(figure - exact) / max(1.0, abs(exact))
    return difference if difference == difference else torch.inf


def gradient_error(gradient: Tensor, exact: Tensor) -> float:
    scale = exact.abs().max().clamp(min=NOISE)
    difference = ((gradient.double() - exact).abs().max() / scale).item()
    return difference if difference == difference else torch.inf


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_is_as_near_to_float64_as_trl(case: Case, trainers: dict[str, Any]) -> None:
    given = batch(case.batch)
    exact_batch = replace(
        given,
        logits=given.logits.double()[..., : given.kept],
        reference=given.reference.double()[..., : given.kept],
    )
    # TRL sees the logits as accelerate gives them in a bf16 run.
    their_batch = replace(given, logits=given.logits.float(), reference=given.reference.float())
    exact = run(trainers["oracle"], case.options, exact_batch)
    ours = run(trainers["ours"], case.options, given)
    if case.fails:
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            run(trainers["theirs"], case.options, their_batch)
        theirs = exact
    else:
        theirs = run(trainers["theirs"], case.options, their_batch)

    assert list(ours.metrics) == list(theirs.metrics)
    assert isfinite(theirs.loss) != case.wrong_loss
    their_error = 0.0 if case.wrong_loss else error(theirs.loss, exact.loss)
    assert error(ours.loss, exact.loss) <= max(their_error, case.tolerance)
    for name, figure in exact.metrics.items():
        is_wrong = name in case.wrong_metrics
        assert isfinite(theirs.metrics[name]) != is_wrong, name
        their_error = 0.0 if is_wrong else error(theirs.metrics[name], figure)
        assert error(ours.metrics[name], figure) <= max(their_error, case.tolerance), name

    kept = ours.gradient[..., : given.kept]
    assert not ours.gradient[..., given.kept :].any()
    assert ours.gradient.dtype == given.logits.dtype
    if given.logits.dtype == torch.bfloat16:
        allowed = BFLOAT16 * exact.gradient.abs() + case.tolerance * exact.gradient.abs().max()
        assert ((kept.double() - exact.gradient).abs() <= allowed).all()
    else:
        theirs_kept = theirs.gradient[..., : given.kept]
        their_error = 0.0 if case.wrong_loss else gradient_error(theirs_kept, exact.gradient)
        allowed_error = max(their_error, case.tolerance)
        assert gradient_error(kept, exact.gradient) <= allowed_error


@dataclass
class Logps:
    """Sums of log-probabilities in float64, [P] each, and the number of their tokens."""

    chosen: Tensor
    rejected: Tensor
    reference_chosen: Tensor
    reference_rejected: Tensor
    chosen_counts: Tensor
    rejected_counts: Tensor

    @property
    def margin(self) -> Tensor:
        return self.chosen - self.reference_chosen - self.rejected + self.reference_rejected

    @property
    def means(self) -> tuple[Tensor, Tensor]:
        return self.chosen / self.chosen_counts, self.rejected / self.rejected_counts

    def nll(self, kind: str) -> Tensor:
        """NLL of each chosen answer, or the batch's mean per token."""
        if kind == "pair":
            return -self.means[0]
        return -(self.chosen.sum() / self.chosen_counts.sum()).expand_as(self.chosen)


def logps_of(logits: Tensor, given: Batch) -> Logps:
    def sums(logits: Tensor) -> Tensor:
        token_logps = logits.log_softmax(-1)[:, :-1].gather(2, labels[..., None])[..., 0]
        return (token_logps * mask).sum(1)

    labels, mask = given.inputs["input_ids"][:, 1:], given.inputs["completion_mask"][:, 1:]
    policy, reference = sums(logits), sums(given.reference.double())
    return Logps(*policy.chunk(2), *reference.chunk(2), *mask.sum(1).chunk(2))


def dlrml(x: Logps, beta_kl: float, beta_mix: float, tau: float) -> Tensor:
    z, gate = beta_kl * x.margin, (beta_mix * x.margin / tau).sigmoid()
    return (1 - gate) * -F.logsigmoid(z) + gate * (-z).exp()


def kto_pair(x: Logps, beta: float, detach: str) -> Tensor:
    chosen, rejected = x.chosen - x.reference_chosen, x.rejected - x.reference_rejected
    kl_chosen, kl_rejected = chosen.mean().clamp(min=0), rejected.mean().clamp(min=0)
    if detach == "on":
        kl_chosen, kl_rejected = kl_chosen.detach(), kl_rejected.detach()
    good = 1 - (beta * (chosen - kl_rejected)).sigmoid()
    bad = 1 - (beta * (kl_chosen - rejected)).sigmoid()
    return torch.cat((good, bad))


def smoothed(z: Tensor, smoothing: float) -> Tensor:
    return -(1 - smoothing) * F.logsigmoid(z) - smoothing * F.logsigmoid(-z)


def simpo(x: Logps, beta: float, gamma: float, label_smoothing: float) -> Tensor:
    chosen, rejected = x.means
    return smoothed(beta * (chosen - rejected) - gamma, label_smoothing)


def alphapo(x: Logps, beta: float, gamma: float, alpha: float, label_smoothing: float) -> Tensor:
    chosen, rejected = (-torch.expm1(-alpha * mean) / alpha for mean in x.means)
    return smoothed(beta * (chosen - rejected) - gamma, label_smoothing)


def cpo(x: Logps, beta: float, alpha: float, label_smoothing: float, nll: str) -> Tensor:
    return smoothed(beta * (x.chosen - x.rejected), label_smoothing) + alpha * x.nll(nll)


def orpo(x: Logps, beta: float, nll: str) -> Tensor:
    chosen, rejected = (mean - torch.log1p(-mean.exp()) for mean in x.means)
    return x.nll(nll) - beta * F.logsigmoid(chosen - rejected)


#: Losses that TRL lacks, with options off their defaults: formula, options of the loss that
#: LogratioDPOConfig has under the same name.
OTHERS = [
    (dlrml, {"beta_kl": 0.08, "beta_mix": 0.3, "tau": 0.4}),
    (kto_pair, {"beta": 0.3, "detach": "off"}),
    (kto_pair, {"beta": 0.3, "detach": "on"}),
    (simpo, {"beta": 2.0, "gamma": 0.7, "label_smoothing": 0.1}),
    (alphapo, {"beta": 2.0, "gamma": 0.2, "alpha": 0.4, "label_smoothing": 0.1}),
    (cpo, {"beta": 0.2, "alpha": 0.7, "label_smoothing": 0.1, "nll": "pair"}),
    (cpo, {"beta": 0.2, "alpha": 0.7, "label_smoothing": 0.0, "nll": "token"}),
    (orpo, {"beta": 0.4, "nll": "pair"}),
    (orpo, {"beta": 0.4, "nll": "token"}),
]


def check_other(
    trainers: dict[str, Any],
    name: str,
    options: dict[str, Any],
    formula: Callable[[Logps], Tensor],
) -> None:
    given = batch("plain")
    ours = run(trainers["ours"], options | {"loss_type": [name]}, given)
    leaf = given.logits.double().requires_grad_()
    logps = logps_of(leaf, given)
    loss = formula(logps).mean()
    loss.backward()
    assert error(ours.loss, loss.item()) <= TOLERANCE
    assert leaf.grad is not None
    assert gradient_error(ours.gradient, leaf.grad) <= TOLERANCE
    beta = options.get("beta", trainers["ours"].unchanged_args.beta)
    margin = beta * logps.margin.mean().item()
    assert error(ours.metrics["rewards/margins"], margin) <= TOLERANCE


@pytest.mark.parametrize(("formula", "options"), OTHERS, ids=lambda x: getattr(x, "__name__", ""))
def test_loss_that_trl_lacks_is_its_formula(
    formula: Callable[..., Tensor], options: dict[str, Any], trainers: dict[str, Any]
) -> None:
    check_other(trainers, formula.__name__, options, lambda logps: formula(logps, **options))


#: The discovered losses and aliases; options of the trainer, and of pair_loss.
NAMED = [
    ("dbaql", {"tau": 0.3, "variant": "old"}, {"tau": 0.3, "variant": "old"}),
    ("aql", {"tau": 0.3}, {"tau": 0.3}),
    ("aqfl", {"variant": "paper"}, {"variant": "paper"}),
    ("padll", {}, {}),
    ("cell", {}, {}),
    ("pfl", {"tau": 0.2}, {"tau": 0.2}),
    ("lrml", {"discopop_tau": 0.3, "variant": "old"}, {"tau": 0.3, "variant": "old"}),
    ("slic", {"f_divergence_type": "js_divergence"}, {"f_divergence": "js"}),
    ("dpo", {}, {}),
    ("dlrml", {"f_divergence_type": "forward_kl"}, {"f_divergence": "forward_kl"}),
    ("ipo", {"normalise": "off"}, {"normalise": "off"}),
    ("bco_pair", {"delta": 0.2}, {"delta": 0.2}),
]


@pytest.mark.parametrize(("name", "options", "of_the_loss"), NAMED, ids=lambda x: str(x)[:12])
def test_options_reach_the_loss(
    name: str, options: dict[str, Any], of_the_loss: dict[str, Any], trainers: dict[str, Any]
) -> None:
    # The float64 pair_loss has its own tests; what is asked here is which options the loss gets.
    if "beta" in logratio.losses()[name].options:
        options, of_the_loss = options | {"beta": 0.2}, of_the_loss | {"beta": 0.2}

    def loss(x: Logps) -> Tensor:
        return pair_loss(
            x.chosen,
            x.rejected,
            (name, of_the_loss),
            reference_chosen=x.reference_chosen,
            reference_rejected=x.reference_rejected,
        ).loss

    check_other(trainers, name, options, loss)


def test_every_paired_loss_is_tested() -> None:
    tested = {*LOSSES, *(formula.__name__ for formula, _ in OTHERS), *(name for name, *_ in NAMED)}
    paired = {
        name for name, loss in logratio.losses().items() if loss.kind != LossKind.LR_LOSS_UNPAIRED
    }
    assert paired == tested
    options = {option for name in paired for option in logratio.losses()[name].options}
    of_trl = {"beta", "label_smoothing", "f_divergence", "f_alpha"}
    assert options == of_trl | set(EXTRA)


def test_wpo_leaves_sft_as_it_is(trainers: dict[str, Any]) -> None:
    # TRL multiplies one number for all pairs in place, which torch refuses.
    given, weighted = batch("plain"), {"loss_type": ["sft"], "use_weighting": True}
    with pytest.raises(RuntimeError, match="single memory location"):
        run(trainers["theirs"], weighted, given)
    exact = logps_of(given.logits.double(), given).nll("token").mean().item()
    assert error(run(trainers["ours"], weighted, given).loss, exact) <= TOLERANCE


def test_equal_models_have_no_rewards(trainers: dict[str, Any]) -> None:
    for options in ({}, {"ld_alpha": 0.3}, {"use_weighting": True}):
        given = batch("plain")
        ours = run(trainers["ours"], options, replace(given, reference=given.logits))
        rewards = [x for name, x in ours.metrics.items() if name.startswith("rewards/")]
        assert rewards == [0.0] * 4
        if "use_weighting" not in options:
            assert ours.loss == pytest.approx(log(2), abs=1e-7)


@pytest.mark.parametrize("name", ["sigmoid", "hinge", "sigmoid_norm"])
def test_forward_kl_does_not_overflow(name: str, trainers: dict[str, Any]) -> None:
    # Exponents are clamped at 80, beyond which the gradient is 0; TRL's exp is infinite.
    options = {"loss_type": [name], "f_divergence_type": "forward_kl"}
    given = batch("mistaken")
    theirs, ours = (run(trainers[kind], options, given) for kind in ("theirs", "ours"))
    assert not isfinite(theirs.loss) or not theirs.gradient.isfinite().all()
    assert isfinite(ours.loss) and ours.gradient.isfinite().all()


@pytest.mark.parametrize("name", ["ipo", "sigmoid_norm"])
def test_length_is_that_of_predicted_tokens(name: str, trainers: dict[str, Any]) -> None:
    given = batch("plain")
    given.inputs["completion_mask"] = given.inputs["attention_mask"]
    x = logps_of(given.logits.double(), given)
    chosen = (x.chosen - x.reference_chosen) / x.chosen_counts
    rejected = (x.rejected - x.reference_rejected) / x.rejected_counts
    beta = trainers["ours"].unchanged_args.beta
    if name == "ipo":
        exact = (chosen - rejected - 1 / (2 * beta)).square().mean().item()
    else:
        exact = smoothed(beta * (chosen - rejected), 0).mean().item()
    options = {"loss_type": [name]}
    assert error(run(trainers["ours"], options, given).loss, exact) <= TOLERANCE
    # TRL divides by one token more, the first, which nothing predicts.
    assert error(run(trainers["theirs"], options, given).loss, exact) > 100 * TOLERANCE
