"""Frame and stylesheet of all HTML pages: everything escaped, nothing from the network."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, PrefixLoader, StrictUndefined
from markupsafe import Markup

LAYER = "pyswarmopt_llm"
FOLDER = f"{LAYER}/reporting/report"


def render(template: str, **content: Any) -> str:
    """Render a page that extends ``pyswarmopt_llm/reporting/report/page.html.j2``.

    Args:
        template: its package and its path there, for example
            ``pyswarmopt_llm/reporting/report/report.html.j2``.
        content: its variables; whatever is not `Markup` is escaped.
    """
    packages = {LAYER, template.partition("/")[0]}
    loaders = {package: PackageLoader(package, ".") for package in packages}
    environment = Environment(
        loader=PrefixLoader(loaders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    source, _, _ = environment.loader.get_source(environment, f"{FOLDER}/page.css")  # type: ignore[union-attr]
    return environment.get_template(template).render(stylesheet=Markup(source), **content)
