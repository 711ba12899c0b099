"""A preference step on numbers small enough to follow by hand."""

# @start region=first-step
import torch
from logratio.torch import preference_step
logits = torch.tensor([[[2.0, 0, -1], [0, 1, 0]], [[0, 1, 0], [3, -1, 0]]], requires_grad=True)
labels = torch.tensor([[0, 1], [2, 1]])  # one pair: row 0 is chosen, row 1 rejected
step = preference_step(logits, labels, "sigmoid", reference_logps=torch.tensor([-1.5, -4.0]))
step.loss.backward()
# @end

loss, gradient = step.loss.item(), logits.grad[0, 0, 0].item()
print(f"loss {loss:.4f}, its gradient for the first logit {gradient:.4f}")
