"""Pages from their templates: HTML escaped, model cards in Markdown, nothing from the network."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, PrefixLoader, StrictUndefined, Template
from markupsafe import Markup

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.words import SMALL, duration, not_held_out
from pyswarmopt_llm.report.summary import (
    WEIGHTS,
    mixture_name,
    p_text,
    score,
    score_text,
)

FOLDER = "pyswarmopt_llm/report"
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
    """Render a model card, or a page that extends ``pyswarmopt_llm/report/page.html.j2``.

    Args:
        template: its package and its path there, for example
            ``pyswarmopt_llm/report/report.html.j2``.
        content: its variables; in HTML whatever is not `Markup` is escaped.
    """
    return _template(template).render(**content)


def words() -> Any:
    """The macros of ``words.txt.j2``, as functions that return text."""
    return _template(f"{FOLDER}/words.txt.j2").module


def lines_of(text: str) -> list[str]:
    """The lines of a text that say something."""
    return [line.rstrip() for line in text.splitlines() if line.strip()]


@cache
def _template(name: str) -> Template:
    packages = {FOLDER.partition("/")[0], name.partition("/")[0]}
    environment = Environment(
        loader=PrefixLoader({package: PackageLoader(package, ".") for package in packages}),
        autoescape=name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (code, one_line, plain, counted, duration, mixture_name, not_held_out, score)
    environment.filters |= {"p": p_text, **{each.__name__: each for each in filters}}
    style = Markup((files("pyswarmopt_llm.report") / "page.css").read_text("utf-8"))
    environment.globals |= {"smallest": SMALL, "about_weights": WEIGHTS, "stylesheet": style}
    environment.globals["score_text"] = score_text
    return environment.get_template(name)
