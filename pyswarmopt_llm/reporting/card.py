"""The model card of a result: where it comes from, what it scores, how to reproduce it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

import yaml

from pyswarmopt.cli.words import counted
from pyswarmopt_llm.common.config import RETIRED, SearchConfig
from pyswarmopt_llm.common.options import option_name, options_of
from pyswarmopt_llm.reporting.summary import by_weight, conclusion, remarks, score_rows, score_text
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


def command_line(config: Mapping[str, Any]) -> str:
    """The `swarm-llm search` command of a `SearchConfig` (as a dict), without default values.

    Example:
        >>> command_line({"base": "b", "experts": ["x", "y z"], "tasks": ["t.json"], "out": "r", "seed": 3})
        "swarm-llm search --base b --experts x 'y z' --task t.json --out r --seed 3"
    """
    options = options_of(SearchConfig)
    base = ["--base", config["base"]] if config["base"] else []
    words = ["swarm-llm", "search", *base, "--experts", *config["experts"]]
    for task in config["tasks"]:
        words += ["--task", task]
    words += ["--out", config["out"]]
    for key, value in config.items():
        if key in ("base", "experts", "tasks", "out", *RETIRED) or value in (getattr(SearchConfig, key), []):
            continue
        option = f"--{option_name(key, options.get(key))}"
        if key in options and options[key].commas:
            value = ",".join(value)
        for one in value if isinstance(value, list | tuple) else [value]:
            words += [option] + ([] if one is True else [str(one)])
    return shlex.join(words)


def _front_matter(base: str, library: str) -> str:
    tags = [*(["lora"] if library == "peft" else []), "model-swarms", "pyswarmopt"]
    header = {"base_model": " ".join(base.split()), "library_name": library, "tags": tags}
    return f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---"


def _beginning(kind: SpaceKind, base: str, experts: str) -> list[str]:
    """What was found, and how to use it where only this package can."""
    lines = [f"# {kind.title}", kind.description.format(base=code(base), experts=experts)]
    if kind.library:
        return [_front_matter(base, kind.library), *lines]
    return [*lines, '    swarm-llm generate --base THIS_DIRECTORY "What do you want to know?"']


def _scores(result: Mapping[str, Any]) -> str:
    lines = ["| | dev (95% interval) | test, held out (95% interval) |", "|---|---|---|"]
    for row in score_rows(result):
        dev, test = score_text(row.dev, row.dev_interval), score_text(row.test, row.test_interval)
        lines.append(f"| {plain(row.label)} | {dev} | {test} |")
    return "\n".join(lines)


def _experts(result: Mapping[str, Any]) -> str:
    lines = ["| expert | weight |", "|---|---|"]
    lines += [f"| {plain(name)} | {weight:+.3f} |" for name, weight in by_weight(result["coefficients"])]
    return "\n".join(lines)


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
    found = (
        f"{counted(len(result['coefficients']), 'expert')}, found by a search with Model Swarms (Feng et al., 2024, "
        f"arXiv:2410.11163) in {counted(result['evaluations'], 'evaluation')}. Nothing was trained."
    )
    parts = [
        *_beginning(space_kind(space), base, found),
        "## Scores",
        _scores(result),
        f"{plain(' '.join(conclusion(result)))} The search did not use test. Scoring: {plain(result['scoring'])}.",
        "\n".join(f"- {plain(line)}" for line in remarks(result)),
        "## Experts and their weights",
        _experts(result),
        f"Space: {code(space)}.",
        "## Data",
        "\n".join(f"- {code(task)}" for task in [*config["tasks"], *config.get("utilities", ())]),
        "## Reproduce",
        # An indented block cannot be closed from inside, whatever the paths hold.
        "    " + " ".join(command_line(config).splitlines()),
    ]
    if versions:
        parts.append(f"With {plain(versions)}.")
    return "\n\n".join(parts) + "\n"
