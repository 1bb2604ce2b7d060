"""An upper bound for every integer option."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand

from pyswarmopt.base.words import largest


class BoundedCommand(TyperCommand):
    """A command whose integer options have an upper bound, which the message about a larger value
    names.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as usual, then refuse what is too large."""
        rest = super().parse_args(ctx, args)
        param: Any
        for param in self.params:
            value, most = ctx.params.get(param.name), largest(str(param.name))
            if isinstance(value, int) and value > most:
                raise typer.BadParameter(
                    f"{value} is too large; give at most {most}", ctx=ctx, param=param
                )
        return rest
