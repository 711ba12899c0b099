"""Wrong arguments of the operations on arrays: one sentence that begins with the argument."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

import logratio
from logratio.numpy import (
    divergence,
    pair_loss,
    preference_step,
    scoring_rule,
    sequence_logps,
    token_logprobs,
    unpaired_loss,
    unpaired_step,
)

X = np.random.default_rng(0).standard_normal((2, 1, 9)).astype(np.float32)
Y = np.asarray([[1], [2]])
ROW = X[:, 0]
ONE = np.ones(1)
TWO = np.ones(2)
PACKED = np.zeros(2, [("tag", "u1"), ("x", "f4")])

WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "float64 logits": (lambda: token_logprobs(X.astype("f8"), Y), "logits is F64 [2, 1, 9]"),
    "swapped bytes": (
        lambda: token_logprobs(X.astype(">f4"), Y),
        "logits: expected a float, an integer or a mask in this machine's byte order, got >f4",
    ),
    "swapped labels": (lambda: token_logprobs(X, Y.astype(">i8")), "labels: expected a float, an"),
    "unsigned labels": (
        lambda: token_logprobs(X, Y.astype("u2")),
        "labels: expected a float, an integer or a mask in this machine's byte order, got uint16",
    ),
    "long double": (
        lambda: sequence_logps(X[..., 0].astype(np.longdouble), Y),
        "token_logps: expected a float, an integer or a mask in this",
    ),
    "objects": (lambda: token_logprobs(X.astype(object), Y), "logits: expected an array of num"),
    "between elements": (
        lambda: pair_loss(PACKED["x"], TWO, "simpo"),
        "policy_chosen: expected elements at multiples of their 4 bytes",
    ),
    "columns apart": (
        lambda: token_logprobs(ROW.T, np.zeros(9, np.int64)),
        "logits is F32 [9, 2], expected a contiguous last dimension",
    ),
    "columns backwards": (lambda: scoring_rule(ROW[:, ::-1], Y[:, 0], "log"), "logits is F32"),
    "labels' shape": (lambda: preference_step(X, np.repeat(Y, 3, 1), "simpo"), "labels is I64 [2"),
    "labels' range": (lambda: token_logprobs(X, Y + 9), "labels[0, 0] is 10"),
    "labels twice in a row": (lambda: token_logprobs(ROW, np.repeat(Y, 2, 1)), "labels["),
    "a list of texts": (lambda: token_logprobs(X, ["1"]), "labels: expected an array of numbers"),
    "a masked array": (
        lambda: sequence_logps(np.ma.masked_array(TWO), TWO),
        "token_logps: expected an array of numbers, got MaskedArray",
    ),
    "no logits": (lambda: preference_step(None, Y, "simpo"), "logits: expected an array, got None"),
    "a scalar": (lambda: token_logprobs(X[0, 0, 0], Y), "logits: expected an array of at least 2"),
    "no dimension": (
        lambda: sequence_logps(np.asarray(1.0), Y),
        "token_logps: expected an array of at least 1 dimension, got 0",
    ),
    "tail without labels": (
        lambda: token_logprobs(ROW, Y[:, 0], grad_tail=TWO),
        "grad_tail: expected labels [N,K] or [B,T,K]",
    ),
    "half of kept columns": (
        lambda: token_logprobs(ROW, Y[:, 0], kept_offsets=np.arange(3)),
        "kept_ids",
    ),
    "a temperature's type": (
        lambda: token_logprobs(X, Y, temperature="1"),
        "temperature: expected a number, got '1'",
    ),
    "a temperature": (lambda: token_logprobs(X, Y, temperature=0), "temperature"),
    "an index's type": (
        lambda: token_logprobs(X, Y, ignore_index=1.5),
        "ignore_index: expected an integer, got 1.5",
    ),
    "no index": (lambda: token_logprobs(X, Y, ignore_index=None), "ignore_index: expected an int"),
    "no columns": (
        lambda: token_logprobs(X, Y, vocab=0),
        "vocab: expected a number > 0, got 0",
    ),
    "too many columns": (lambda: token_logprobs(X, Y, vocab=10), "vocab"),
    "a mask": (lambda: sequence_logps(ROW, -np.ones((2, 9), np.float32)), "mask[0, 0] is -1"),
    "an odd batch": (
        lambda: sequence_logps(ROW[:1], np.ones((1, 9), bool), tail_weight=0.5),
        "mask is BOOL [1, 9], expected an even number of sequences",
    ),
    "a reduction": (
        lambda: sequence_logps(ROW, np.ones((2, 9), bool), reduction="max"),
        "reduction: expected sum or mean, got 'max'",
    ),
    "no such loss": (lambda: pair_loss(ONE, ONE, "nosuch"), "loss"),
    "no such option": (
        lambda: pair_loss(ONE, ONE, ("simpo", {"tau": 1})),
        "tau: simpo has no such option",
    ),
    "an option's type": (
        lambda: pair_loss(ONE, ONE, ("simpo", {"beta": "2"})),
        "beta: expected an array of numbers, got str",
    ),
    "an option's text": (
        lambda: pair_loss(ONE, ONE, ("simpo", {"gamma": "x"})),
        "gamma: expected a number, got 'x'",
    ),
    "an option's shape": (lambda: pair_loss(TWO, TWO, ("simpo", {"beta": np.ones(3)})), "beta is"),
    "two losses": (
        lambda: pair_loss(ONE, ONE, ["simpo", "cpo"]),
        "loss: expected one loss, got 2",
    ),
    "an array with two losses": (
        lambda: preference_step(X, Y, [("simpo", {"beta": ONE}), "cpo"]),
        "beta: expected a number where there are several losses",
    ),
    "no reference": (
        lambda: pair_loss(ONE, ONE, "sigmoid"),
        "loss: sigmoid needs the reference's log-probabilities, or reference_free=True",
    ),
    "half a reference": (
        lambda: pair_loss(ONE, ONE, "sigmoid", reference_chosen=ONE),
        "reference_rejected",
    ),
    "both": (
        lambda: preference_step(X, Y, "sigmoid", reference_logps=TWO, reference_free=True),
        "reference_free: expected False where",
    ),
    "lengths": (lambda: pair_loss(ONE, TWO, "simpo"), "policy_rejected is F64 [2], expected shape"),
    "loss weights": (
        lambda: preference_step(X, Y, "simpo", loss_weights=[1, 2]),
        "loss_weights: expected one per loss, 1, got 2",
    ),
    "one loss weight": (
        lambda: preference_step(X, Y, "simpo", loss_weights=1),
        "loss_weights: expected an array of at least 1 dimension, got 0",
    ),
    "a loss weight": (
        lambda: preference_step(X, Y, "simpo", loss_weights=["1"]),
        "loss_weights: expected an array of numbers, got list",
    ),
    "a token count": (
        lambda: preference_step(X, Y, "sft", token_count=0),
        "token_count: expected a number > 0, got 0",
    ),
    "weights of pairs": (lambda: preference_step(X, Y, "simpo", pair_weights=-ONE), "pair_weights"),
    "wpo": (
        lambda: preference_step(X, Y, "simpo", wpo="yes"),
        "wpo: expected off or on or capped, got 'yes'",
    ),
    "an upstream": (
        lambda: preference_step(X, Y, "simpo", grad_loss="1"),
        "grad_loss: expected an array of numbers, got str",
    ),
    "upstreams": (lambda: preference_step(X, Y, "simpo", grad_loss=TWO), "grad_loss is F64 [2]"),
    "chosen": (
        lambda: unpaired_loss(TWO, TWO, TWO, "kto"),
        "chosen is F64 [2], expected",
    ),
    "an array of examples": (
        lambda: unpaired_loss(TWO, TWO, TWO > 0, ("kto", {"beta": TWO})),
        "beta: expected a number, got an array",
    ),
    "no reference of examples": (lambda: unpaired_step(X, Y, TWO > 0, "kto"), "reference"),
    "no q": (lambda: divergence(ROW, None, "js"), "q_logits"),
    "two dtypes": (lambda: divergence(ROW, ROW.astype(np.float16), "js"), "q_logits is F16"),
    "no such divergence": (
        lambda: divergence(ROW, ROW, "renyi"),
        "divergence: expected sce or jeffreys or",
    ),
    "no such rule": (lambda: scoring_rule(ROW, Y[:, 0], "bries"), "rule: expected log or brier"),
    "masked_log": (
        lambda: scoring_rule(ROW, Y[:, 0], "log", masked_log="on"),
        "masked_log: expected an integer, got 'on'",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_one_sentence(name: str) -> None:
    call, beginning = WRONG[name]
    with pytest.raises(ValueError) as raised:
        call()
    assert isinstance(raised.value, logratio.InvalidArgumentError)
    sentence = str(raised.value)
    assert sentence.startswith(beginning) and "\n" not in sentence


def test_a_missing_numpy_is_one_sentence() -> None:
    program = "import sys; sys.modules['numpy'] = None; import logratio.numpy"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    last = ended.stderr.strip().splitlines()[-1]
    assert last == "ModuleNotFoundError: logratio.numpy needs NumPy: pip install numpy"


def test_the_package_does_not_import_numpy() -> None:
    program = "import sys, logratio; logratio.losses(); sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
