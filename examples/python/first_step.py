"""A preference step on numbers small enough to follow by hand."""

# @start region=first-step
import torch
from logratio.torch import preference_step
logits = torch.tensor([[[2.0, 0, -1], [0, 1, 0]], [[0, 1, 0], [3, -1, 0]]], requires_grad=True)
labels = torch.tensor([[0, 1], [2, 1]])  # one pair: row 0 is chosen, row 1 rejected
step = preference_step(logits, labels, "sigmoid", reference_logps=torch.tensor([-1.5, -4.0]))
step.loss.backward()
# @end

# @start region=info
import logratio

info = logratio.info()
print(info.version, info.path, info.instruction_set, info.threads)
for backend in info.backends:
    print(backend.name, backend.available, backend.detail)
# @end

# @start region=errors
try:
    preference_step(logits, labels + 2, ("sigmoid", {"beta": 0.2}), reference_free=True)
except logratio.InvalidArgumentError as error:  # a ValueError; labels[0, 1] is 3
    print(error)
# @end

loss, gradient = step.loss.item(), logits.grad[0, 0, 0].item()
print(f"loss {loss:.4f}, its gradient for the first logit {gradient:.4f}")
