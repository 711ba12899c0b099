"""Trains a tiny language model with DPO in a loop of plain PyTorch.

Sequences that count up are preferred to sequences that count down.
"""

from time import perf_counter

import torch
from torch import Tensor

from logratio.torch import preference_step, token_logprobs

PAIRS = 8
LENGTH = 32
VOCABULARY = 16384
WIDTH = 32
STEPS = 20


class Bigram(torch.nn.Module):
    """The logits of a token follow from the one before it."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(VOCABULARY, WIDTH)
        self.head = torch.nn.Linear(WIDTH, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.embedding(tokens).tanh())


def counting_pairs() -> tuple[Tensor, Tensor]:
    """Tokens and the labels that follow them, [2P,T]: P chosen sequences, then P rejected."""
    start = 100 * torch.arange(PAIRS).repeat(2)
    direction = torch.tensor([1, -1]).repeat_interleave(PAIRS)
    sequences = start[:, None] + direction[:, None] * torch.arange(LENGTH + 1)
    sequences = sequences.remainder(VOCABULARY)
    return sequences[:, :-1], sequences[:, 1:].contiguous()


# @start region=plain-pytorch
def train_step(model, optimizer, tokens, labels, reference):
    """One step of DPO: tokens and labels [2P,T], the reference's log-probabilities [2P]."""
    optimizer.zero_grad()
    logits = model(tokens)  # [2P,T,V], not read again: the gradient is written over them
    step = preference_step(logits, labels, "sigmoid", reference_logps=reference, inplace=True)
    step.loss.backward()
    optimizer.step()
    return step.loss.item()
    # @end


def seconds(run) -> float:
    began = perf_counter()
    run()
    return perf_counter() - began


def share_of_loss(model, optimizer, tokens, labels, reference) -> float:
    """The share of a step that the loss and its gradient take, by the least times of five."""
    loss, step = [], []
    for _ in range(5):
        logits = model(tokens)
        loss.append(
            seconds(
                lambda: preference_step(
                    logits, labels, "sigmoid", reference_logps=reference, inplace=True
                )
            )
        )
        step.append(seconds(lambda: train_step(model, optimizer, tokens, labels, reference)))
    return min(loss) / min(step)


def main() -> None:
    torch.manual_seed(1)
    model = Bigram()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    tokens, labels = counting_pairs()
    with torch.no_grad():  # the model as it is before training is the reference
        reference = token_logprobs(model(tokens), labels).sum(1)
    training = model, optimizer, tokens, labels, reference

    losses = [train_step(*training) for _ in range(STEPS)]
    for number in range(0, STEPS, 5):
        print(f"step {number + 1}: loss {losses[number]:.4f}")
    print(f"the loss and its gradient take {100 * share_of_loss(*training):.0f} % of a step")
    if any(after >= before for before, after in zip(losses, losses[1:])):
        raise RuntimeError(f"the loss did not fall in every step: {losses}")
    print("The loss fell in every step.")


if __name__ == "__main__":
    main()
