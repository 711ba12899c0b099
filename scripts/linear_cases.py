"""Makes the linear cases of eval's tests, with what PyTorch's autograd expects of them in float64.

Run it with PyTorch and safetensors at hand: python scripts/linear_cases.py. Each case is a file of
inputs, and one of expectations on the same rounded inputs. linear_0_dlrml is not made here.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import logsigmoid

FOLDER = Path(__file__).resolve().parents[1] / "cli/src/test/resources/cases"
IGNORED = -100
V, H = 41, 13


def seeded(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def normal(random: torch.Generator, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=random, dtype=torch.float64).to(dtype)


def labels_of(random: torch.Generator, *shape: int, below: int = V) -> Tensor:
    labels = torch.randint(0, below, shape, generator=random)
    labels.view(-1)[1] = IGNORED
    return labels


def mask_of(random: torch.Generator, *shape: int) -> Tensor:
    mask = torch.rand(shape, generator=random) > 0.25
    mask.view(-1)[0] = True
    return mask


class Rows:
    """Rows of logits from a head's leaves in float64, and figures of theirs."""

    def __init__(self, case: dict[str, Tensor], options: dict[str, str], prefix: str = "") -> None:
        self.leaves = {
            name: case[prefix + name].double().requires_grad_()
            for name in ("hidden", "weight", "bias")
            if prefix + name in case
        }
        columns = int(options.get("vocab", V))
        self.bias = self.leaves.get("bias", torch.zeros(V, dtype=torch.float64))
        open_columns = torch.isfinite(self.bias[:columns]).nonzero().flatten()
        self.place = torch.full((V,), -1)
        self.place[open_columns] = torch.arange(len(open_columns))
        self.logits = self.leaves["hidden"] @ self.leaves["weight"][open_columns].T
        self.logits = self.logits + self.bias[open_columns]
        if self.logits.requires_grad:
            self.logits.retain_grad()
        softcap, temperature = (
            float(options.get(k, d)) for k, d in (("softcap", "0"), ("temperature", "1"))
        )
        capped = softcap * torch.tanh(self.logits / softcap) if softcap else self.logits
        self.z = capped / temperature
        self.lse = torch.logsumexp(self.z, -1)
        self.log_probs = self.z - self.lse[..., None]
        self.entropy = -(self.log_probs.exp() * self.log_probs).sum(-1)
        self.argmax = open_columns[self.logits.argmax(-1)]
        self.mean_logit = self.z.mean(-1)
        self.mean_raw = self.logits.mean(-1)

    def logp(self, labels: Tensor) -> Tensor:
        at = self.place[labels.clamp(min=0)]
        assert bool(((at >= 0) | (labels == IGNORED)).all())
        picked = self.log_probs.gather(-1, at.clamp(min=0)[..., None])[..., 0]
        return torch.where(labels == IGNORED, 0, picked)

    def grad_norm(self) -> Tensor:
        assert self.logits.grad is not None
        norm: Tensor = torch.linalg.vector_norm(self.logits.grad)
        return norm

    def gradients(self, frozen: str) -> dict[str, Tensor]:
        left_out = {"weight": ("weight", "bias"), "hidden": ("hidden",), "none": ()}[frozen]
        return {
            f"grad_{name}": torch.zeros(()) if leaf.grad is None else leaf.grad
            for name, leaf in self.leaves.items()
            if name not in left_out
        }


def sums(values: Tensor, starts: list[int]) -> Tensor:
    return torch.stack([values[a:b].sum() for a, b in pairwise(starts)])


def paired_loss(name: str, ratios: Tensor, counts: Tensor, beta: float) -> Tensor:
    """Of sigmoid, or of ipo, whose log-ratios are means over the tokens."""
    if name == "ipo":
        ratios = ratios / counts.clamp(min=1)
    chosen, rejected = ratios.chunk(2)
    margin = chosen - rejected
    return -logsigmoid(beta * margin) if name == "sigmoid" else (margin - 1 / (2 * beta)) ** 2


def preference_step(case: dict[str, Tensor], options: dict[str, str]) -> dict[str, Tensor]:
    """Of sigmoid or ipo, with an sft beside it where it is named."""
    rows = Rows(case, options)
    labels = case["labels"].flatten()
    counted = labels != IGNORED
    if "mask" in case:
        counted = counted & case["mask"].flatten()
    token_logps = rows.logp(case["labels"]).flatten() * counted
    if "cu_seqlens" in case:
        starts = case["cu_seqlens"].tolist()
    else:
        sequences, length = case["labels"].shape
        starts = [b * length for b in range(sequences + 1)]
    logps, counts = sums(token_logps, starts), sums(counted.double(), starts)
    if "reference_hidden" in case:
        of_tokens = Rows(case, options, "reference_").logp(case["labels"]).flatten().detach()
    else:
        of_tokens = case["reference_token_logps"].double().flatten()
    reference = sums(of_tokens * counted, starts)
    pairs = len(logps) // 2
    ratios = logps - reference
    beta = float(options.get("beta", "0.1"))
    losses = paired_loss(options["loss"].split(",")[0], ratios, counts, beta)
    if options["loss"].endswith(",sft"):
        chosen = counted[: starts[pairs]]
        sft = -(token_logps[: starts[pairs]]).sum() / chosen.sum()
        losses = losses + float(options["loss_weights"].split(",")[1]) * sft
    losses.mean().backward()
    rewards = beta * ratios.detach()
    chosen = torch.arange(len(labels)) < starts[pairs]
    in_chosen, in_rejected = counted & chosen, counted & ~chosen
    right = rows.argmax.flatten() == labels
    raw = rows.mean_raw.detach().flatten()
    return {
        "loss": losses.mean(),
        "losses": losses,
        "logps": logps,
        "counts": counts,
        "chosen_rewards": rewards[:pairs],
        "rejected_rewards": rewards[pairs:],
        "rewards_margin": rewards[:pairs].mean() - rewards[pairs:].mean(),
        "rewards_accuracy": (rewards[:pairs] > rewards[pairs:]).double().mean(),
        "entropy": rows.entropy.detach().flatten()[counted].mean(),
        "token_accuracy": right[in_chosen].double().mean(),
        "logits_chosen": raw[in_chosen].mean(),
        "logits_rejected": raw[in_rejected].mean(),
        "grad_norm": rows.grad_norm(),
        **rows.gradients(options.get("frozen", "none")),
    }


def unpaired_step(case: dict[str, Tensor], options: dict[str, str]) -> dict[str, Tensor]:
    """Of kto, with its kl from other examples."""
    rows = Rows(case, options)
    counted = (case["labels"] != IGNORED) & case["mask"]
    logps = (rows.logp(case["labels"]) * counted).sum(-1)
    ratios = logps - case["reference_logps"].double()
    kl = (case["kl_policy_logps"].double() - case["kl_reference_logps"].double()).mean()
    kl = kl.clamp(min=0)
    beta = float(options["beta"])
    signs = torch.where(case["chosen"], 1.0, -1.0).double()
    losses = case["weights"].double() * (1 - torch.sigmoid(beta * signs * (ratios - kl)))
    (case["grad_loss"].double() * losses.mean()).backward()
    return {
        "loss": losses.mean(),
        "losses": losses,
        "logps": logps,
        "counts": counted.double().sum(-1),
        "rewards": beta * ratios.detach(),
        "kl": kl,
        "entropy": rows.entropy.detach()[counted].mean(),
        "grad_norm": rows.grad_norm(),
        **rows.gradients(options.get("frozen", "none")),
    }


def token_logprobs(case: dict[str, Tensor], options: dict[str, str]) -> dict[str, Tensor]:
    rows = Rows(case, options)
    labels = case["labels"]
    live = labels != IGNORED
    logp = rows.logp(labels)
    figures = {"grad_logp": logp, "grad_entropy": rows.entropy, "grad_lse": rows.lse}
    upstream = [(case[name].double() * figure)[live].sum() for name, figure in figures.items()]
    torch.stack(upstream).sum().backward()
    return {
        "logp": logp,
        "lse": rows.lse,
        "lse2": torch.logsumexp(2 * rows.z, -1),
        "entropy": rows.entropy,
        "argmax": rows.argmax,
        "mean_logit": rows.mean_logit,
        **rows.gradients(options.get("frozen", "none")),
    }


def head(
    random: torch.Generator, *rows: int, dtype: torch.dtype = torch.float32, prefix: str = ""
) -> dict[str, Tensor]:
    return {
        f"{prefix}hidden": normal(random, *rows, H, dtype=dtype),
        f"{prefix}weight": normal(random, V, H, dtype=dtype),
        f"{prefix}bias": normal(random, V, dtype=dtype),
    }


def pairs(number: int, dtype: torch.dtype = torch.float32, below: int = V) -> dict[str, Tensor]:
    """Two pairs of sequences of five tokens."""
    random = seeded(number)
    return {
        **head(random, 4, 5, dtype=dtype),
        "labels": labels_of(random, 4, 5, below=below),
        "mask": mask_of(random, 4, 5),
        "reference_token_logps": normal(random, 4, 5) - 4,
    }


def write(name: str, op: str, case: dict[str, Tensor], options: dict[str, str]) -> None:
    expected = {
        "linear_preference_step": preference_step,
        "linear_unpaired_step": unpaired_step,
        "linear_token_logprobs": token_logprobs,
    }[op](case, options)
    values = {key: value.detach().reshape(value.shape or (1,)) for key, value in expected.items()}
    values = {
        key: (value if key == "argmax" else value.double()).contiguous()
        for key, value in values.items()
    }
    save_file(case, FOLDER / f"{name}.safetensors", {"op": op, **options})
    save_file(values, FOLDER / f"{name}.expect.safetensors")


def main() -> None:
    step = "linear_preference_step"
    write(
        "linear_1_frozen_weight",
        step,
        pairs(1),
        {"loss": "sigmoid", "frozen": "weight", "temperature": "1.5"},
    )
    case = pairs(2)
    del case["bias"]
    write("linear_2_frozen_hidden", step, case, {"loss": "ipo", "frozen": "hidden"})
    write(
        "linear_3_bf16",
        step,
        pairs(3, torch.bfloat16),
        {"loss": "sigmoid", "beta": "0.3", "budget_bytes": str(4 * V)},
    )

    # Columns that are padding, in which nothing is read, and one that a bias takes out.
    case = pairs(4, below=29)
    case["labels"][case["labels"] == 7] = 8
    case["bias"][7] = float("-inf")
    case["weight"][30:] = float("nan")
    write(
        "linear_4_softcap_vocab",
        step,
        case,
        {"loss": "sigmoid", "softcap": "2.5", "temperature": "0.8", "vocab": "30"},
    )

    random = seeded(5)
    case = {
        **head(random, 11),
        "cu_seqlens": torch.tensor([0, 4, 4, 9, 11]),
        "labels": labels_of(random, 11),
        "reference_token_logps": normal(random, 11) - 4,
    }
    write("linear_5_packed_sft", step, case, {"loss": "sigmoid,sft", "loss_weights": "1,0.5"})

    case = {**pairs(6), **head(seeded(60), 4, 5, prefix="reference_")}
    del case["reference_token_logps"]
    write("linear_6_reference_model", step, case, {"loss": "sigmoid", "softcap": "3"})

    random = seeded(7)
    case = {
        **head(random, 3, 4),
        "labels": labels_of(random, 3, 4),
        "mask": mask_of(random, 3, 4),
        "chosen": torch.tensor([True, False, True]),
        "reference_logps": normal(random, 3) - 12,
        "kl_policy_logps": normal(random, 2) - 10,
        "kl_reference_logps": normal(random, 2) - 11,
        "weights": torch.tensor([1.0, 0.5, 2.0]),
        "grad_loss": torch.tensor([1.25]),
    }
    write("linear_7_kto", "linear_unpaired_step", case, {"loss": "kto", "beta": "0.2"})

    random = seeded(8)
    case = {
        **head(random, 2, 3),
        "labels": labels_of(random, 2, 3),
        **{name: normal(random, 2, 3) for name in ("grad_logp", "grad_entropy", "grad_lse")},
    }
    write("linear_8_tokens", "linear_token_logprobs", case, {"temperature": "1.25"})


if __name__ == "__main__":
    main()
