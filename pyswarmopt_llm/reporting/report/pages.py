"""Frame and stylesheet of all HTML pages: everything escaped, nothing from the network."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def render(template: str, **content: Any) -> str:
    """Render a page that extends ``reporting/report/page.html.j2``.

    Args:
        template: path relative to the package, for example ``reporting/report/report.html.j2``.
        content: its variables; whatever is not `Markup` is escaped.
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
