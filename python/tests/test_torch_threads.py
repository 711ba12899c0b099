"""Calls from several threads, which run beside each other as the GIL is released."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import torch

from logratio.torch import entropy_from_logits, pair_loss, preference_step


def test_python_goes_on_during_a_call() -> None:
    logits = torch.zeros(256, 128_256)
    entropy_from_logits(logits[:1])
    span: list[float] = []
    started = threading.Event()

    def call() -> None:
        started.set()
        span.append(time.perf_counter())
        entropy_from_logits(logits)
        span.append(time.perf_counter())

    thread = threading.Thread(target=call)
    ticks = []
    thread.start()
    started.wait()
    while thread.is_alive():
        ticks.append(time.perf_counter())
        time.sleep(0.0005)
    thread.join()
    # With the GIL held, no tick could fall between the two.
    quarter = (span[1] - span[0]) / 4
    assert [t for t in ticks if span[0] + quarter < t < span[1] - quarter]


def test_results_and_gradients_are_each_threads_own() -> None:
    def run(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        generator = torch.Generator().manual_seed(seed)
        logits = torch.randn(4, 5, 300, generator=generator).requires_grad_()
        labels = torch.randint(0, 300, (4, 5), generator=generator)
        step = preference_step(logits * 1, labels, "simpo", inplace=seed % 2 == 0)
        step.loss.backward()
        beta = torch.tensor(0.1 + seed, requires_grad=True)
        options = {"beta": beta}
        pair_loss(step.logps[:2], step.logps[2:], ("simpo", options)).loss.sum().backward()
        return step.loss.detach(), logits.grad, beta.grad

    alone = [run(seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            for expected, found in zip(alone, pool.map(run, range(8))):
                for ours, theirs in zip(found, expected):
                    assert torch.equal(ours, theirs)
