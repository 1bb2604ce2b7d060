"""Optimizers that are no swarms of this library, starting from the experts: nevergrad's, pycma."""

from __future__ import annotations

from torch import Tensor

import pyswarmopt as pso
from pyswarmopt_llm.common.config import NEVERGRAD, PYCMA
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.extras import need_extra


def module_of(name: str) -> str | None:
    """The module that an optimizer needs of an extra (`common.extras`)."""
    return "nevergrad" if name.startswith(NEVERGRAD) else "cma" if name == PYCMA else None


def check_other(name: str) -> None:
    """Refuse an optimizer that `make_other` cannot make.

    Raises:
        UserError: its extra is not installed, or nevergrad has none of that name.
    """
    need_extra(module_of(name), name)
    if name.startswith(NEVERGRAD):
        _one_at_a_time(name)


def make_other(
    name: str, vertices: Tensor, population: int, evaluations: int, seed: int
) -> pso.Optimizer:
    """An optimizer that maximises, starting from the experts.

    Args:
        name: ``pycma`` or ``nevergrad:NAME``.
        vertices: (n, D), the experts' positions.
        population: positions per round; sequential optimisers get one.
        evaluations: in all.
        seed: random seed.

    Raises:
        UserError: nevergrad cannot make it for so many points at a time.
    """
    if name == PYCMA:
        from pyswarmopt.interop.pycma import PycmaOptimizer

        return PycmaOptimizer(vertices, population, evaluations, seed, maximize=True)
    from pyswarmopt.interop.nevergrad import NevergradOptimizer

    kind = name.removeprefix(NEVERGRAD)
    width = 1 if _one_at_a_time(name) else population
    try:
        return NevergradOptimizer(
            kind, None, vertices, width, evaluations, seed % 2**32, maximize=True
        )
    # a few of nevergrad's cannot be made with more than one point at a time
    except ValueError as error:
        raise InvalidOption("optimizer", name, str(error)) from error


def _one_at_a_time(name: str) -> bool:
    """Whether an optimiser of nevergrad's takes one point at a time."""
    from pyswarmopt.interop.nevergrad import one_at_a_time

    try:
        return one_at_a_time(name.removeprefix(NEVERGRAD))
    except ValueError as error:
        raise InvalidOption("optimizer", name, str(error)) from error
