"""Compares a preference step with DPO's formulas in NumPy's float64."""

import numpy as np

from logratio.numpy import preference_step

PAIRS = 3
LENGTH = 5
VOCABULARY = 1271
BETA = 0.1


def log_softmax(logits):
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def dpo(logits, labels, reference):
    """DPO's loss and its gradient, as the paper has them."""
    logps = log_softmax(logits.astype(np.float64))
    sequences = np.take_along_axis(logps, labels[..., None], -1)[..., 0].sum(1)
    ratios = sequences - reference
    margins = BETA * (ratios[:PAIRS] - ratios[PAIRS:])
    slopes = -BETA / (1 + np.exp(margins)) / PAIRS  # of the loss by a chosen log-ratio
    one_hot = np.eye(VOCABULARY)[labels]
    gradient = np.concatenate([slopes, -slopes])[:, None, None] * (one_hot - np.exp(logps))
    return np.log1p(np.exp(-margins)).mean(), gradient


def main() -> None:
    draw = np.random.default_rng(1)
    logits = draw.normal(size=(2 * PAIRS, LENGTH, VOCABULARY)).astype(np.float32)
    labels = draw.integers(VOCABULARY, size=(2 * PAIRS, LENGTH))
    reference = draw.normal(-40, 5, size=2 * PAIRS)

    # @start region=numpy
    # float32 [2P,T,V], integers [2P,T], floats [2P]
    step = preference_step(logits, labels, ("sigmoid", {"beta": 0.1}), reference_logps=reference)
    print(step.loss, step.metrics["rewards_margin"], step.grad_logits.shape)
    # @end

    loss, gradient = dpo(logits, labels, reference)
    print(f"loss {step.loss:.9f}, in float64 {loss:.9f}")
    # Sums of the vocabulary are float32, and so is the gradient.
    np.testing.assert_allclose(step.loss, loss, rtol=1e-6)
    np.testing.assert_allclose(step.grad_logits, gradient, rtol=0, atol=1e-6 * abs(gradient).max())
    print("Loss and gradient are those of the formulas.")


if __name__ == "__main__":
    main()
