"""The model card of a result: where it comes from, what it scores, how to reproduce it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from pyswarmopt.cli.words import counted
from pyswarmopt_llm.common.config import DEV_EXPERT, MODEL_SWARMS, SearchConfig
from pyswarmopt_llm.reporting.commands import command_line
from pyswarmopt_llm.reporting.summary import SMALL, WEIGHTS, folded, remarks, score_rows, score_text
from pyswarmopt_llm.reporting.verdict import verdict
from pyswarmopt_llm.spaces import SpaceKind, space_kind

# Markup inside a line of text; what is markup only at the start of a line is not here.
_SPECIAL = re.compile(r"([\\`*_\[\]|~$])")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def plain(value: object) -> str:
    """`value` as Markdown that renders as exactly that text, on one line.

    Example:
        >>> print(plain("a|b <i> [x](y)"))
        a\\|b &lt;i&gt; \\[x\\](y)
    """
    text = " ".join(str(value).split())
    for sign, entity in _HTML.items():
        text = text.replace(sign, entity)
    return _SPECIAL.sub(r"\\\1", text)


def code(value: object) -> str:
    """`value` as inline code on one line, fenced by more backticks than it has in a row.

    Example:
        >>> code("a`b")
        '`` a`b ``'
    """
    text = " ".join(str(value).split())
    fence = "`" * (1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{fence} {text} {fence}" if "`" in text or not text else f"`{text}`"


def _front_matter(base: str, library: str) -> str:
    tags = [*(["lora"] if library == "peft" else []), "model-swarms", "pyswarmopt"]
    header = {"base_model": " ".join(base.split()), "library_name": library, "tags": tags}
    return f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---"


def _beginning(kind: SpaceKind, base: str, sentence: str, experts: str) -> list[str]:
    """The verdict, what was found, and how to use it where only this package can."""
    lines = [f"# {kind.title}", plain(sentence), kind.description.format(base=code(base), experts=experts)]
    if kind.library:
        return [_front_matter(base, kind.library), *lines]
    return [*lines, '    swarm-llm generate --base THIS_DIRECTORY "What do you want to know?"']


def _scores(result: Mapping[str, Any]) -> str:
    lines = ["| | dev (95% interval) | test, held out (95% interval) |", "|---|---|---|"]
    for row in score_rows(result):
        dev, test = score_text(row.dev, row.dev_interval), score_text(row.test, row.test_interval)
        lines.append(f"| {plain(row.label)} | {dev} | {test} |")
    return "\n".join(lines)


def _experts(weights: Mapping[str, float]) -> str:
    large, rest = folded(weights)
    lines = ["| expert | weight |", "|---|---|", *(f"| {plain(name)} | {weight:.2f} |" for name, weight in large)]
    return "\n".join([*lines, *([f"| {len(rest)} more | below {SMALL} |"] if rest else [])])


def method_text(config: Mapping[str, Any]) -> str:
    """What searched, and in what it is not Model Swarms as published.

    Args:
        config: of ``run.json``.

    Example:
        >>> method_text({"particles": 10, "space": "factor"})
        'Model Swarms as published (10 particles, at most 50 iterations)'
        >>> method_text({"space": "delta", "start": "sums", "screen": 0.05})
        'Model Swarms, not as published (space delta, starts on sums, items screened at 0.05)'
    """
    optimizer, space = config.get("optimizer", MODEL_SWARMS), config.get("space", "factor")
    if optimizer != MODEL_SWARMS:
        return f"{optimizer}, space {space}"
    released = config.get("compat") == "reference"
    source = "as in the authors' code" if released else "as published"
    departures = space_kind(space).departures(config)
    if departures:
        return f"Model Swarms, not {source} ({', '.join(departures)})"
    particles, most = (config.get(name, getattr(SearchConfig, name)) for name in ("particles", "max_iter"))
    size = max(particles, len(config.get("experts", ())))
    return f"Model Swarms {source} ({counted(size, 'particle')}, at most {counted(most, 'iteration')})"


def model_card(run: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """The README.md of ``best/``, a pure function of the run's files.

    Args:
        run: ``run.json``. Read are `config` (a `SearchConfig` as a dict) and, where there, `base_name`
            (the base's public name, if not `config["base"]`) and `versions` (package -> version).
        result: ``result.json``. Read are `coefficients`, `best_single`, the scores, `intervals`, `scoring`
            and `evaluations`.

    Returns:
        Markdown with YAML front matter; every name from outside is escaped.
    """
    config = run["config"]
    base = str(run.get("base_name") or config["base"])
    space = config.get("space", "factor")
    versions = ", ".join(f"{name} {version}" for name, version in run.get("versions", {}).items())
    judged, weights = verdict(result), result["coefficients"]
    trained = "One of them was trained on the dev items." if DEV_EXPERT in weights else "Nothing was trained."
    cited = "; Feng et al., 2024, arXiv:2410.11163" if config.get("optimizer", MODEL_SWARMS) == MODEL_SWARMS else ""
    found = (
        f"{counted(len(weights), 'expert')}, found by a search in {counted(result['evaluations'], 'evaluation')} with "
        f"{plain(method_text(config))}{cited}. {trained}"
    )
    parts = [
        *_beginning(space_kind(space), base, judged.sentence, found),
        "## Scores",
        _scores(result),
        f"The search did not use test. Scoring: {plain(result['scoring'])}.",
        "\n".join(f"- {plain(line)}" for line in (*judged.reasons, *remarks(result))),
        "## Experts and their weights",
        _experts(weights),
        f"{WEIGHTS} Space: {code(space)}.",
        "## Data",
        "\n".join(f"- {code(task)}" for task in [*config["tasks"], *config.get("utilities", ())]),
        "## Reproduce",
        # An indented block cannot be closed from inside, whatever the paths hold.
        "    " + " ".join(command_line(config).splitlines()),
    ]
    if versions:
        parts.append(f"With {plain(versions)}.")
    return "\n\n".join(parts) + "\n"
