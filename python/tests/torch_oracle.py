"""Losses and log-probabilities as their papers and trainers write them, in torch's float64.

Nothing here comes from the library: tests compare values and autograd's gradients with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

LS, S = F.logsigmoid, torch.sigmoid


def double(tensor: Tensor | None) -> Tensor | None:
    """The same values in float64, a leaf that requires a gradient."""
    return None if tensor is None else tensor.detach().double().requires_grad_()


def token_logps(logits: Tensor, labels: Tensor) -> Tensor:
    """Log-probabilities of labels, 0 where a label is -100."""
    safe = labels.clamp(min=0)
    logps = logits.log_softmax(-1).gather(-1, safe.unsqueeze(-1)).squeeze(-1)
    return logps * (labels != -100)


def entropies(logits: Tensor) -> Tensor:
    logps = logits.log_softmax(-1)
    return -(logps.exp() * logps).sum(-1)


def close(
    actual: Tensor, expected: Tensor, tolerance: float = 2e-6, scale: float | None = None
) -> None:
    """Asserts that two tensors differ by at most `tolerance` times the largest expected number.

    float32 figures are right to about 1e-7 of it; 2e-6 leaves room for vocabulary sums in float32.
    Where larger numbers cancel, `scale` is theirs.
    """
    if scale is None:
        scale = max(1e-30, float(expected.detach().abs().max())) if expected.numel() else 1.0
    torch.testing.assert_close(
        actual.detach().double(), expected.detach().double(), rtol=0, atol=tolerance * scale
    )


#: What a gradient in a dtype is off by once it is rounded, beside its largest number.
ROUNDING = {torch.float32: 2e-6, torch.bfloat16: 2**-8, torch.float16: 2**-11}


def score(x: Tensor, f_divergence: str = "reverse_kl", f_alpha: float = 0.5) -> Tensor:
    """The f-divergence's score of a log-ratio."""
    if f_divergence == "forward_kl":
        return 1 - torch.exp(-x)
    if f_divergence == "js":
        return math.log(2) + LS(x)
    if f_divergence == "alpha":
        return (torch.exp((f_alpha - 1) * x) - 1) / (f_alpha - 1)
    return x


class Pairs:
    """What the loss of a pair is written in."""

    def __init__(self, lw: Tensor, ll: Tensor, rw: Tensor, rl: Tensor, nw: Tensor, nl: Tensor):
        self.lw, self.ll, self.rw, self.rl, self.nw, self.nl = lw, ll, rw, rl, nw, nl
        self.dw, self.dl = lw - rw, ll - rl

    def scores(self, o: dict[str, Any]) -> tuple[Tensor, Tensor]:
        f = {key: o[key] for key in ("f_divergence", "f_alpha") if key in o}
        return score(self.dw, **f), score(self.dl, **f)

    def margin(self, o: dict[str, Any]) -> Tensor:
        sw, sl = self.scores(o)
        return sw - sl


def smoothed(z: Tensor, e: float) -> Tensor:
    return -(1 - e) * LS(z) - e * LS(-z)


def dlrml(p: Pairs, o: dict[str, Any]) -> Tensor:
    d, tau, beta_kl = p.margin(o), o.get("tau", 0.05), o.get("beta_kl", 0.05)
    beta_mix = o.get("beta_mix", 0.2)
    if o.get("guard") == "clamp":
        beta_mix = max(beta_mix, tau * beta_kl)
    z, m = beta_kl * d, S(beta_mix * d / tau)
    return (1 - m) * -LS(z) + m * torch.exp(-z)


def discopop(p: Pairs, o: dict[str, Any]) -> Tensor:
    d, beta, tau = p.margin(o), o.get("beta", 0.05), o.get("tau", 0.05)
    gate = S(d if o.get("variant") == "old" else beta * d / tau)
    return (1 - gate) * -LS(beta * d) + gate * torch.exp(-beta * d)


def sigmoid_norm(p: Pairs, o: dict[str, Any]) -> Tensor:
    sw, sl = p.scores(o)
    return -LS(o.get("beta", 0.1) * (sw / p.nw - sl / p.nl))


def ipo(p: Pairs, o: dict[str, Any]) -> Tensor:
    sw, sl = p.scores(o)
    h = sw - sl if o.get("normalise") == "off" else sw / p.nw - sl / p.nl
    return (h - 1 / (2 * o.get("beta", 0.1))) ** 2


def exo_pair(p: Pairs, o: dict[str, Any]) -> Tensor:
    z, e = o.get("beta", 0.1) * p.margin(o), o.get("label_smoothing", 1e-3)
    return S(z) * (LS(z) - math.log1p(-e)) + S(-z) * (LS(-z) - math.log(e))


def robust(p: Pairs, o: dict[str, Any]) -> Tensor:
    z, e = o.get("beta", 0.1) * p.margin(o), o.get("label_smoothing", 0.0)
    return (-(1 - e) * LS(z) + e * LS(-z)) / (1 - 2 * e)


def nca_pair(p: Pairs, o: dict[str, Any]) -> Tensor:
    b = o.get("beta", 0.1)
    return -LS(b * p.dw) - 0.5 * LS(-b * p.dw) - 0.5 * LS(-b * p.dl)


def bco_pair(p: Pairs, o: dict[str, Any]) -> Tensor:
    b, delta = o.get("beta", 0.1), o.get("delta", 0.0)
    return -LS(b * p.dw - delta) - LS(-(b * p.dl - delta))


def sppo_hard(p: Pairs, o: dict[str, Any]) -> Tensor:
    b = o.get("beta", 0.1)
    return (p.dw - 0.5 / b) ** 2 + (p.dl + 0.5 / b) ** 2


def _sorted_loss(d: Tensor, o: dict[str, Any]) -> Tensor:
    return smoothed(o.get("beta", 0.1) * d, o.get("label_smoothing", 0.0))


def aot(p: Pairs, o: dict[str, Any]) -> Tensor:
    return _sorted_loss((p.lw - p.ll).sort().values - (p.rw - p.rl).sort().values, o)


def aot_unpaired(p: Pairs, o: dict[str, Any]) -> Tensor:
    return _sorted_loss(p.dw.sort().values - p.dl.sort().values, o)


def kto_pair(p: Pairs, o: dict[str, Any]) -> Tensor:
    b, kw, kl = o.get("beta", 0.1), p.dw.mean().clamp(min=0), p.dl.mean().clamp(min=0)
    if o.get("detach") == "on":
        kw, kl = kw.detach(), kl.detach()
    return torch.cat([1 - S(b * (p.dw - kl)), 1 - S(b * (kw - p.dl))])


def dbaql(p: Pairs, o: dict[str, Any]) -> Tensor:
    d = p.margin({})
    y = o.get("beta", 0.05) * d
    w = S((d if o.get("variant") == "old" else y / o.get("tau", 0.05)).var())
    return -w * LS(y / 0.9) + (1 - w) * torch.exp(-0.9 * y)


def aql(p: Pairs, o: dict[str, Any]) -> Tensor:
    b, d = o.get("beta", 0.05), p.margin({})
    y, variant = b * d, o.get("variant", "repo")
    if variant == "repo":
        x = y / o.get("tau", 0.05)
        q = S(0.5 + 0.01 * (S(x.mean()) - 0.5) - x)
    else:
        q = S(-b * (d - (0.5 + 0.01 * (S(d.mean()) - 0.5))))
    return -q * LS(y) + (1 - q) * F.relu(1 - y)


def aqfl(p: Pairs, o: dict[str, Any]) -> Tensor:
    d, variant = p.margin({}), o.get("variant", "repo")
    y = o.get("beta", 0.05) * d
    x = d if variant == "old" else y / o.get("tau", 0.05)
    if variant == "paper":
        m = x.var() * S(-x).mean()
        a = m + 0.05 * S(x.mean() - m)
    else:
        a = 0.95 * x.std() * S(-x).mean() + 0.05 * S(x.mean())
    gate = S(0.1 * (x - a).abs())
    return -gate * LS(y) + (1 - gate) * F.relu(1 - y)


def padll(p: Pairs, o: dict[str, Any]) -> Tensor:
    d = p.margin({})
    return (0.9 - 0.45 * (d < 0).double()) * -LS(o.get("beta", 0.05) * d)


def cell(p: Pairs, o: dict[str, Any]) -> Tensor:
    y = o.get("beta", 0.05) * p.margin({})
    return (torch.exp(-y) - LS(y)) / 2


def pfl(p: Pairs, o: dict[str, Any]) -> Tensor:
    d, b = p.margin({}), o.get("beta", 0.05)
    y = {"repo": b * d, "old": d, "paper": b * d / o.get("tau", 0.05)}[o.get("variant", "repo")]
    return torch.where(p.lw > p.ll, -LS(y) / 2, 2 * F.relu(1 - y))


def simpo(p: Pairs, o: dict[str, Any]) -> Tensor:
    x = o.get("beta", 2.0) * (p.lw / p.nw - p.ll / p.nl) - o.get("gamma", 0.5)
    return smoothed(x, o.get("label_smoothing", 0.0))


def alphapo(p: Pairs, o: dict[str, Any]) -> Tensor:
    alpha = o.get("alpha", 0.25)
    r = [(1 - torch.exp(-alpha * a)) / alpha for a in (p.lw / p.nw, p.ll / p.nl)]
    x = o.get("beta", 2.0) * (r[0] - r[1]) - o.get("gamma", 0.5)
    return smoothed(x, o.get("label_smoothing", 0.0))


def _nll(p: Pairs, o: dict[str, Any]) -> Tensor:
    if o.get("nll") == "token":
        return (-p.lw.sum() / p.nw.sum()).expand(p.lw.shape)
    return -p.lw / p.nw


def cpo(p: Pairs, o: dict[str, Any]) -> Tensor:
    z = o.get("beta", 0.1) * (p.lw - p.ll)
    return smoothed(z, o.get("label_smoothing", 0.0)) + o.get("alpha", 1.0) * _nll(p, o)


def orpo(p: Pairs, o: dict[str, Any]) -> Tensor:
    aw, al = p.lw / p.nw, p.ll / p.nl
    odds = (aw - al) - (torch.log(-torch.expm1(aw)) - torch.log(-torch.expm1(al)))
    return _nll(p, o) - o.get("beta", 0.1) * LS(odds)


#: Losses of pairs by name.
PAIRED: dict[str, Callable[[Pairs, dict[str, Any]], Tensor]] = {
    "dlrml": dlrml,
    "discopop": discopop,
    "lrml": discopop,
    "sigmoid": lambda p, o: smoothed(
        o.get("beta", 0.1) * p.margin(o), o.get("label_smoothing", 0.0)
    ),
    "hinge": lambda p, o: F.relu(1 - o.get("beta", 0.1) * p.margin(o)),
    "ipo": ipo,
    "exo_pair": exo_pair,
    "nca_pair": nca_pair,
    "robust": robust,
    "bco_pair": bco_pair,
    "sppo_hard": sppo_hard,
    "aot": aot,
    "aot_unpaired": aot_unpaired,
    "apo_zero": lambda p, o: 1 - S(o.get("beta", 0.1) * p.dw) + S(o.get("beta", 0.1) * p.dl),
    "apo_down": lambda p, o: (
        S(o.get("beta", 0.1) * p.dw) + 1 - S(o.get("beta", 0.1) * (p.dw - p.dl))
    ),
    "sigmoid_norm": sigmoid_norm,
    "kto_pair": kto_pair,
    "dbaql": dbaql,
    "aql": aql,
    "aqfl": aqfl,
    "padll": padll,
    "cell": cell,
    "pfl": pfl,
    "simpo": simpo,
    "cpo": cpo,
    "orpo": orpo,
    "alphapo": alphapo,
}

#: Losses that never have a reference.
REFERENCE_FREE = ("simpo", "cpo", "orpo", "alphapo")

#: Cases of the paired losses: a name and options.
PAIRED_CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in PAIRED),
    ("dlrml", {"beta_kl": 0.3, "beta_mix": 0.1, "tau": 0.4}),
    ("dlrml", {"beta_kl": 0.3, "beta_mix": 0.05, "tau": 0.4, "guard": "clamp"}),
    ("discopop", {"beta": 0.2, "tau": 0.3, "variant": "old"}),
    ("sigmoid", {"beta": 0.3, "label_smoothing": 0.2}),
    *(
        (name, {"f_divergence": f})
        for name in ("sigmoid", "hinge", "ipo", "exo_pair", "robust", "sigmoid_norm", "discopop")
        for f in ("forward_kl", "js", "alpha")
    ),
    ("dlrml", {"f_divergence": "alpha", "f_alpha": 0.8}),
    ("ipo", {"normalise": "off"}),
    ("exo_pair", {"label_smoothing": 0.1}),
    ("robust", {"label_smoothing": 0.2}),
    ("bco_pair", {"delta": 0.3}),
    ("aot", {"label_smoothing": 0.1}),
    ("aot_unpaired", {"beta": 0.4}),
    ("kto_pair", {"detach": "on"}),
    *(
        (name, {"beta": 0.2, "tau": 0.3, "variant": variant})
        for name in ("dbaql", "aql", "aqfl", "pfl")
        for variant in ("repo", "old", "paper")
    ),
    ("simpo", {"beta": 1.5, "gamma": 0.2, "label_smoothing": 0.1}),
    ("alphapo", {"alpha": 1.2}),
    ("cpo", {"alpha": 0.5, "nll": "token", "label_smoothing": 0.1}),
    ("orpo", {"nll": "token", "beta": 0.3}),
]


def paired_id(case: tuple[str, dict[str, Any]]) -> str:
    name, options = case
    return "-".join([name, *(f"{key}={value}" for key, value in options.items())])


def unpaired(
    name: str,
    o: dict[str, Any],
    policy: Tensor,
    reference: Tensor,
    chosen: Tensor,
    kl: Tensor | float = 0.0,
) -> Tensor:
    """The loss of each example of an unpaired batch."""
    b, d = o.get("beta", 0.1), policy - reference
    wd, wu = o.get("desirable_weight", 1.0), o.get("undesirable_weight", 1.0)
    if name == "kto":
        return torch.where(chosen, wd * (1 - S(b * (d - kl))), wu * (1 - S(b * (kl - d))))
    if name == "bco":
        x = b * d - o.get("delta", 0.0)
        return torch.where(chosen, -LS(x), -wu * LS(-x))
    return torch.where(chosen, 1 - S(b * d), S(b * d))


UNPAIRED_CASES: list[tuple[str, dict[str, Any]]] = [
    ("kto", {}),
    ("kto", {"beta": 0.3, "desirable_weight": 1.3, "undesirable_weight": 0.7}),
    ("apo_zero_unpaired", {"beta": 0.4}),
    ("bco", {"delta": 0.2, "undesirable_weight": 0.5}),
]


def divergence(name: str, p: Tensor, q: Tensor, w: float = 0.5) -> Tensor:
    """A divergence between rows of log-probabilities."""
    pp, qq = p.exp(), q.exp()
    if name == "sce":
        return -(pp * q).sum(-1) - (qq * p).sum(-1)
    if name == "jeffreys":
        return ((pp - qq) * (p - q)).sum(-1)
    if name == "kl_pq":
        return (pp * (p - q)).sum(-1)
    if name == "kl_qp":
        return (qq * (q - p)).sum(-1)
    if name == "js":
        m = (w * pp + (1 - w) * qq).log()
        return w * (pp * (p - m)).sum(-1) + (1 - w) * (qq * (q - m)).sum(-1)
    if name == "l2":
        return ((pp - qq) ** 2).sum(-1)
    if name == "tvd":
        return (pp - qq).abs().sum(-1) / 2
    if name == "wasserstein1":
        return (pp - qq).cumsum(-1).abs().sum(-1)
    return 1 - (pp * qq).sum(-1) / (pp.norm(dim=-1) * qq.norm(dim=-1))


def scoring_rule(rule: str, logits: Tensor, labels: Tensor, o: dict[str, Any]) -> Tensor:
    """Minus the score of each row; 0 where a label is -100."""
    logps, alpha, epsilon = logits.log_softmax(-1), o.get("alpha", 2.0), o.get("epsilon", 0.0)
    p, columns = logps.exp(), logits.shape[-1]
    jnw = o.get("normalisation") == "jnw"
    power = (p**alpha).sum(-1, keepdim=True)
    if rule == "log":
        losses = -logps
    elif rule == "brier":
        losses = (p * p).sum(-1, keepdim=True) - 2 * p
    elif rule == "spherical":
        losses = -p / p.norm(dim=-1, keepdim=True)
    elif rule == "power" and not jnw:
        losses = -(alpha * p ** (alpha - 1) - (alpha - 1) * power)
    elif rule == "power":
        losses = -((p ** (alpha - 1) - 1) / (alpha - 1) - (power - 1) / alpha)
    elif not jnw:
        losses = -(p ** (alpha - 1)) / power ** ((alpha - 1) / alpha)
    else:
        losses = -((p / power ** (1 / alpha)) ** (alpha - 1) - 1) / (alpha - 1)
    own = losses.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    values = (1 - epsilon) * own + epsilon / columns * losses.sum(-1)
    if o.get("masked_log"):
        masked = (p < epsilon / columns).detach()
        values = values - epsilon / columns * (logps * masked).sum(-1)
    return values * (labels != -100)
