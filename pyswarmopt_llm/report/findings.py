"""The findings of a finished search, in numbers and sentences, for terminal, report and card: the
verdict on it, and commands to copy: the search again, its result in use, what to do next.

The words are those of ``words.txt.j2``; here is which of them hold.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from pyswarmopt_llm.common.config import (
    SearchConfig,
    asks_server,
    changed,
    command,
    task_settings,
)
from pyswarmopt_llm.common.statistics import Comparison
from pyswarmopt_llm.report.pages import mixture_name, said, words
from pyswarmopt_llm.report.reading import headroom
from pyswarmopt_llm.scores.tasks.types import Form
from pyswarmopt_llm.searching.scoring.result import Model, Result
from pyswarmopt_llm.searching.scoring.run_directory import UNTRAINED, About


@dataclass(frozen=True)
class Verdict:
    """The meaning of a result.

    Attributes:
        kind: ``better``, ``level``, ``worse``, ``same`` (it is an expert itself), ``untested`` (no
            test split) or ``unpaired`` (no outcomes item by item).
        sentence: the result in words.
        reasons: what else was measured, the most telling first.
    """

    kind: str
    sentence: str
    reasons: tuple[str, ...] = ()


def verdict(result: Result) -> Verdict:
    """The verdict on a finished search, with at most two reasons."""
    test, alone = result.lead(), _alone(result)
    if alone:
        kind = "same"
    elif result.best.test is None or result.models["best_single"].test is None:
        kind = "untested"
    else:
        kind = "unpaired" if test is None else kind_of(test)
    sentence = " ".join(said("outcome", kind, result, test, alone))
    reasons = said("reasons", kind, result, result.lead(split="dev"), test)
    return Verdict(kind, sentence, tuple(reasons[:2]))


def kind_of(pair: Comparison) -> str:
    """``better``, ``level`` or ``worse``: the interval decides, and p says the same."""
    return {1: "better", 0: "level", -1: "worse"}[pair.sign]


def _alone(result: Result) -> str | None:
    """The result's name if it equals one of its sources, and no item is answered otherwise."""
    if result.best.trained or result.graph is not None:
        return None
    name = mixture_name(result)
    if name == "base":
        return "the base"
    pairs = [*result.by_task(split="dev").values(), *result.by_task().values()]
    changed = any(pair.gained or pair.lost for pair in pairs)
    best = name == f"expert {result.best_single}"
    return name if name.startswith("expert ") and not (best and changed) else None


@dataclass(frozen=True)
class Findings:
    """The findings of a search, computed once; templates ask ``words.txt.j2`` for the rest.

    Attributes:
        about: ``run.json``.
        result: ``result.json``.
        verdict: on the result.
        rows: label -> model, the rivals first and the result last.
        remarks: paired tests, the gap from dev to test, and whatever else a reader of the scores
            should know.
        steps: (purpose, command), what to do next.
        command: that searches again.
    """

    about: About
    result: Result
    verdict: Verdict
    rows: dict[str, Model]
    remarks: list[str]
    steps: list[tuple[str, str]]
    command: str


def findings(about: About, result: Result, out: str | None = None) -> Findings:
    """The findings of a run.

    Args:
        about: ``run.json``.
        result: ``result.json``.
        out: where the run is now; None: where it was begun.
    """
    judged, why = verdict(result), about.notes.get(UNTRAINED)
    if why is not None:
        judged = replace(judged, reasons=(*judged.reasons, f"Nothing was trained: {why}."))
    remarks = [*said("remarks", result, headroom(result)), *result.notes]
    return Findings(
        about,
        result,
        judged,
        score_rows(result),
        remarks=[line for line in remarks if line != why],
        steps=list(next_steps(judged.kind, about, result, out)),
        command=command_line(user_settings(about)),
    )


def score_rows(result: Result) -> dict[str, Model]:
    """Label -> model that was scored, the result last; what is a rival and the result, once."""
    rows, own = {}, result.models.get("trained")
    for line in said("labels", result, mixture_name(result)):
        name, _, label = line.partition(": ")
        model = result.models.get(name)
        if model and not (own and name.endswith("_tuned") and model.same(own)):
            rows[label] = model
    return rows


# Commands to copy

Step = tuple[str, str]  # purpose and command
_FIRST = ("base", "experts", "tasks", "prompts")  # of a command
_READING = (  # of a task
    *("metrics", "max_new_tokens", "columns", "template", "system", "thinking", "split_seed"),
    *("skip_bad_rows", "scoring", "allow_overlap"),
)


def command_line(config: SearchConfig) -> str:
    """The `swarm-llm search` command of a configuration, without default values.

    Example:
        >>> command_line(SearchConfig("b", ("x", "y z"), ("t.json",), "r", seed=3))
        "swarm-llm search --base b --experts x 'y z' --task t.json --out r --seed 3"
    """
    settings = dict.fromkeys(_FIRST) | asdict(config) | task_settings(config.tasks)
    return command("search", **changed(settings))


def user_settings(about: About) -> SearchConfig:
    """The configuration of a run without what the preset chose: what was given.

    Example:
        >>> config = SearchConfig("b", ("x",), ("t",), "r", preset="auto", space="delta", particles=8)
        >>> chosen = {"preset": "auto", "space": "delta"}
        >>> user_settings(About(config, {}, given={"particles": 8}, chosen=chosen)).space
        'auto'
    """
    defaults = {
        name: getattr(SearchConfig, name) for name in about.chosen if hasattr(SearchConfig, name)
    }
    return replace(about.config, **{**defaults, **about.given})


def comparison(about: About, best: str, expert: str) -> str:
    """The command that compares a result with an expert on all test items of a search's first task.

    Args:
        about: of the search.
        best: the result, an adapter of the search's base, or a model.
        expert: what it is compared with.

    Example:
        >>> config = SearchConfig("b", (), ("t.csv",), "r", space="delta", columns=("label=team",))
        >>> comparison(About(config, {}), "r/best", "e")
        'swarm-llm eval --base b --adapter r/best --task t.csv --columns label=team --against e'
        >>> comparison(About(SearchConfig("", (), ("t.json",), "r", space="full"), {}), "m", "n")
        'swarm-llm eval --base m --task t.json --against n'
        >>> two = SearchConfig("b", (), ("t",), "r", space="delta", metrics=("f1", "bleu"))
        >>> comparison(About(two, {}), "a", "e")
        'swarm-llm eval --base b --adapter a --task t --metric f1 --against e'
    """
    config = replace(about.config, metrics=about.config.metrics[:1])  # an evaluation has one
    reading = _READING if len(config.tasks) == 1 else ()  # of several tasks each may have its own
    model = {"base": config.base, "adapter": best} if about.kind.adapters else {"base": best}
    return command(
        "eval",
        **model,
        **task_settings(config.tasks[:1]),
        **changed({name: getattr(config, name) for name in reading}),
        against=expert,
        **dict(asks_server(config)),
    )


def usage(about: About, result: Result) -> Iterator[Step]:
    """Uses of the result: (purpose, code to copy)."""
    config = about.config
    best, library = f"{_run(config)}/best", about.kind.library
    if library:
        base = about.base_name or config.base
        yield f"Load it with {library}", words().loading(library, repr(base), repr(best)).strip()
    if (labelling := labelled(about, result)) is None:
        yield "Ask a question", f"{_on('generate', config)} 'YOUR QUESTION'"
    else:
        yield from labelling_commands(config, *labelling)
    if len(config.tasks) == 1:
        yield "Evaluate it again", _on("eval", config)


def _on(name: str, config: SearchConfig, **options: Any) -> str:
    """A command on a run; its server is named again."""
    return command(name, run=config.out, **options, **dict(asks_server(config)))


def labelled(about: About, result: Result) -> tuple[str, Form] | None:
    """The first task whose questions have choices, and their form; None without such a task."""
    for name, form in (about.forms or {}).items():
        objective = result.objectives.get(name)
        if objective is not None and objective.scoring in ("letter", "likelihood"):
            return name, form
    return None


def labelling_commands(config: SearchConfig, task: str, form: Form) -> Iterator[Step]:
    """(purpose, command): for a question of the search, if it is known, and, last, for a file.

    Args:
        config: the run's configuration.
        task: its name.
        form: of its questions.

    Example:
        >>> form = Form("body", {"A": "card", "B": "loan"}, None, "Lost it!")
        >>> [command for _, command in labelling_commands(SearchConfig("b", (), ("t.csv",), "r"), "t", form)]
        ["swarm-llm predict --run r --text 'Lost it!'", 'swarm-llm predict --run r new.csv --out labelled.csv']
    """
    predict = _on("predict", config, task=task if len(config.tasks) > 1 else None)
    if form.choices and form.example:
        yield "Label a question", f"{predict} {shlex.join(['--text', form.example])}"
    yield "Label new rows", f"{predict} new.csv --out labelled.csv"


def next_steps(kind: str, about: About, result: Result, out: str | None = None) -> Iterator[Step]:
    """(purpose, command): what to do after a verdict of that kind beside reading the report.

    Args:
        kind: of the `Verdict`.
        about: ``run.json``.
        result: ``result.json``.
        out: where the run is now; None: where it was begun.
    """
    config = replace(about.config, out=out or about.config.out)
    typed = replace(user_settings(about), out=config.out)
    run, untrained = _run(config), UNTRAINED in about.notes
    single = dict(zip(result.coefficients, config.experts, strict=False)).get(result.best_single)
    partly = any(about.left.values()) if about.left else config.test is not None
    if untrained:
        more = replace(typed, out=f"{run}-more")
        yield "train the result, too, with more examples", command_line(more)
    if partly and config.tasks and single and kind in ("better", "level"):
        yield "compare them on all test examples", comparison(about, f"{run}/best", single)
    if kind == "better":
        if (labelling := labelled(about, result)) is not None:
            *_, (_, line) = labelling_commands(config, *labelling)
            yield "label new rows", line
        elif about.kind.library:
            export = command("export", run, format="gguf", out=f"{run}-gguf")
            yield "run it in llama.cpp or Ollama", export
        yield "publish it", shlex.join(["hf", "upload", "YOUR-NAME/YOUR-MODEL", f"{run}/best"])
    elif not untrained:
        yield _again(typed)


def _again(config: SearchConfig) -> Step:
    """A search on more dev items where ``--dev`` held some back, else with another seed."""
    run = _run(config)
    if config.dev is not None:
        items = None if config.budget_items is None else 2 * config.budget_items
        more = replace(config, dev=2 * config.dev, budget_items=items, out=f"{run}-more")
        return "search on more dev examples", command_line(more)
    other = replace(config, seed=config.seed + 1, out=f"{run}-seed{config.seed + 1}")
    return "search with another seed", command_line(other)


def _run(config: SearchConfig) -> str:
    return config.out.rstrip("/")
