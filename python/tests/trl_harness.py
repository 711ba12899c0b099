"""A tiny model, tokenizer and data set that train within seconds and without a download."""

from __future__ import annotations

import random
from typing import Any

import torch
from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig

SPECIAL = ["<pad>", "<eos>", "<bos>"]
WORDS = [f"w{i}" for i in range(94)]
VOCAB = len(SPECIAL) + len(WORDS)

#: What differs between two trainers by design or by chance: times.
TIMES = ("runtime", "per_second", "total_flos", "step_time")

History = list[dict[str, float]]


def tokenizer() -> PreTrainedTokenizerFast:
    """One token per word."""
    words = {word: i for i, word in enumerate(SPECIAL + WORDS)}
    fast = Tokenizer(WordLevel(words, unk_token="<pad>"))
    fast.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=fast, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>"
    )


def model(seed: int = 0, vocab: int = VOCAB, hidden: int = 32) -> LlamaForCausalLM:
    """A Llama of one layer; equal seeds give equal weights."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocab,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=64,
        initializer_range=0.2,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )
    return LlamaForCausalLM(config)


def pairs(count: int = 24, seed: int = 1) -> Dataset:
    """Prompts with a chosen and a rejected answer of 1 to 8 words each."""
    draw = random.Random(seed)

    def words(most: int) -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(1, most)))

    rows = [
        {"prompt": words(5), "chosen": f" {words(8)} <eos>", "rejected": f" {words(8)} <eos>"}
        for _ in range(count)
    ]
    return Dataset.from_list(rows)


def config(folder: Any, kind: type = DPOConfig, **options: Any) -> Any:
    """Options of a short run on the CPU that logs every step and writes nothing else."""
    defaults = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 2,
        "per_device_eval_batch_size": 3,
        "max_steps": 30,
        "learning_rate": 1e-2,
        "optim": "sgd",
        "logging_steps": 1,
        "report_to": "none",
        "save_strategy": "no",
        "bf16": False,
        "use_cpu": True,
        "gradient_checkpointing": False,
        "dataloader_pin_memory": False,
        "disable_tqdm": True,
    }
    if issubclass(kind, DPOConfig):
        defaults["beta"] = 0.5
    return kind(**(defaults | options))


def trainer(kind: type, args: Any, **named: Any) -> Any:
    """A DPO trainer whose policy and reference differ from the first step on."""
    defaults = {
        "model": model(0),
        "ref_model": model(1),
        "train_dataset": pairs(),
        "processing_class": tokenizer(),
    }
    return kind(args=args, **(defaults | named))


def history(trained: Any) -> History:
    """All figures that a run has logged, without times."""
    return [
        {key: x for key, x in logged.items() if not any(part in key for part in TIMES)}
        for logged in trained.state.log_history
    ]


def largest_difference(one: History, other: History) -> tuple[float, str]:
    """The largest difference between two runs, relative to figures above 1, and where it is."""
    assert [list(x) for x in one] == [list(x) for x in other]
    differences = [(0.0, "none")]
    for number, (a, b) in enumerate(zip(one, other)):
        for key in a:
            differences.append(
                (abs(a[key] - b[key]) / max(1.0, abs(a[key])), f"{key} of entry {number}")
            )
    assert all(difference == difference for difference, _ in differences)
    return max(differences)
