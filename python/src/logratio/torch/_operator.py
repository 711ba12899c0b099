"""Custom operators whose schema is all the declaration that there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ._arrays import check_tensors

Inputs = dict[str, Any]

#: Outputs of the C functions, by the names of their fields.
Outputs = dict[str, Tensor]


class Operator:
    """A functional operator ``torch.ops.logratio.NAME`` with named inputs and outputs.

    Args:
        name: of the operator.
        arguments: its arguments, as PyTorch's schema language has them.
        results: how many tensors it returns.
        memory: allocates the outputs, by name; also the operator's fake.
        run: writes the outputs.
    """

    def __init__(
        self,
        name: str,
        arguments: str,
        results: int,
        memory: Callable[[Inputs], Outputs],
        run: Callable[[Inputs, Outputs], None],
    ) -> None:
        declared = [argument.split() for argument in arguments.split(",")]
        self.names = tuple(name for _, name in declared)
        self._tensors = tuple(name for kind, name in declared if kind.startswith("Tensor"))
        self.memory = memory
        self.run = run
        returned = "Tensor" if results == 1 else f"({', '.join(['Tensor'] * results)})"
        self.op = torch.library.custom_op(
            f"logratio::{name}",
            self._real,
            mutates_args=(),
            schema=f"({arguments}) -> {returned}",
        )
        self.op.register_fake(self._fake)

    def __call__(self, inputs: Inputs) -> tuple[Tensor, ...]:
        """Calls it with inputs by name; raises InvalidArgumentError for tensors on two devices."""
        return self.op(*self.ordered(inputs))

    def ordered(self, inputs: Inputs) -> tuple[Any, ...]:
        """Inputs in the schema's order, of checked tensors."""
        check_tensors(**{name: inputs[name] for name in self._tensors})
        return tuple(inputs[name] for name in self.names)

    def named(self, values: tuple[Any, ...]) -> Inputs:
        """Inputs by name, of inputs in the schema's order."""
        return dict(zip(self.names, values, strict=True))

    def _real(self, *values: Any) -> Tensor | tuple[Tensor, ...]:
        inputs = self.named(values)
        outputs = self.memory(inputs)
        self.run(inputs, outputs)
        return _results(outputs)

    def _fake(self, *values: Any) -> Tensor | tuple[Tensor, ...]:
        return _results(self.memory(self.named(values)))


def _results(outputs: Outputs) -> Tensor | tuple[Tensor, ...]:
    tensors = tuple(outputs.values())
    return tensors if len(tensors) > 1 else tensors[0]
