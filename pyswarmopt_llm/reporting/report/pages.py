"""Rendering of all pages from their templates: HTML escaped, model cards in Markdown, nothing from the network."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, PrefixLoader, StrictUndefined
from markupsafe import Markup

from pyswarmopt_llm.reporting.card import code, one_line, plain
from pyswarmopt_llm.reporting.summary import SMALL, WEIGHTS, score_text

LAYER = "pyswarmopt_llm"
FOLDER = f"{LAYER}/reporting/report"


def render(template: str, **content: Any) -> str:
    """Render a model card, or a page that extends ``pyswarmopt_llm/reporting/report/page.html.j2``.

    Args:
        template: its package and its path there, for example
            ``pyswarmopt_llm/reporting/report/report.html.j2``.
        content: its variables; in HTML whatever is not `Markup` is escaped.
    """
    packages = {LAYER, template.partition("/")[0]}
    loaders = {package: PackageLoader(package, ".") for package in packages}
    environment = Environment(
        loader=PrefixLoader(loaders),
        autoescape=template.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"code": code, "one_line": one_line, "plain": plain}
    environment.globals |= {"score_text": score_text, "smallest": SMALL, "about_weights": WEIGHTS}
    source, _, _ = environment.loader.get_source(environment, f"{FOLDER}/page.css")  # type: ignore[union-attr]
    return environment.get_template(template).render(stylesheet=Markup(source), **content)
