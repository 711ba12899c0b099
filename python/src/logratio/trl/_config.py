"""Options of a training run, and the losses that they name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from trl import DPOConfig

from .._abi import LossKind
from .._errors import InvalidArgumentError
from .._losses import LossDescription, losses
from .._options import positive
from ..torch import pair_loss

#: Options of losses that DPOConfig lacks; None leaves the loss its own default.
EXTRA = (
    "beta_kl",
    "beta_mix",
    "tau",
    "gamma",
    "alpha",
    "delta",
    "guard",
    "variant",
    "normalise",
    "nll",
    "detach",
)

#: TRL's names of f-divergences, and this library's.
F_DIVERGENCES = {
    "reverse_kl": "reverse_kl",
    "forward_kl": "forward_kl",
    "js_divergence": "js",
    "alpha_divergence": "alpha",
}


def _option(text: str) -> Any:
    return field(default=None, metadata={"help": text + " Default: the loss's own."})


@dataclass
class LogratioDPOConfig(DPOConfig):
    """TRL's ``DPOConfig`` for every paired loss of this library.

    ``loss_type`` takes TRL's names and all other paired losses of docs/losses.md, one or several.
    ``beta``, ``label_smoothing`` (which ``sigmoid`` ignores, as in TRL), ``f_divergence_type`` and
    ``discopop_tau`` have TRL's names, defaults and meaning for each loss that has the option, also
    where the loss's own default is another: SimPO's paper has a ``beta`` of 2.

    Args:
        beta_kl, beta_mix, tau: of ``dlrml``; tau also of the discovered losses (``dbaql`` ...).
        gamma: of ``simpo`` and ``alphapo``.
        alpha: of ``cpo`` and ``alphapo``.
        delta: of ``bco_pair``.
        guard: of ``dlrml``: none, warn or clamp.
        variant: of ``discopop`` and the discovered losses: repo, old or paper.
        normalise: of ``ipo`` and ``sigmoid_norm``: on, full or off. By default full with
            ``ld_alpha``, as in TRL, and otherwise on.
        nll: of ``cpo`` and ``orpo``: pair or token.
        detach: of ``kto_pair``: off or on.
        fused_head: makes the loss of the hidden states and the head's weight, without logits.
        fused_budget_bytes: memory for logits that are kept for their gradient, and not multiplied
            again; at least 4 bytes per column. By default 256 MiB. It changes no figure.

    Raises:
        ValueError: for a loss that is not a paired one, for an option that none of the losses has,
            and for settings that cannot be honoured.
    """

    beta_kl: float | None = _option("Weight of the KL term of dlrml.")
    beta_mix: float | None = _option("Weight of the mixing gate of dlrml.")
    tau: float | None = _option("Temperature of dlrml and of the discovered losses.")
    gamma: float | None = _option("Target margin of simpo and alphapo.")
    alpha: float | None = _option("Weight of the NLL of cpo; exponent of alphapo.")
    delta: float | None = _option("Shift of the rewards of bco_pair.")
    guard: str | None = _option("What dlrml does about a small beta_mix: none, warn or clamp.")
    variant: str | None = _option("Form of discopop and the discovered losses.")
    normalise: str | None = _option("Lengths that ipo and sigmoid_norm divide by: on, full, off.")
    nll: str | None = _option("Mean that the NLL of cpo and orpo is: pair or token.")
    detach: str | None = _option("Whether kto_pair takes its KL as a constant: off or on.")
    fused_head: bool = field(
        default=False,
        metadata={"help": "Whether the loss is made of hidden states, without logits."},
    )
    fused_budget_bytes: int | None = field(
        default=None,
        metadata={"help": "Memory for logits that fused_head keeps. Default: 256 MiB."},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self)


def check(args: DPOConfig) -> None:
    """Raises InvalidArgumentError for losses and settings that this trainer cannot honour."""
    described = [_described(name) for name in args.loss_type]
    for option in EXTRA:
        _check_extra(option, getattr(args, option, None), described)
    if args.f_divergence_type not in F_DIVERGENCES:
        raise InvalidArgumentError(
            f"f_divergence_type: expected {' or '.join(F_DIVERGENCES)}, "
            f"got {args.f_divergence_type!r}"
        )
    for loss in described:
        takes_divergence = "f_divergence" in loss.options or loss.name == "sft"
        if args.f_divergence_type != "reverse_kl" and not takes_divergence:
            raise InvalidArgumentError(
                f"f_divergence_type: expected reverse_kl for {loss.name}, "
                f"got {args.f_divergence_type!r}"
            )
    if args.ld_alpha is not None and not 0 <= args.ld_alpha <= 1:
        raise InvalidArgumentError(f"ld_alpha: expected a number in [0,1], got {args.ld_alpha}")
    budget = getattr(args, "fused_budget_bytes", None)
    if positive("fused_budget_bytes", budget) and not getattr(args, "fused_head", False):
        raise InvalidArgumentError(
            f"fused_budget_bytes: expected fused_head=True beside it, got {budget}"
        )
    if args.use_liger_kernel:
        raise InvalidArgumentError(
            "use_liger_kernel: expected False, for the loss would be Liger's and not this one"
        )
    if args.padding_free:
        raise InvalidArgumentError(
            "padding_free: expected False, for DPOTrainer of TRL 1 pads its batches"
        )
    for loss, (name, options) in zip(described, losses_of(args)):
        if loss.kind != LossKind.LR_LOSS_AUXILIARY:
            _check_values(loss, name, options)


def _check_extra(option: str, value: float | str | None, given: list[LossDescription]) -> None:
    if value is None:
        return
    having = [loss for loss in given if option in loss.options]
    if option == "tau" and any(loss.name == "discopop" for loss in having):
        raise InvalidArgumentError(
            f"tau: expected discopop_tau in its place for discopop, got {value}"
        )
    if not having:
        names = ", ".join(loss.name for loss in given)
        raise InvalidArgumentError(f"{option}: expected a loss that has it, got {names}")


def _check_values(loss: LossDescription, name: str, options: dict[str, Any]) -> None:
    """Asks the library about the options of a loss, for a pair whose log-probabilities are 0."""
    logp = torch.zeros(1)
    reference = None if loss.is_reference_free else logp
    pair_loss(logp, logp, (name, options), reference_chosen=reference, reference_rejected=reference)


def losses_of(args: DPOConfig) -> list[tuple[str, dict[str, Any]]]:
    """Names the losses of a run, each with its options, for ``preference_step``."""
    return [(name, _options(_described(name), args)) for name in args.loss_type]


def _described(name: str) -> LossDescription:
    loss = losses().get(name)
    if loss is None or loss.kind == LossKind.LR_LOSS_UNPAIRED:
        paired = [x.name for x in losses().values() if x.kind != LossKind.LR_LOSS_UNPAIRED]
        expected = ", ".join(dict.fromkeys(paired))
        raise InvalidArgumentError(f"loss_type: expected one of {expected}, got {name!r}")
    return loss


def _options(loss: LossDescription, args: DPOConfig) -> dict[str, Any]:
    values = {option: getattr(args, option, None) for option in EXTRA}
    values["beta"] = args.beta
    values["f_divergence"] = F_DIVERGENCES[args.f_divergence_type]
    values["f_alpha"] = args.f_alpha_divergence_coef
    if loss.name == "discopop":
        values["tau"] = args.discopop_tau
    if loss.name != "sigmoid":
        values["label_smoothing"] = args.label_smoothing
    if values["normalise"] is None and args.ld_alpha is not None:
        values["normalise"] = "full"
    return {
        option: value
        for option, value in values.items()
        if option in loss.options and value is not None
    }


@contextmanager
def unseen_divergence(args: DPOConfig) -> Iterator[None]:
    """Hides the f-divergence, which TRL's constructor refuses for losses that it does not know."""
    f_divergence_type, args.f_divergence_type = args.f_divergence_type, "reverse_kl"
    try:
        yield
    finally:
        args.f_divergence_type = f_divergence_type
