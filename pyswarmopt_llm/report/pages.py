"""Pages from templates: escaped HTML, and Markdown cards; nothing from the network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

import yaml
from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup

from pyswarmopt.base.words import counted, cut, visible
from pyswarmopt_llm.common.events import duration, mixture_text
from pyswarmopt_llm.report.phrases import about_weights, one_line, score_text

# Inline markup; characters that are markup only at the start of a line are not here.
_SPECIAL = re.compile(r"([\\`*_\[\]|~$])")


def plain(value: object) -> str:
    """`value` as Markdown that renders as exactly that text, on one line.

    Example:
        >>> print(plain("a|b <i> [x](y)"))
        a\\|b &lt;i&gt; \\[x\\](y)
    """
    return _SPECIAL.sub(r"\\\1", escape(one_line(value), quote=False))


def code(value: object) -> str:
    """`value` as inline code on one line, its backticks as quotes.

    Example:
        >>> code("a`b")
        "`a'b`"
    """
    return "`" + one_line(value).replace("`", "'") + "`"


def upper_first(text: str) -> str:
    """`text` with its first letter capitalised.

    Example:
        >>> upper_first("publish it")
        'Publish it'
    """
    return text[:1].upper() + text[1:]


def render(template: str, **content: Any) -> str:
    """Render a card, or a page that extends ``pyswarmopt_llm/report/page.html.j2``.

    Args:
        template: package and path, for example ``pyswarmopt_llm/report/report.html.j2``.
        content: variables; HTML escapes all but `Markup`. A card is also read with `cat`, so unsafe
            characters are shown as escapes.
    """
    text = _template(template).render(**content)
    if template.endswith(".md.j2"):
        return visible(text)
    return text


def front_matter(content: Mapping[str, Any]) -> str:
    """The header of a card: YAML that reads back as `content`, with unsafe characters escaped.

    Example:
        >>> front_matter({"base": "org/b\\x1b", "licence": None})
        'base: "org/b\\\\e"\\nlicence: null'
    """
    return str(yaml.safe_dump(dict(content), sort_keys=False)).strip()


def _source(name: str) -> str:
    package, _, path = name.partition("/")
    return (files(package) / path).read_text("utf-8")


@cache
def _template(name: str) -> Template:
    environment = Environment(
        loader=FunctionLoader(_source),
        autoescape=name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    texts = (code, one_line, plain, cut, upper_first)
    for function in (*texts, counted, duration, mixture_text, score_text):
        environment.filters[function.__name__] = function
    environment.globals["about_weights"] = about_weights
    environment.globals["stylesheet"] = Markup(_source("pyswarmopt_llm/report/page.css"))
    return environment.get_template(name)
