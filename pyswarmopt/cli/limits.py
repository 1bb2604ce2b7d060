"""What every command refuses: integers beyond an upper bound, and an option that is there twice."""

from __future__ import annotations

from collections import Counter
from typing import Any

import typer
from typer.core import TyperCommand

from pyswarmopt.base.words import largest


class BoundedCommand(TyperCommand):
    """A command whose integer options have an upper bound, which the message about a larger value
    names, and whose options are given once, unless they take several values.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as usual, but refuse what is too large, or given twice."""
        _, _, order = self.make_parser(ctx).parse_args(list(args))
        param: Any
        for param, count in Counter(order).items():
            one = param.nargs == 1 and not param.multiple and not getattr(param, "is_flag", False)
            if one and count > 1:
                raise typer.BadParameter(f"given {count} times; give it once", ctx=ctx, param=param)
        rest = super().parse_args(ctx, args)
        for param in self.params:
            value, most = ctx.params.get(param.name), largest(str(param.name))
            if isinstance(value, int) and value > most:
                raise typer.BadParameter(
                    f"{value} is too large; give at most {most}", ctx=ctx, param=param
                )
        return rest
