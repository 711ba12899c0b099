"""Options of the operations, and the structs that hold them."""

from __future__ import annotations

from ._abi import DivergenceOptions, RuleOptions, SequenceOptions, StepMetrics, TokenOptions
from ._errors import InvalidArgumentError

REDUCTIONS = ("sum", "mean")
ALIGNMENTS = ("completion", "absolute")
WPO = ("off", "on", "capped")
DIVERGENCES = (
    "sce",
    "jeffreys",
    "kl_pq",
    "kl_qp",
    "js",
    "l2",
    "tvd",
    "wasserstein1",
    "cosine",
)
DIVERGENCE_REDUCTIONS = ("mean", "sum")
DETACHED = ("none", "p", "q")
RULES = ("log", "brier", "spherical", "power", "pseudo_spherical")
NORMALISATIONS = ("selten", "jnw")

#: Names of lr_step_metrics, in its order.
STEP_METRICS = tuple(name for name, _ in StepMetrics._fields_)


def choice(name: str, value: str, values: tuple[str, ...]) -> int:
    """The number of a choice; raises InvalidArgumentError for what is none of the values."""
    if value not in values:
        raise InvalidArgumentError(f"{name}: expected {' or '.join(values)}, got {value!r}")
    return values.index(value)


def wpo_choice(value: str | bool) -> str:
    """Names the choice of WPO's weights, which may also be given as False and True."""
    return {False: "off", True: "on"}[value] if isinstance(value, bool) else value


def token_options(
    ignore_index: int, temperature: float, softcap: float, vocab: int
) -> TokenOptions:
    """How logits become log-probabilities; vocab 0 is all columns."""
    return TokenOptions(ignore_index, temperature, softcap, vocab)


def sequence_options(
    reduction: str, align: str, tail_weight: float, keep_fraction: float
) -> SequenceOptions:
    """How log-probabilities of tokens become those of sequences."""
    return SequenceOptions(
        choice("reduction", reduction, REDUCTIONS),
        choice("align", align, ALIGNMENTS),
        tail_weight,
        keep_fraction,
    )


def divergence_options(
    divergence: str,
    reduction: str,
    detach: str,
    w1: float,
    w2: float,
    temperature: float,
    js_weight: float,
    vocab: int,
) -> DivergenceOptions:
    """Which divergence, between what, and how its values are reduced."""
    return DivergenceOptions(
        choice("divergence", divergence, DIVERGENCES),
        choice("reduction", reduction, DIVERGENCE_REDUCTIONS),
        choice("detach", detach, DETACHED),
        0,
        w1,
        w2,
        temperature,
        js_weight,
        vocab,
    )


def rule_options(
    rule: str,
    normalisation: str,
    masked_log: bool,
    alpha: float,
    epsilon: float,
    vocab: int,
    ignore_index: int,
) -> RuleOptions:
    """Which scoring rule, and how it is smoothed."""
    return RuleOptions(
        choice("rule", rule, RULES),
        choice("normalisation", normalisation, NORMALISATIONS),
        int(masked_log),
        0,
        alpha,
        epsilon,
        vocab,
        ignore_index,
    )
