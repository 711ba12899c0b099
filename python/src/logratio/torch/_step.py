"""Operations whose C function computes gradients along with the values, in one go.

A gradient is computed forward, for the upstream that is expected (``grad_loss``), and backward
hands it over. Two forms share all else: a functional operator, which allocates the gradient, and a
function that writes it over the logits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .._losses import LEARNED
from ._arrays import absent, new_gradient
from ._inplace import check_fresh, check_writable, overwritten, untraced
from ._operator import Inputs, Operator, Outputs
from ._upstream import at_upstream, differentiable_once


class Step:
    """One such operation.

    Args:
        name: of the operation.
        arguments: its schema. Among them ``grad_loss`` is the upstream that is expected,
            ``wanted`` names those whose gradient is wanted, and ``private`` tells that nobody
            but backward will have the gradients, which may then be scaled where they lie.
        trained: names of the inputs whose gradient autograd may want, such as logits.
        memory: allocates the outputs, the loss first.
        run: calls the C function, which writes the outputs and the gradients that it is given.
        results: how many outputs there are besides gradients.
        learned: whether there are parameters that are learned.
    """

    def __init__(
        self,
        name: str,
        arguments: str,
        trained: tuple[str, ...],
        memory: Callable[[Inputs], Outputs],
        run: Callable[[Inputs, Outputs, Outputs], None],
        results: int,
        learned: bool = False,
    ) -> None:
        self.trained = trained
        self.learned = LEARNED if learned else ()
        self.results = results
        self._memory = memory
        self._run = run
        self.operator = Operator(
            name,
            arguments,
            results + len(self.trained) + len(self.learned),
            self._all_memory,
            self._run_functional,
        )
        self.operator.op.register_autograd(
            differentiable_once(self.backward), setup_context=self._setup
        )

    def __call__(self, inputs: Inputs, inplace: bool) -> tuple[Tensor, ...]:
        """Outputs without the gradients, of all inputs but ``wanted`` and ``private``."""
        wanted = []
        for name in self.trained:
            tensor = inputs[name]
            if tensor is None:
                continue
            check_fresh(name, tensor)
            if tensor.requires_grad and torch.is_grad_enabled():
                wanted.append(name)
        inputs = inputs | {"wanted": ",".join(wanted), "private": True}
        if inplace and wanted:
            return self._write_over(wanted, inputs)
        return self.operator(inputs)[: self.results]

    @untraced
    def _write_over(self, wanted: list[str], inputs: Inputs) -> tuple[Tensor, ...]:
        for name in wanted:
            check_writable(name, inputs[name])
        return _InPlace.apply(self, *self.operator.ordered(inputs))

    def _all_memory(self, inputs: Inputs) -> Outputs:
        like = inputs[self.trained[0]]
        wanted = inputs["wanted"].split(",")
        gradients = {
            f"grad_{name}": new_gradient(inputs[name], like) if name in wanted else absent(like)
            for name in self.trained
        }
        return self._memory(inputs) | gradients | self._learned_memory(inputs)

    def _learned_memory(self, inputs: Inputs) -> Outputs:
        like = inputs[self.trained[0]]
        return {f"grad_{name}": new_gradient(inputs[name], like) for name in self.learned}

    def _given(self, inputs: Inputs) -> list[str]:
        """Names of the inputs whose gradient is computed."""
        wanted = inputs["wanted"].split(",")
        given = [name for name in self.learned if inputs[name] is not None]
        return [name for name in self.trained if name in wanted] + given

    def _run_functional(self, inputs: Inputs, outputs: Outputs) -> None:
        gradients = {f"grad_{name}": outputs[f"grad_{name}"] for name in self._given(inputs)}
        self._run(inputs, dict(list(outputs.items())[: self.results]), gradients)

    def run_in_place(self, inputs: Inputs) -> tuple[Outputs, Outputs]:
        """Outputs and gradients; those of the logits lie over the logits."""
        outputs, learned = self._memory(inputs), self._learned_memory(inputs)
        over = {name: inputs[name] for name in self._given(inputs) if name in self.trained}
        gradients = {f"grad_{name}": logits for name, logits in over.items()}
        for name in self._given(inputs):
            if name in self.learned:
                gradients[f"grad_{name}"] = learned[f"grad_{name}"]
        self._run(inputs, outputs, gradients)
        for name, logits in over.items():
            gradients[f"grad_{name}"] = overwritten(logits)
        return outputs, gradients

    def _setup(self, ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        names = self.operator.named(inputs)
        gradients = dict(zip(self.trained + self.learned, output[self.results :]))
        self.save(ctx, names, output, {f"grad_{name}": x for name, x in gradients.items()})

    def save(
        self, ctx: Any, inputs: Inputs, outputs: tuple[Tensor, ...], gradients: Outputs
    ) -> None:
        """Keeps what backward hands over; the loss alone has a gradient, or values by rows."""
        ctx.set_materialize_grads(False)
        ctx.names = self._given(inputs)
        ctx.is_private = inputs["private"]
        ctx.differentiable = self._differentiable(inputs)
        others = [x for i, x in enumerate(outputs) if i != ctx.differentiable]
        ctx.mark_non_differentiable(*others)
        computed = [gradients[f"grad_{name}"] for name in ctx.names]
        ctx.save_for_backward(inputs["grad_loss"], *computed)

    def _differentiable(self, inputs: Inputs) -> int:
        """Which output has a gradient: the loss, or with an upstream per row the values."""
        return 1 if inputs.get("per_row") else 0

    def backward(self, ctx: Any, *upstreams: Tensor | None) -> tuple[Any, ...]:
        """Gradients of all inputs, in their order."""
        expected, *computed = ctx.saved_tensors
        upstream = upstreams[ctx.differentiable]
        scaled = at_upstream(computed, upstream, expected, ctx.is_private)
        by_name = dict(zip(ctx.names, scaled))
        return tuple(by_name.get(name) for name in self.operator.names)


class _InPlace(torch.autograd.Function):
    """A step with the gradient written over the logits."""

    @staticmethod
    def forward(ctx: Any, step: Step, *values: Any) -> tuple[Tensor, ...]:
        ctx.step = step
        inputs = step.operator.named(values)
        outputs, gradients = step.run_in_place(inputs)
        tensors = tuple(outputs.values())
        step.save(ctx, inputs, tensors, gradients)
        return tensors

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, *upstreams: Tensor | None) -> tuple[Any, ...]:
        return None, *ctx.step.backward(ctx, *upstreams)
