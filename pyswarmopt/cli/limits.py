"""The largest number that each integer option takes: beyond it nothing would run, and arithmetic would overflow."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand

COUNT = 10**9  # items, iterations, evaluations, tokens
SEED = 2**63 - 1
_OTHERS = {
    "particles": 10**6,
    "dim": 10**6,
    "threads": 4096,
    "rank": 2**16,
    "output_rank": 2**16,
    "max_new_tokens": 10**6,
    "seeds": 10**6,
    "agents": 10**4,
    "rounds": 10**6,
    "seed": SEED,
}


def largest(option: str) -> int:
    """The largest value of an option, by the name of its parameter.

    Example:
        >>> largest("threads"), largest("max_iter")
        (4096, 1000000000)
    """
    return _OTHERS.get(option, COUNT)


class BoundedCommand(TyperCommand):
    """A command whose integer options have an upper bound, which the message about a larger value names."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as usual, then refuse what is too large."""
        rest = super().parse_args(ctx, args)
        param: Any
        for param in self.params:
            value, most = ctx.params.get(param.name), largest(str(param.name))
            if isinstance(value, int) and value > most:
                raise typer.BadParameter(f"{value} is too large; give at most {most}", ctx=ctx, param=param)
        return rest
