"""Pages from templates: escaped HTML, and Markdown cards; nothing from the network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from pyswarmopt.base.words import counted, cut, visible
from pyswarmopt_llm.common.events import duration, mixture_text
from pyswarmopt_llm.report.phrases import one_line, score_text

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
        content: variables; HTML escapes all but `Markup`. A card is also read with `cat`, and the
            order of a page's text can be reversed, so unsafe characters are shown as escapes.
    """
    return visible(_PAGES.get_template(template).render(**content))


def front_matter(content: Mapping[str, Any]) -> str:
    """The header of a card: YAML that reads back as `content`, with unsafe characters escaped.

    Example:
        >>> front_matter({"base": "org/b\\x1b", "licence": None})
        'base: "org/b\\\\e"\\nlicence: null'
    """
    return str(yaml.safe_dump(dict(content), sort_keys=False)).strip()


_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parents[2]),
    autoescape=select_autoescape(["html.j2"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_FILTERS = (code, one_line, plain, cut, upper_first, counted, duration, mixture_text, score_text)
_PAGES.filters |= {function.__name__: function for function in _FILTERS}
