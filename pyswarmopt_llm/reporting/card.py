"""The model card of a result: where it comes from, what it scores, how to reproduce it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.config import MAX_ITER, MODEL_SWARMS, PARTICLES
from pyswarmopt_llm.reporting.commands import as_typed, command_line, labelled, labelling_commands, near
from pyswarmopt_llm.reporting.summary import SMALL, WEIGHTS, dev_remark, folded, remarks, score_rows, score_text
from pyswarmopt_llm.reporting.verdict import verdict
from pyswarmopt_llm.spaces import SpaceKind, space_kind

if TYPE_CHECKING:
    from pyswarmopt_llm.reporting.front_matter import Form, Parent

# Markup inside a line of text; what is markup only at the start of a line is not here.
_SPECIAL = re.compile(r"([\\`*_\[\]|~$])")
MOST_CHOICES = 20  # named in a card
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


def _beginning(kind: SpaceKind, base: str, sentence: str, experts: str, header: str, writes: bool) -> list[str]:
    """The verdict, what was found, and how to use it where only this package can and it writes answers."""
    lines = [f"# {kind.title}", plain(sentence), kind.description.format(base=code(base), experts=experts)]
    if kind.library:
        return [header, *lines]
    command = ['    swarm-llm generate --base THIS_DIRECTORY "What do you want to know?"']
    return [*lines, *(command if writes else [])]


def _use(run: Mapping[str, Any], result: Mapping[str, Any]) -> list[str]:
    """How to label with it, where the task has choices. A card is published, so no question of the task is in it."""
    labelling = labelled(run, result)
    if labelling is None:
        return []
    task, form = labelling
    choices = [code(text) for text in (form.get("choices") or {}).values()]
    which = f"one of {', '.join(choices[:MOST_CHOICES])}" if choices else "one of a question's options"
    more = f" and {len(choices) - MOST_CHOICES} more" if len(choices) > MOST_CHOICES else ""
    scored = result.get("tasks", {}).get(task, result)["scoring"]
    sentence = f"It chooses {which}{more}, by the {scored} of each ({code(task)}), and is not meant to write."
    *_, (_, command) = labelling_commands(near(run["config"]), task, form)
    return ["## Use", sentence, "    " + " ".join(command.splitlines())]


def _scores(result: Mapping[str, Any]) -> str:
    lines = ["| | dev (95% interval) | test, held out (95% interval) |", "|---|---|---|"]
    for row in score_rows(result):
        dev, test = score_text(row.dev, row.dev_interval), score_text(row.test, row.test_interval)
        lines.append(f"| {plain(row.label)} | {dev} | {test} |")
    about_dev = dev_remark(result)
    return "\n".join([*lines, *(["", plain(about_dev)] if about_dev else [])])


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
        >>> method_text({"space": "delta", "start": "sums"})
        'Model Swarms, not as published (space delta, starts: sums)'
    """
    optimizer, space = config.get("optimizer", MODEL_SWARMS), config.get("space", "factor")
    if optimizer != MODEL_SWARMS:
        return f"{optimizer}, space {space}"
    released = config.get("compat") == "reference"
    source = "as in the authors' code" if released else "as published"
    departures = space_kind(space).departures(config)
    if departures:
        return f"Model Swarms, not {source} ({', '.join(departures)})"
    particles, most = config.get("particles", PARTICLES), config.get("max_iter", MAX_ITER)
    size = max(particles, len(config.get("experts", ())))
    return f"Model Swarms {source} ({counted(size, 'particle')}, at most {counted(most, 'iteration')})"


def model_card(
    run: Mapping[str, Any], result: Mapping[str, Any], parents: Sequence[Parent] = (), form: Form | None = None
) -> str:
    """The README.md of ``best/``, or of what it was exported to.

    Args:
        run: ``run.json``. Read are `config` (a `SearchConfig` as a dict) and, where there, `base_name`
            (the base's public name, if not `config["base"]`) and `versions` (package -> version).
        result: ``result.json``. Read are `coefficients`, `best_single`, the scores, `intervals`, `scoring`
            and `evaluations`.
        parents: base and experts, whose licences the result inherits.
        form: of the files; None: that of ``best/``.

    Returns:
        Markdown with YAML front matter; every name from outside is escaped.
    """
    # Texts of merges and reports use `plain` and `code`, and have no header.
    from pyswarmopt_llm.reporting.front_matter import ADAPTER, MODEL, front_matter, licence_remarks

    config = run["config"]
    base = str(run.get("base_name") or config["base"])
    space = config.get("space", "factor")
    versions = ", ".join(f"{name} {version}" for name, version in run.get("versions", {}).items())
    judged, weights = verdict(result), result["coefficients"]
    trained = "What it found was trained on the dev items." if result.get("trained") else "Nothing was trained."
    cited = "; Feng et al., 2024, arXiv:2410.11163" if config.get("optimizer", MODEL_SWARMS) == MODEL_SWARMS else ""
    found = (
        f"{counted(len(weights), 'expert')}, found by a search in {counted(result['evaluations'], 'evaluation')} with "
        f"{plain(method_text(config))}{cited}. {trained}"
    )
    kind = space_kind(space)
    form = form or (ADAPTER if kind.library == "peft" else MODEL)
    header = front_matter(base, form, parents, run, result)
    parts = [
        *_beginning(kind, base, judged.sentence, found, header, labelled(run, result) is None),
        *([plain(form.sentence)] if form.sentence else []),
        *_use(run, result),
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
        "    " + " ".join(command_line(near(as_typed(run))).splitlines()),
    ]
    if remarks_on_licences := licence_remarks(parents):
        parts[-2:-2] = ["## Licence", "\n".join(f"- {plain(line)}" for line in remarks_on_licences)]
    if versions:
        parts.append(f"With {plain(versions)}.")
    return "\n\n".join(parts) + "\n"
