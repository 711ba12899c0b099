"""What a call of a fused linear operation chose to do."""

from __future__ import annotations

from typing import NamedTuple

from . import _abi

#: Ways through the products, in the order of lr_linear_method.
METHODS = ("forward", "online", "sweep")


class LinearPlan(NamedTuple):
    """How the products of a call were made, for M rows that count.

    A product of all logits is 2 M H V operations, V columns of H numbers each.
    """

    #: ``"forward"`` (no gradient), ``"online"`` (the weight has no gradient) or ``"sweep"``.
    method: str
    #: M.
    rows: int
    #: Rows whose logits were kept from the forward to the backward, and rows whose logits were
    #: multiplied again.
    kept_rows: int
    recomputed_rows: int
    #: Of the tile of a product.
    block_rows: int
    block_columns: int
    #: Multiplications and additions of all products, over M H V.
    operations: float
    #: Bytes of kept logits at most, of float32 sums of narrower gradients, and of all threads.
    kept_bytes: int
    accumulator_bytes: int
    scratch_bytes: int
    #: The library that made the products, as :func:`logratio.gemm` names it.
    gemm: str


#: Names of the numbers of a plan.
PLAN_FIGURES = tuple(name for name in LinearPlan._fields if name != "gemm")


def plan_of(memory: _abi.LinearPlan) -> LinearPlan:
    """The plan that a C function has written."""
    figures = {name: getattr(memory, name) for name in PLAN_FIGURES}
    return LinearPlan(**figures | {"method": METHODS[memory.method]}, gemm=memory.gemm.decode())
