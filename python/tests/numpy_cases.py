"""The cases of the command line's tests: inputs, and what PyTorch gave for them in float64."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

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

FOLDER = Path(__file__).resolve().parents[2] / "cli" / "src" / "test" / "resources" / "cases"

#: Operations, and the names of their inputs that are positional.
OPERATIONS = {
    "token_logprobs": (token_logprobs, ("logits", "labels")),
    "sequence_logps": (sequence_logps, ("token_logps", "mask")),
    "pair_loss": (pair_loss, ("policy_chosen", "policy_rejected", "loss")),
    "unpaired_loss": (unpaired_loss, ("policy_logps", "reference_logps", "chosen", "loss")),
    "preference_step": (preference_step, ("logits", "labels", "loss")),
    "unpaired_step": (unpaired_step, ("logits", "labels", "chosen", "loss")),
    "divergence": (divergence, ("p_logits", "q_logits", "divergence")),
    "scoring_rule": (scoring_rule, ("logits", "labels", "rule")),
}

DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "I64": np.int64,
    "I32": np.int32,
    "U8": np.uint8,
    "BOOL": np.bool_,
}

#: Options that are an operation's own, and not of its loss.
OWN = {
    "ignore_index": int,
    "temperature": float,
    "softcap": float,
    "vocab": int,
    "reduction": str,
    "tail_weight": float,
    "align": str,
    "keep_fraction": float,
    "wpo": str,
    "token_count": float,
    "w1": float,
    "w2": float,
    "js_weight": float,
    "detach": str,
    "normalisation": str,
    "epsilon": float,
}
LEARNED = ("beta", "beta_kl", "beta_mix", "tau")


@dataclass(frozen=True)
class File:
    """A safetensors file; the values of BF16 tensors are float32."""

    metadata: dict[str, str]
    tensors: dict[str, np.ndarray]
    dtypes: dict[str, str]


def read(path: Path) -> File:
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, stop = (end + offset for offset in entry["data_offsets"])
        data = content[begin:stop]
        if entry["dtype"] == "BF16":
            bits = np.frombuffer(data, np.uint16).astype(np.uint32) << 16
            array = bits.view(np.float32)
        else:
            array = np.frombuffer(data, DTYPES[entry["dtype"]])
        tensors[name] = array.reshape(entry["shape"])
    return File(metadata, tensors, {name: entry["dtype"] for name, entry in header.items()})


def names() -> list[str]:
    paths = sorted(FOLDER.glob("*.safetensors"))
    return [path.stem for path in paths if not path.stem.endswith(".expect")]


def case(name: str) -> tuple[File, dict[str, np.ndarray]]:
    """A case's file, and the expected values by name."""
    expected = read(FOLDER / f"{name}.expect.safetensors").tensors
    return read(FOLDER / f"{name}.safetensors"), expected


def run(file: File, tensors: dict[str, np.ndarray]) -> dict[str, Any]:
    """The results by name, metrics among them, of a case's options on these tensors."""
    options = dict(file.metadata)
    operation, positional = OPERATIONS[options.pop("op")]
    options.pop("format", None)
    arguments: dict[str, Any] = dict(tensors)
    if "loss" in positional:
        arguments["loss"] = losses(options, arguments)
    if "loss_weights" in options:
        numbers = options.pop("loss_weights").split(",")
        arguments["loss_weights"] = [float(number) for number in numbers]
    for switch in ("reference_free", "masked_log"):
        if switch in options:
            arguments[switch] = options.pop(switch) == "on"
    for option, value in options.items():
        arguments[option] = OWN.get(option, read_number)(value)
    first = [arguments.pop(name, None) for name in positional]
    results = operation(*first, **arguments)._asdict()
    return results | results.pop("metrics", {})


def losses(options: dict[str, str], arguments: dict[str, Any]) -> Any:
    """Takes the losses and their options out of a case's options and tensors."""
    own = {name: options.pop(name) for name in list(options) if name in OWN}
    several = options.pop("loss").split(",")
    weights = {"loss_weights": options.pop("loss_weights")} if "loss_weights" in options else {}
    free = {"reference_free": options.pop("reference_free")} if "reference_free" in options else {}
    given: dict[str, Any] = {name: read_number(options.pop(name)) for name in list(options)}
    given |= {name: arguments.pop(name) for name in LEARNED if name in arguments}
    options |= own | weights | free
    # A comma list has one set of options, each of the losses that have it; sft has none.
    parsed = [(name, {} if name == "sft" else given) for name in several]
    return parsed if len(parsed) > 1 else parsed[0]


def read_number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
