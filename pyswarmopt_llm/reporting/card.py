"""The model card that lies beside an adapter or a mixture: where it came from, what it scores, how to make it again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

import yaml

from pyswarmopt_llm.reporting.table import by_weight, remarks, score_rows, score_text, verdict
from pyswarmopt_llm.spaces import SpaceKind, space_kind

# Whatever Markdown could read as structure inside a line of text (what counts only at its start is not here).
_SPECIAL = re.compile(r"([\\`*_\[\]|~$])")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def plain(value: object) -> str:
    """`value` as Markdown that reads as exactly that text, on one line.

    Example:
        >>> print(plain("a|b <i> [x](y)"))
        a\\|b &lt;i&gt; \\[x\\](y)
    """
    text = " ".join(str(value).split())
    for sign, entity in _HTML.items():
        text = text.replace(sign, entity)
    return _SPECIAL.sub(r"\\\1", text)


def code(value: object) -> str:
    """`value` as inline code on one line, fenced by more backticks than it holds in a row.

    Example:
        >>> code("a`b")
        '`` a`b ``'
    """
    text = " ".join(str(value).split())
    fence = "`" * (1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{fence} {text} {fence}" if "`" in text or not text else f"`{text}`"


# Options that are called otherwise than what they set.
_OPTION = {"metrics": "metric", "utilities": "utility", "settings": "set", "one_by_one": "async"}


def command_line(config: Mapping[str, Any]) -> str:
    """The `swarm-llm search` that a `SearchConfig` (as a dict) stands for, without what is default.

    Example:
        >>> command_line({"base": "b", "experts": ["x", "y z"], "tasks": ["t.json"], "out": "r", "seed": 3})
        "swarm-llm search --base b --experts x 'y z' --task t.json --out r --seed 3"
    """
    from pyswarmopt_llm.common.config import RETIRED, SearchConfig

    base = ["--base", config["base"]] if config["base"] else []
    words = ["swarm-llm", "search", *base, "--experts", *config["experts"]]
    for task in config["tasks"]:
        words += ["--task", task]
    words += ["--out", config["out"]]
    for key, value in config.items():
        if key in ("base", "experts", "tasks", "out", *RETIRED) or value in (getattr(SearchConfig, key), []):
            continue
        option = f"--{_OPTION.get(key, key.replace('_', '-'))}"
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
    lines += [f"| {plain(name)} | {weight:+.4f} |" for name, weight in by_weight(result["coefficients"])]
    return "\n".join(lines)


def model_card(run: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """The README.md of ``best/``: a pure function of what the run wrote down.

    Args:
        run: ``run.json``. Read are `config` (a `SearchConfig` as a dict) and, where there, `base_name`
            (the base's public name, if not `config["base"]`) and `versions` (package -> version).
        result: ``result.json``. Read are `coefficients`, `best_single`, the scores, `intervals`, `scoring`
            and `evaluations`.

    Returns:
        Markdown with YAML front matter. Every name from outside is escaped.
    """
    config = run["config"]
    base = str(run.get("base_name") or config["base"])
    space = config.get("space", "factor")
    versions = ", ".join(f"{name} {version}" for name, version in run.get("versions", {}).items())
    found = (
        f"{len(result['coefficients'])} experts that a search with Model Swarms (Feng et al., 2024, arXiv:2410.11163) "
        f"found in {result['evaluations']} evaluations. Nothing was trained."
    )
    parts = [
        *_beginning(space_kind(space), base, found),
        "## Scores",
        _scores(result),
        f"{verdict(result)} Dev chose the mixture, so its dev score is optimistic; the search never saw "
        f"test. Scoring: {plain(result['scoring'])}.",
        "\n".join(f"- {plain(line)}" for line in remarks(result)),
        "## Experts and their weights",
        _experts(result),
        f"Mixed in the space {code(space)}.",
        "## Data",
        "\n".join(f"- {code(task)}" for task in [*config["tasks"], *config.get("utilities", ())]),
        "## How to make it again",
        # An indented block cannot be closed from inside, whatever the paths hold.
        "    " + " ".join(command_line(config).splitlines()),
    ]
    if versions:
        parts.append(f"With {plain(versions)}.")
    return "\n\n".join(parts) + "\n"
