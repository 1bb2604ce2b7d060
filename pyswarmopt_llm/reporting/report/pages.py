"""Pages from their templates: HTML escaped, model cards in Markdown, nothing from the network."""

from __future__ import annotations

import re
from typing import Any

from jinja2 import Environment, PackageLoader, PrefixLoader, StrictUndefined
from markupsafe import Markup

from pyswarmopt.base.words import counted
from pyswarmopt_llm.reporting.summary import SMALL, WEIGHTS, not_held_out, p_text, score_text

LAYER = "pyswarmopt_llm"
FOLDER = f"{LAYER}/reporting/report"
# Markup inside a line of text; what is markup only at the start of a line is not here.
_SPECIAL = re.compile(r"([\\`*_\[\]|~$])")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def one_line(value: object) -> str:
    """`value` with single spaces and no line breaks."""
    return " ".join(str(value).split())


def plain(value: object) -> str:
    """`value` as Markdown that renders as exactly that text, on one line.

    Example:
        >>> print(plain("a|b <i> [x](y)"))
        a\\|b &lt;i&gt; \\[x\\](y)
    """
    text = one_line(value)
    for sign, entity in _HTML.items():
        text = text.replace(sign, entity)
    return _SPECIAL.sub(r"\\\1", text)


def code(value: object) -> str:
    """`value` as inline code on one line, fenced by more backticks than it has in a row.

    Example:
        >>> code("a`b")
        '`` a`b ``'
    """
    text = one_line(value)
    fence = "`" * (1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{fence} {text} {fence}" if "`" in text or not text else f"`{text}`"


def render(template: str, **content: Any) -> str:
    """Render a model card, or a page that extends ``pyswarmopt_llm/reporting/report/page.html.j2``.

    Args:
        template: its package and its path there, for example
            ``pyswarmopt_llm/reporting/report/report.html.j2``.
        content: its variables; in HTML whatever is not `Markup` is escaped.
    """
    environment = _environment(template)
    source, _, _ = environment.loader.get_source(environment, f"{FOLDER}/page.css")  # type: ignore[union-attr]
    return environment.get_template(template).render(stylesheet=Markup(source), **content)


def sentences(template: str) -> Any:
    """The macros of a template of sentences, as functions that return text."""
    return _environment(template).get_template(template).module


def _environment(template: str) -> Environment:
    packages = {LAYER, template.partition("/")[0]}
    loaders = {package: PackageLoader(package, ".") for package in packages}
    environment = Environment(
        loader=PrefixLoader(loaders),
        autoescape=template.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"code": code, "one_line": one_line, "plain": plain, "p": p_text}
    environment.filters |= {"counted": counted, "not_held_out": not_held_out}
    environment.globals |= {"score_text": score_text, "smallest": SMALL, "about_weights": WEIGHTS}
    return environment
