"""Trains a tiny Llama with TRL's DPO trainer, whose loss comes from here. Nothing is downloaded."""

import tempfile
from copy import deepcopy

from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed

from logratio.trl import LogratioDPOConfig, LogratioDPOTrainer

WORDS = "<pad> <bos> <eos> zero one two three four five six seven eight nine".split()
DIGITS = WORDS[3:]
STEPS = 30


def counting_tokenizer() -> PreTrainedTokenizerFast:
    """One token per word."""
    words = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<pad>"))
    words.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>"
    )


def tiny_llama() -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=32,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    return LlamaForCausalLM(config)


def counting_pairs() -> Dataset:
    """Three words that count up are preferred to three that count down."""

    def count(start: int, step: int) -> str:
        return "".join(f" {DIGITS[(start + step * i) % 10]}" for i in (1, 2, 3)) + " <eos>"

    return Dataset.from_list(
        [
            {"prompt": DIGITS[start], "chosen": count(start, 1), "rejected": count(start, -1)}
            for start in range(10)
        ]
    )


def train(folder: str) -> list[dict[str, float]]:
    """Trains, and returns what the trainer has logged."""
    options = {
        "output_dir": folder,
        "max_steps": STEPS,
        "per_device_train_batch_size": 10,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "report_to": "none",
        "save_strategy": "no",
        "use_cpu": True,
        "bf16": False,
        "disable_tqdm": True,
    }
    model, pairs, tokenizer = tiny_llama(), counting_pairs(), counting_tokenizer()
    # @start region=trl
    trainer = LogratioDPOTrainer(
        model=model,
        ref_model=deepcopy(model),
        args=LogratioDPOConfig(loss_type="dlrml", beta_kl=0.25, beta_mix=0.1, **options),
        train_dataset=pairs,
        processing_class=tokenizer,
    )
    trainer.train()
    # @end
    return [logged for logged in trainer.state.log_history if "loss" in logged]


def main() -> None:
    set_seed(1)
    with tempfile.TemporaryDirectory() as folder:
        logged = train(folder)
    first, last = logged[0], logged[-1]
    print(f"loss {first['loss']:.4f} to {last['loss']:.4f}")
    if not last["loss"] < first["loss"] or last["rewards/accuracies"] < 1:
        raise RuntimeError(f"training failed: {first}, then {last}")
    print("The loss fell, and every chosen answer has the higher reward.")


if __name__ == "__main__":
    main()
