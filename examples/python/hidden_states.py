"""Trains the head of a language model with DPO, and what is below it, without ever having logits.

Sequences that count up are preferred to sequences that count down. The reference is the model as it
was before training, in the same call.
"""

from copy import deepcopy

import torch
from torch import Tensor

import logratio
from logratio.torch import linear_preference_step

PAIRS = 8
LENGTH = 32
VOCABULARY = 16384
WIDTH = 32
STEPS = 20


class Bigram(torch.nn.Module):
    """A backbone that knows the last token alone, and a head for what it returns."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(VOCABULARY, WIDTH)
        self.head = torch.nn.Linear(WIDTH, VOCABULARY, bias=False)

    def backbone(self, tokens: Tensor) -> Tensor:
        return self.embedding(tokens).tanh()


def counting_pairs() -> tuple[Tensor, Tensor]:
    """Tokens and the labels that follow them, [2P,T]: P chosen sequences, then P rejected."""
    start = 100 * torch.arange(PAIRS).repeat(2)
    direction = torch.tensor([1, -1]).repeat_interleave(PAIRS)
    sequences = start[:, None] + direction[:, None] * torch.arange(LENGTH + 1)
    sequences = sequences.remainder(VOCABULARY)
    return sequences[:, :-1], sequences[:, 1:].contiguous()


# @start region=hidden-states
def train_step(model, reference, optimizer, tokens, labels):
    """One step of DPO from hidden states [2P,T,H]: no logits [2P,T,V] are ever held."""
    optimizer.zero_grad()
    with torch.no_grad():
        reference_hidden = reference.backbone(tokens)
    step = linear_preference_step(
        model.backbone(tokens),
        model.head.weight,
        labels,
        "sigmoid",
        reference_hidden=reference_hidden,
        reference_weight=reference.head.weight.detach(),
    )
    step.loss.backward()
    optimizer.step()
    return step
    # @end


def main() -> None:
    torch.manual_seed(1)
    model = Bigram()
    reference = deepcopy(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    training = model, reference, optimizer, *counting_pairs()

    steps = [train_step(*training) for _ in range(STEPS)]
    losses = [step.loss.item() for step in steps]
    for number in range(0, STEPS, 5):
        print(f"step {number + 1}: loss {losses[number]:.4f}")
    plan = steps[-1].plan
    print(
        f"{int(plan['rows'])} rows, {plan['operations']:.0f} M H V operations "
        f"by {logratio.gemm().library}"
    )
    if any(after >= before for before, after in zip(losses, losses[1:])):
        raise RuntimeError(f"the loss did not fall in every step: {losses}")
    print("The loss fell in every step, without logits.")


if __name__ == "__main__":
    main()
