"""Numbers and mixtures as text, and pages from their templates: HTML escaped, model cards in
Markdown, nothing from the network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import yaml
from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup

from pyswarmopt.base.words import counted, cut, visible
from pyswarmopt_llm.common.events import (
    SMALL,
    duration,
    mixture_text,
    not_held_out,
    split_small_weights,
)

if TYPE_CHECKING:
    from pyswarmopt_llm.searching.scoring.result import Result, Scores


Interval = tuple[float, float]
UNIT = 5e-4  # a weight this close to 0 or 1 is 0 or 1
WEIGHTS = (
    "A weight scales what an expert contributes: a negative one subtracts it, and weights "
    "need not sum to 1."
)


def score_text(value: float | None, interval: Interval | None = None) -> str:
    """A score with its 95% interval.

    Example:
        >>> score_text(0.65432, (0.6, 0.7)), score_text(0.65432), score_text(None)
        ('0.654 [0.600, 0.700]', '0.654', '-')
    """
    if value is None:
        return "-"
    return (
        f"{value:.3f}"
        if interval is None
        else f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"
    )


def score(scores: Scores | None) -> str:
    """A model's score on a split."""
    return "-" if scores is None else score_text(scores.value, scores.interval)


def p_text(p_value: float) -> str:
    """A p-value.

    Example:
        >>> p_text(0.00009), p_text(0.0707), p_text(0.5)
        ('p < 0.001', 'p = 0.071', 'p = 0.50')
        >>> p_text(0.04996), p_text(0.0501)  # as far from 5% as it takes to tell
        ('p = 0.04996', 'p = 0.0501')
    """
    from pyswarmopt_llm.common.statistics import LEVEL  # with NumPy, which --help does without

    if p_value < 0.001:
        return "p < 0.001"
    digits = 3 if p_value < 0.1 else 2
    while p_value != LEVEL == float(f"{p_value:.{digits}f}"):
        digits += 1
    return f"p = {p_value:.{digits}f}"


def signed(value: float) -> str:
    """A difference; one that is not 0 is not written as 0.

    Example:
        >>> signed(0.0214), signed(-0.0002), signed(0.0)
        ('+0.021', '-0.0002', '+0.000')
    """
    text = f"{value:+.3f}"
    return f"{value:+.1g}" if value and not float(text) else text


def mixture_name(result: Result) -> str:
    """The search's result before any training, by the name of its weights if they have one.

    These are ``base``, ``sum of all experts``, ``average of all experts`` and ``expert NAME``; any
    other is a ``mixture``, or a ``graph``.
    """
    if result.graph is not None:
        return "graph"
    weights = result.coefficients
    if len(weights) < 2:
        return "mixture"
    equal = {"base": 0.0, "sum of all experts": 1.0, "average of all experts": 1 / len(weights)}
    for name, weight in equal.items():
        if all(abs(other - weight) < UNIT for other in weights.values()):
            return name
    used = [name for name, weight in weights.items() if abs(weight) >= UNIT]
    return f"expert {used[0]}" if len(used) == 1 and abs(weights[used[0]] - 1) < UNIT else "mixture"


FOLDER = "pyswarmopt_llm/report"
# Markup inside a line of text; what is markup only at the start of a line is not here.
_SPECIAL = re.compile(r"([\\`*_\[\]|~$])")


def one_line(value: object) -> str:
    """`value` with single spaces and no line breaks."""
    return " ".join(str(value).split())


def plain(value: object) -> str:
    """`value` as Markdown that renders as exactly that text, on one line.

    Example:
        >>> print(plain("a|b <i> [x](y)"))
        a\\|b &lt;i&gt; \\[x\\](y)
    """
    return _SPECIAL.sub(r"\\\1", escape(one_line(value), quote=False))


def code(value: object) -> str:
    """`value` as inline code on one line, fenced by more backticks than it has in a row.

    Example:
        >>> code("a`b")
        '`` a`b ``'
    """
    text = one_line(value)
    fence = "`" * (1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{fence} {text} {fence}" if "`" in text or not text else f"`{text}`"


def with_code(value: object) -> Markup:
    """A sentence as HTML: what it has in backticks is code.

    Example:
        >>> print(with_code("`a<b` is & stays"))
        <code>a&lt;b</code> is &amp; stays
    """
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(str(value))))


def render(template: str, **content: Any) -> str:
    """Render a model card, or a page that extends ``pyswarmopt_llm/report/page.html.j2``.

    Args:
        template: its package and its path there, for example
            ``pyswarmopt_llm/report/report.html.j2``.
        content: its variables; in HTML whatever is not `Markup` is escaped. A card is also read
            with `cat`, so its unsafe characters are shown as escapes.
    """
    text = _template(template).render(**content)
    return visible(text) if template.endswith(".md.j2") else text


def front_matter(content: Mapping[str, Any]) -> str:
    """The header of a card: YAML that gives its content back, unsafe characters as YAML's escapes.

    Example:
        >>> front_matter({"base": "org/b\\x1b", "licence": None})
        'base: "org/b\\\\e"\\nlicence: null'
    """
    text: str = yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True)
    if visible(text) != text:
        text = yaml.safe_dump(dict(content), sort_keys=False)
    return text.strip()


def words() -> Any:
    """The macros of ``words.txt.j2``, as functions that return text."""
    return _template(f"{FOLDER}/words.txt.j2").module


def said(about: str, *arguments: Any) -> list[str]:
    """The lines of a macro of ``words.txt.j2``."""
    return lines_of(getattr(words(), about)(*arguments))


def lines_of(text: str) -> list[str]:
    """The lines of a text that say something."""
    return [line.rstrip() for line in text.splitlines() if line.strip()]


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
    filters = (
        *(code, one_line, plain, with_code, counted, cut, duration, mixture_name, mixture_text),
        *(split_small_weights, not_held_out, score, signed, asdict),
    )
    environment.filters |= {"p": p_text, **{each.__name__: each for each in filters}}
    style = Markup(_source(f"{FOLDER}/page.css"))
    environment.globals |= {"smallest": SMALL, "about_weights": WEIGHTS, "stylesheet": style}
    environment.globals |= {"score_text": score_text, "said": said}
    return environment.get_template(name)
