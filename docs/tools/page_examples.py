"""A Griffe extension: doctests of an "Example:" are shown as code, and `minimize` with the
arguments it takes.
"""

from __future__ import annotations

import re
from typing import Any

import griffe


class Examples(griffe.Extension):
    """Rename the sections; as an admonition, which "Example:" is to Griffe, a doctest would be read
    as Markdown.
    """

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called for every object with its docstring as written."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(
                r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE
            )

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Called for the package as a whole: two functions take the fields of one class."""
        if pkg.name != "pyswarmopt":
            return
        kind = griffe.ParameterKind.positional_or_keyword
        fields = pkg["driver.options.Options"].attributes.values()
        parameters = [
            griffe.Parameter(f.name, annotation=f.annotation, kind=kind, default=f.value)
            for f in fields
        ]
        for name in ("minimize", "maximize"):
            pkg[f"_minimize.{name}"].parameters = griffe.Parameters(*parameters)
