"""torch.compile(fullgraph=True) of every function, and torch.library.opcheck of every operator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch_oracle import close

from logratio.torch import (
    _divergence,
    _linear_preference_step,
    _linear_tokens,
    _linear_unpaired_step,
    _pair_loss,
    _preference_step,
    _scoring_rule,
    _sequence_logps,
    _tokens,
    _unpaired_loss,
    _unpaired_step,
    divergence,
    entropy_from_logits,
    linear_preference_step,
    linear_token_logprobs,
    linear_unpaired_step,
    pair_loss,
    preference_step,
    scoring_rule,
    selective_log_softmax,
    sequence_logps,
    token_logprobs,
    unpaired_loss,
    unpaired_step,
)

LABELS = torch.randint(0, 40, (4, 3), generator=torch.Generator().manual_seed(9))
MASK = torch.tensor([[True, True, False]] * 4)
REFERENCE = torch.tensor([-7.0, -8, -9, -7])
CHOSEN = torch.tensor([True, False, True, False])
BETA = torch.tensor([0.3])
PACKED = torch.tensor([0, 3, 5, 9, 12])
WEIGHT = torch.randn(40, 8, generator=torch.Generator().manual_seed(10))


def tensor(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(len(shape))
    return torch.randn(*shape, generator=generator).requires_grad_()


def logps(x: torch.Tensor) -> dict[str, torch.Tensor]:
    return dict(
        policy_chosen=x[:2], policy_rejected=x[2:], reference_chosen=x[:2] * 2,
        reference_rejected=REFERENCE[2:],
    )  # fmt: skip


#: Functions of logits [4,3,40] or of log-probabilities [4], and the shape they take.
FUNCTIONS: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], tuple[int, ...]]] = {
    "token_logprobs": (lambda x: token_logprobs(x, LABELS).sum(), (4, 3, 40)),
    "token_logprobs with extras": (
        lambda x: sum(
            y.sum() for y in token_logprobs(x, LABELS, entropy=True, lse=True, lse2=True)
        ),
        (4, 3, 40),
    ),
    "selective_log_softmax": (lambda x: selective_log_softmax(x, LABELS).sum(), (4, 3, 40)),
    "selective_log_softmax of K": (
        lambda x: selective_log_softmax(x, LABELS.unsqueeze(-1).expand(4, 3, 2)).sum(),
        (4, 3, 40),
    ),
    "entropy_from_logits": (lambda x: entropy_from_logits(x).square().sum(), (4, 3, 40)),
    "sequence_logps": (lambda x: sequence_logps(x, MASK, tail_weight=0.5).logps.sum(), (4, 3)),
    "pair_loss": (lambda x: pair_loss(**logps(x), loss="aql").loss.sum(), (4,)),
    "pair_loss with a tensor": (
        lambda x: pair_loss(**logps(x), loss=("sigmoid", {"beta": BETA})).loss.sum(),
        (4,),
    ),
    "unpaired_loss": (lambda x: unpaired_loss(x, REFERENCE, CHOSEN, "kto").loss.sum(), (4,)),
    "preference_step": (
        lambda x: (
            preference_step(
                x, LABELS, ("sigmoid", {"beta": 0.2}), mask=MASK, reference_logps=REFERENCE
            ).loss
        ),
        (4, 3, 40),
    ),
    "preference_step with everything": (
        lambda x: (
            preference_step(
                x.view(12, 40),
                LABELS.view(12),
                [("sigmoid", {"label_smoothing": 0.1}), "sft"],
                loss_weights=[1.0, 0.5],
                reference_token_logps=REFERENCE.repeat(3),
                pair_weights=torch.tensor([0.5, 2.0]),
                cu_seqlens=PACKED,
                token_count=30,
                grad_loss=0.5,
                wpo=True,
                softcap=5.0,
            ).loss
            * 0.5
        ),
        (4, 3, 40),
    ),
    "unpaired_step": (
        lambda x: unpaired_step(x, LABELS, CHOSEN, "bco", reference_logps=REFERENCE).loss,
        (4, 3, 40),
    ),
    "linear_preference_step": (
        lambda x: (
            linear_preference_step(
                x,
                x[0, 0] * WEIGHT,
                LABELS,
                ("sigmoid", {"beta": BETA}),
                bias=WEIGHT[:, 0],
                mask=MASK,
                reference_hidden=x.detach(),
                reference_weight=WEIGHT,
                grad_loss=0.5,
                budget_bytes=4000,
            ).loss
            * 0.5
        ),
        (4, 3, 8),
    ),
    "linear_unpaired_step": (
        lambda x: (
            linear_unpaired_step(
                x, WEIGHT, LABELS, CHOSEN, "bco", reference_logps=REFERENCE, frozen="weight"
            ).loss
        ),
        (4, 3, 8),
    ),
    "linear_token_logprobs": (
        lambda x: linear_token_logprobs(x, WEIGHT, LABELS).square().sum(),
        (4, 3, 8),
    ),
    "linear_token_logprobs with extras": (
        lambda x: sum(
            y.sum()
            for y in linear_token_logprobs(x, x[0, 0] * WEIGHT, LABELS, entropy=True, lse2=True)
        ),
        (4, 3, 8),
    ),
    "a plan": (
        lambda x: (
            (step := linear_preference_step(x, WEIGHT, LABELS, "simpo")).loss
            * step.plan["operations"].float()
        ),
        (4, 3, 8),
    ),
    "divergence": (lambda x: divergence(x[0], x[1], "js").loss, (4, 3, 40)),
    "scoring_rule": (lambda x: scoring_rule(x, LABELS, "spherical").loss * 2, (4, 3, 40)),
    "scoring_rule by rows": (
        lambda x: scoring_rule(x, LABELS, "log", grad_loss=torch.ones(4, 3)).values.sum(),
        (4, 3, 40),
    ),
}


@pytest.fixture(autouse=True)
def forget_compiled_functions() -> Iterator[None]:
    torch.compiler.reset()
    yield


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dynamic", [False, True])
def test_compiled(name: str, dynamic: bool) -> None:
    function, shape = FUNCTIONS[name]
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    ours, plain = tensor(*shape), tensor(*shape)
    value, expected = compiled(ours), function(plain)
    close(value, expected)
    value.backward()
    expected.backward()
    close(ours.grad, plain.grad)


def test_compiled_by_inductor() -> None:
    """A model's head and a step behind it, in one graph."""
    weight, hidden = tensor(40, 8), tensor(4, 3, 8)

    def train(hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        logits = hidden @ weight.t()
        step = preference_step(logits, LABELS, "sigmoid", mask=MASK, reference_logps=REFERENCE)
        return step.loss * 0.25 + token_logprobs(logits, LABELS).mean()

    value = torch.compile(train, fullgraph=True)(hidden, weight)
    value.backward()
    plain = [x.detach().clone().requires_grad_() for x in (hidden, weight)]
    expected = train(*plain)
    expected.backward()
    close(value, expected)
    close(hidden.grad, plain[0].grad)
    close(weight.grad, plain[1].grad)


def test_changing_options_and_errors_under_compile() -> None:
    def function(x: torch.Tensor, temperature: float, count: float) -> torch.Tensor:
        losses = ["sft", ("simpo", {"beta": temperature, "gamma": count})]
        step = preference_step(
            x,
            LABELS,
            losses,
            loss_weights=[1.0, temperature],
            temperature=temperature,
            token_count=count,
        )
        return step.loss

    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    x = tensor(4, 3, 40)
    for temperature, count in ((1.0, 10.0), (0.7, 11.0), (1.3, 12.0)):
        close(compiled(x, temperature, count), function(x, temperature, count))
    torch.compiler.reset()
    wrong = torch.compile(
        lambda x: preference_step(x, LABELS, "no such loss").loss, fullgraph=True, backend="eager"
    )
    with pytest.raises(Exception, match="no such loss"):
        wrong(x)


LOSS = {"loss": '[["sigmoid", {}]]', "beta": BETA.clone().requires_grad_()} | dict.fromkeys(
    ("beta_kl", "beta_mix", "tau")
)
TOKEN = {"ignore_index": -100, "temperature": 1.0, "softcap": 0.0, "vocab": 0}
LINEAR = {"budget_bytes": 0, "frozen": "none"}
SEQUENCE = {"reduction": "sum", "align": "completion", "tail_weight": 1.0, "keep_fraction": 1.0}

#: Inputs of each operator; what is not named is None.
OPERATORS: list[tuple[Any, dict[str, Any]]] = [
    (_tokens._FORWARD, {"logits": tensor(4, 3, 40), "labels": LABELS, "wanted": ""} | TOKEN),
    (
        _tokens._FORWARD,
        {"logits": tensor(4, 3, 40)[:, :-1], "labels": LABELS[:, :-1], "wanted": "entropy,argmax"}
        | TOKEN,
    ),
    (
        _tokens._BACKWARD,
        {
            "logits": tensor(4, 3, 40).detach(),
            "labels": LABELS,
            "lse": tensor(4, 3, 40).detach().double().logsumexp(-1),
            "grad_logp": torch.ones(4, 3),
        }
        | TOKEN,
    ),
    (_sequence_logps._FORWARD, {"token_logps": tensor(4, 3), "mask": MASK} | SEQUENCE),
    (_sequence_logps._BACKWARD, {"grad_logps": torch.ones(4), "mask": MASK} | SEQUENCE),
    (_pair_loss._FORWARD, logps(tensor(4)) | LOSS),
    (
        _pair_loss._BACKWARD,
        logps(tensor(4).detach()) | LOSS | {"beta": BETA, "grad_loss": torch.ones(2)},
    ),
    (
        _unpaired_loss._FORWARD,
        {"policy_logps": tensor(4), "reference_logps": REFERENCE, "chosen": CHOSEN}
        | {"loss": '[["kto", {}]]'},
    ),
    (
        _unpaired_loss._BACKWARD,
        {"policy_logps": REFERENCE, "reference_logps": REFERENCE, "chosen": CHOSEN}
        | {"loss": '[["kto", {}]]', "grad_loss": torch.ones(4)},
    ),
    (
        _preference_step._STEP.operator,
        {"logits": tensor(4, 3, 40), "labels": LABELS, "reference_logps": REFERENCE}
        | {"wanted": "logits", "private": False, "wpo": "off", "token_count": 0.0}
        | LOSS
        | TOKEN
        | SEQUENCE,
    ),
    (
        _unpaired_step._STEP.operator,
        {"logits": tensor(4, 3, 40), "labels": LABELS, "chosen": CHOSEN}
        | {
            "reference_logps": REFERENCE,
            "wanted": "logits",
            "private": False,
            "loss": '[["bco", {}]]',
        }
        | {"reduction": "mean"}
        | TOKEN,
    ),
    *(
        (
            _linear_preference_step._STEP.operator,
            {"hidden": tensor(4, 3, 8), "weight": tensor(40, 8), "bias": tensor(40)}
            | {"labels": LABELS, "reference_logps": REFERENCE, "wanted": wanted}
            | {"private": False, "wpo": "off", "token_count": 0.0}
            | LINEAR
            | LOSS
            | TOKEN
            | SEQUENCE,
        )
        for wanted in ("hidden", "hidden,weight,bias")
    ),
    (
        _linear_unpaired_step._STEP.operator,
        {"hidden": tensor(4, 3, 8), "weight": tensor(40, 8), "labels": LABELS, "chosen": CHOSEN}
        | {"reference_logps": REFERENCE, "wanted": "hidden,weight", "private": False}
        | {"loss": '[["bco", {}]]', "reduction": "mean"}
        | LINEAR
        | TOKEN,
    ),
    (
        _linear_tokens._FORWARD,
        {"hidden": tensor(4, 3, 8), "weight": tensor(40, 8), "labels": LABELS}
        | {"wanted": "entropy,argmax", "slope": False, "private": False}
        | LINEAR
        | TOKEN,
    ),
    (
        _linear_tokens._FORWARD,
        {"hidden": tensor(4, 3, 8), "weight": WEIGHT, "labels": LABELS}
        | {"wanted": "", "slope": True, "private": False}
        | LINEAR
        | TOKEN,
    ),
    (
        _linear_tokens._BACKWARD,
        {"hidden": tensor(4, 3, 8).detach(), "weight": WEIGHT, "labels": LABELS}
        | {"grad_lse": torch.ones(4, 3), "trained": "weight"}
        | LINEAR
        | TOKEN,
    ),
    (
        _divergence._STEP.operator,
        {"p_logits": tensor(4, 40), "q_logits": 2 * tensor(4, 40), "wanted": "p_logits,q_logits"}
        | {
            "private": False,
            "divergence": "js",
            "reduction": "mean",
            "detach": "none",
            "w1": 1.0,
            "w2": 1.0,
        }
        | {"temperature": 1.0, "js_weight": 0.5, "vocab": 0},
    ),
    (
        _scoring_rule._STEP.operator,
        {
            "logits": tensor(4, 3, 40),
            "labels": LABELS,
            "wanted": "logits",
            "private": False,
            "per_row": False,
        }
        | {"rule": "brier", "normalisation": "selten", "masked_log": False, "alpha": 2.0}
        | {"epsilon": 0.0, "vocab": 0, "ignore_index": -100},
    ),
]


@pytest.mark.parametrize("operator, inputs", OPERATORS, ids=lambda x: str(getattr(x, "op", "")))
def test_opcheck(operator: Any, inputs: dict[str, Any]) -> None:
    assert set(inputs) <= set(operator.names)
    torch.library.opcheck(operator.op, tuple(inputs.get(name) for name in operator.names))
