"""What all HTML pages share: one stylesheet, one frame, everything escaped, nothing from the network."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def render(template: str, **content: Any) -> str:
    """A page that extends ``reporting/report/page.html.j2``.

    Args:
        template: its template, relative to the package, for example ``reporting/report/report.html.j2``.
        content: what it needs; whatever is not `Markup` is escaped.
    """
    environment = Environment(
        loader=PackageLoader("pyswarmopt_llm", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    source, _, _ = environment.loader.get_source(environment, "reporting/report/page.css")  # type: ignore[union-attr]
    return environment.get_template(template).render(stylesheet=Markup(source), **content)


__all__ = ["render"]
