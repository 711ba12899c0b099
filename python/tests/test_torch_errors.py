"""Wrong arguments: one sentence that begins with the argument's name, as a ValueError."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch

import logratio
from logratio.torch import (
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

X = torch.randn(2, 1, 9, generator=torch.Generator().manual_seed(0))
Y = torch.tensor([[1], [2]])
ROW = X[:, 0]
ONE = torch.ones(1)
W = torch.ones(40, 9)
LEARNED = W.clone().requires_grad_()

WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "float64 logits": (lambda: token_logprobs(X.double(), Y), "logits is F64"),
    "integer logits": (lambda: token_logprobs(X.long(), Y), "logits is I64"),
    "complex mask": (
        lambda: preference_step(X, Y, "simpo", mask=torch.ones(2, 1).to(torch.complex64)),
        "mask: expected a float, an integer or a mask, got torch.complex64",
    ),
    "sparse logits": (lambda: token_logprobs(X.to_sparse(), Y), "logits: expected a strided"),
    "columns apart": (
        lambda: token_logprobs(ROW.t(), torch.zeros(9, dtype=torch.int64)),
        "logits is F32 [9, 2], expected a contiguous last dimension",
    ),
    "labels' shape": (lambda: preference_step(X, Y.expand(2, 3), "simpo"), "labels is I64 [2, 3]"),
    "labels' range": (lambda: token_logprobs(X, Y + 9), "labels[0, 0] is 10"),
    "labels twice in a row": (lambda: token_logprobs(ROW, Y.expand(2, 2)), "labels["),
    "a list": (lambda: token_logprobs(X, [1]), "labels: expected a tensor, got list"),
    "no logits": (lambda: preference_step(None, Y, "simpo"), "logits: expected a tensor"),
    "a scalar": (lambda: entropy_from_logits(ONE[0]), "logits: expected a tensor with a dimension"),
    "scalar tokens": (lambda: sequence_logps(ONE[0], Y), "token_logps: expected a tensor with"),
    "scalar examples": (lambda: unpaired_step(X, Y, ONE[0], "kto"), "chosen: expected a tensor"),
    "two devices": (
        lambda: preference_step(X, Y.to("meta"), "simpo"),
        "labels: expected a tensor on cpu, got one on meta",
    ),
    "a parameter's device": (
        lambda: preference_step(X, Y, ("simpo", {"beta": ONE.to("meta")})),
        "beta: expected a tensor on cpu",
    ),
    "an upstream's device": (
        lambda: scoring_rule(X, Y, "log", grad_loss=ONE[0].to("meta")),
        "grad_loss: expected a tensor on cpu",
    ),
    "odd batch": (lambda: preference_step(X[:1], Y[:1], "simpo"), "logits is F32 [1, 1, 9]"),
    "no such loss": (lambda: preference_step(X, Y, "nope"), "loss is "),
    "no loss": (lambda: preference_step(X, Y, []), "loss: expected a name"),
    "a number as loss": (lambda: preference_step(X, Y, 3), "loss: expected a name"),
    "no such option": (
        lambda: preference_step(X, Y, ("simpo", {"tau": 1})),
        "tau: simpo has no such option; it has beta, gamma, label_smoothing",
    ),
    "an option's value": (
        lambda: pair_loss(ONE, ONE, ("sigmoid", {"f_divergence": "kl"}), reference_free=True),
        "f_divergence: expected reverse_kl or forward_kl or js or alpha, got 'kl'",
    ),
    "an option's range": (lambda: preference_step(X, Y, ("simpo", {"beta": -1})), "beta is -1"),
    "a parameter's type": (
        lambda: preference_step(X, Y, ("simpo", {"beta": "much"})),
        "beta: expected a number or a tensor, got str",
    ),
    "a parameter's shape": (
        lambda: preference_step(X, Y, ("simpo", {"beta": torch.ones(3)})),
        "beta is F32 [3]",
    ),
    "a parameter of several": (
        lambda: preference_step(X, Y, [("simpo", {"beta": ONE}), "sft"]),
        "beta: expected a number where there are several losses",
    ),
    "several losses of pairs": (lambda: pair_loss(ONE, ONE, ["simpo"] * 2), "loss: expected one"),
    "several losses of examples": (
        lambda: unpaired_loss(ONE, ONE, ONE.bool(), ["kto", "bco"]),
        "loss: expected one loss, got 2",
    ),
    "a learned beta of kto": (
        lambda: unpaired_loss(ONE, ONE, ONE.bool(), ("kto", {"beta": ONE})),
        "beta: expected a number, got a tensor",
    ),
    "too few weights": (
        lambda: preference_step(X, Y, ["simpo", "sft"], loss_weights=[1.0]),
        "loss_weights: expected one per loss, 2, got 1",
    ),
    "no reference": (lambda: preference_step(X, Y, "sigmoid"), "loss: sigmoid needs the reference"),
    "two references": (
        lambda: preference_step(
            X, Y, "sigmoid", reference_logps=ONE.expand(2), reference_token_logps=Y.float()
        ),
        "reference",
    ),
    "reduction": (
        lambda: preference_step(X, Y, "simpo", reduction="avg"),
        "reduction: expected sum or mean, got 'avg'",
    ),
    "wpo": (lambda: preference_step(X, Y, "simpo", wpo="some"), "wpo: expected off or on or cap"),
    "vocab": (lambda: token_logprobs(X, Y, vocab=0), "vocab: expected a number > 0, got 0"),
    "token_count": (
        lambda: preference_step(X, Y, "sft", token_count=-1),
        "token_count: expected a number > 0, got -1",
    ),
    "temperature": (lambda: token_logprobs(X, Y, temperature=0.0), "temperature is 0"),
    "keep_fraction": (
        lambda: preference_step(X, Y, "simpo", keep_fraction=0.5),
        "keep_fraction is 0.5",
    ),
    "an upstream's type": (
        lambda: preference_step(X, Y, "simpo", grad_loss="1"),
        "grad_loss: expected a number or a tensor, got str",
    ),
    "no such divergence": (
        lambda: divergence(ROW, ROW, "kl"),
        "divergence: expected sce or jeffreys or kl_pq",
    ),
    "detached side": (lambda: divergence(ROW, ROW, "js", detach="r"), "detach: expected none or p"),
    "no q": (lambda: divergence(ROW, None, "js"), "q_logits is missing"),
    "no such rule": (lambda: scoring_rule(X, Y, "best"), "rule: expected log or brier"),
    "kept columns alone": (
        lambda: token_logprobs(X, Y, kept_ids=Y[0]),
        "kept_offsets is missing",
    ),
    "another H": (
        lambda: linear_preference_step(X, W[:, :-1], Y, "simpo"),
        "weight is F32 [40, 8], expected shape [40, 9], as hidden is F32 [2, 1, 9]",
    ),
    "a weight's dtype": (
        lambda: linear_token_logprobs(X, W.bfloat16(), Y),
        "weight is BF16 [40, 9], expected F32 as hidden",
    ),
    "a bias's shape": (
        lambda: linear_token_logprobs(X, W, Y, bias=W[0]),
        "bias is F32 [9], expected shape [40]",
    ),
    "hidden states apart": (
        lambda: linear_token_logprobs(X.expand(2, 1, 9)[..., ::2], W[:, :5], Y),
        "hidden is F32 [2, 1, 5], expected a contiguous last dimension",
    ),
    "too small a budget": (
        lambda: linear_unpaired_step(
            X, W, Y, ONE.bool().expand(2), "bco", reference_logps=ONE.expand(2), budget_bytes=159
        ),
        "budget_bytes is 159, expected at least 160, the logits of a row",
    ),
    "no budget": (
        lambda: linear_token_logprobs(X, W, Y, budget_bytes=0),
        "budget_bytes: expected a number > 0, got 0",
    ),
    "no such frozen": (
        lambda: linear_token_logprobs(X, W, Y, frozen="head"),
        "frozen: expected none or weight or hidden, got 'head'",
    ),
    "a frozen weight that learns": (
        lambda: linear_token_logprobs(X, LEARNED, Y, frozen="weight"),
        "frozen: expected a weight that requires no gradient where it is 'weight'",
    ),
    "a frozen bias that learns": (
        lambda: linear_preference_step(X, W, Y, "simpo", bias=LEARNED[:, 0], frozen="weight"),
        "frozen: expected a bias that requires no gradient where it is 'weight'",
    ),
    "half a reference model": (
        lambda: linear_preference_step(X, W, Y, "sigmoid", reference_hidden=X),
        "reference_weight is missing",
    ),
    "two references of a head": (
        lambda: linear_preference_step(
            X,
            W,
            Y,
            "sigmoid",
            reference_hidden=X,
            reference_weight=W,
            reference_logps=ONE.expand(2),
        ),
        "reference_logps and reference_hidden are both given, expected one of them",
    ),
    "no reference of a head": (
        lambda: linear_preference_step(X, W, Y, "sigmoid"),
        "loss: sigmoid needs the reference",
    ),
    "several labels of a head": (
        lambda: linear_token_logprobs(X, W, Y.expand(2, 3)),
        "labels is I64 [2, 3], expected",
    ),
    "a head's device": (
        lambda: linear_token_logprobs(X, W.to("meta"), Y),
        "weight: expected a tensor on cpu, got one on meta",
    ),
    "index's shape": (lambda: selective_log_softmax(X, Y[:1]), "labels is I64 [1, 1]"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(name: str) -> None:
    call, sentence = WRONG[name]
    with pytest.raises(ValueError) as caught:
        call()
    assert isinstance(caught.value, logratio.InvalidArgumentError)
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


def test_errors_of_backward() -> None:
    logits = X.clone().requires_grad_()
    logp = token_logprobs(logits, Y)
    with torch.no_grad():
        logits.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        logp.sum().backward()


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_torch() -> None:
    ended = python(
        "import sys; sys.modules['torch'] = None; import logratio; import logratio.torch"
    )
    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    assert last == (
        "ModuleNotFoundError: logratio.torch needs PyTorch, which pip install torch installs"
    )


def test_without_the_library() -> None:
    code = "import torch, logratio.torch as t; t.entropy_from_logits(torch.zeros(2, 3))"
    ended = python(code, LOGRATIO_LIBRARY="/nowhere/liblogratio.so")
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].endswith(
        "UnavailableError: LOGRATIO_LIBRARY names /nowhere/liblogratio.so, which is not there"
    )
