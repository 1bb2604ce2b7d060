"""The findings of a finished search, in numbers and sentences, for terminal, report and card: the
verdict on it, and commands to copy: the search again, its result in use, what to do next.

The words are those of ``words.txt.j2``; here is which of them hold.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.config import (
    PROMPTS,
    SearchConfig,
    asks_server,
    changed,
    command,
)
from pyswarmopt_llm.common.statistics import Comparison
from pyswarmopt_llm.report.pages import mixture_name, said, words
from pyswarmopt_llm.report.reading import headroom
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.scores.tasks.templates import placeholders, render_prompt
from pyswarmopt_llm.scores.tasks.types import Form, Item
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
    test, alone = result.compared["test"].get("best_single"), _alone(result)
    if alone:
        kind = "same"
    elif result.best.test is None or result.models["best_single"].test is None:
        kind = "untested"
    else:
        kind = "unpaired" if test is None else kind_of(test)
    sentence = " ".join(said("outcome", kind, result, alone))
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
    if about.kind.library and labelled(about, result):
        remarks += said("only_chooses")
    return Findings(
        about,
        result,
        judged,
        score_rows(result),
        remarks=[line for line in remarks if line != why],
        steps=list(next_steps(judged.kind, about, result, out)),
        command=command_line(with_relative_paths(user_settings(about))),
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
Labelling = tuple[str, Form | None] | None  # a task with choices, and the form of its questions
_FIRST = ("base", "experts", "tasks")  # of a command
_READING = (  # of a task
    *("metrics", "max_new_tokens", "columns", "labels", "template", "system", "thinking"),
    *("split_seed", "skip_bad_rows", "scoring", "allow_overlap"),
)


def command_line(config: SearchConfig) -> str:
    """The `swarm-llm search` command of a configuration, without default values.

    Example:
        >>> command_line(SearchConfig("b", ("x", "y z"), ("t.json",), "r", seed=3))
        "swarm-llm search --base b --experts x 'y z' --task t.json --out r --seed 3"
    """
    settings = dict.fromkeys(_FIRST) | asdict(config)
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


def evaluation(about: About, model: str, against: str | None = None) -> str:
    """The command that scores an adapter of a search's base, or a model, on test of its first task.

    Args:
        about: of the search.
        model: what is scored.
        against: what it is compared with.

    Example:
        >>> config = SearchConfig("b", (), ("t.csv",), "r", space="delta", columns=("label=team",))
        >>> evaluation(About(config, {}), "runs/a/best")
        'swarm-llm eval --base b --adapter runs/a/best --task t.csv --columns label=team'
        >>> evaluation(About(SearchConfig("", (), ("t.json",), "r", space="full"), {}), "m", against="n")
        'swarm-llm eval --base m --task t.json --against n'
        >>> two = SearchConfig("b", (), ("t",), "r", space="delta", metrics=("f1", "bleu"))
        >>> evaluation(About(two, {}), "a")
        'swarm-llm eval --base b --adapter a --task t --metric f1'
    """
    config, adapter = about.config, about.kind.adapters
    config = replace(config, metrics=config.metrics[:1])  # an evaluation has one
    reading = _READING if len(config.tasks) == 1 else ()  # of several tasks each may have its own
    return command(
        "eval",
        base=config.base if adapter else model,
        adapter=model if adapter else None,
        tasks=config.tasks[:1],
        against=against,
        **dict(asks_server(config)),
        **changed({name: getattr(config, name) for name in reading}),
    )


def with_relative_paths(config: SearchConfig) -> SearchConfig:
    """The configuration with paths below the working directory as seen from there.

    Example:
        >>> with_relative_paths(SearchConfig("org/base", ("/x/y",), (str(Path.cwd() / "t.csv"),), "r")).tasks
        ('t.csv',)
    """
    experts, tasks = tuple(map(_near, config.experts)), tuple(map(_near, config.tasks))
    base, out = _near(config.base), _near(config.out)
    return replace(config, experts=experts, tasks=tasks, base=base, out=out)


def _near(path: str) -> str:
    prefix = PROMPTS if path.startswith(PROMPTS) else ""
    here, below = Path.cwd(), Path(path.removeprefix(prefix))
    inside = below.is_absolute() and here in below.parents
    return f"{prefix}{below.relative_to(here)}" if inside else path


def usage(about: About, result: Result) -> Iterator[Step]:
    """Uses of the result: (purpose, code to copy)."""
    config = with_relative_paths(about.config)
    best, library = f"{_run(config)}/best", about.kind.library
    if library:
        base = about.base_name or config.base
        yield f"Load it with {library}", words().loading(library, repr(base), repr(best)).strip()
    if (labelling := labelled(about, result)) is None:
        yield "Ask a question", f"{_on('generate', config)} 'YOUR QUESTION'"
    else:
        yield from labelling_commands(config, *labelling)
        if code := labelling_code(about, result, best):
            yield "Label with PEFT, transformers or vLLM", code
    if len(config.tasks) == 1:
        yield "Evaluate it again", _on("eval", config, metrics=_metric(config))


def _metric(config: SearchConfig) -> str | None:
    """The metric that has to be named again."""
    if not config.metrics:
        return None
    from pyswarmopt_llm.scores.metrics.external.named_again import metric_to_name

    return metric_to_name(config)


def _on(name: str, config: SearchConfig, **options: Any) -> str:
    """A command on a run; its server is named again."""
    return command(name, run=config.out, **options, **dict(asks_server(config)))


def labelled(about: About, result: Result) -> Labelling:
    """The first task with choices and its form, None if unknown; None without such a task."""
    for name in about.task_names or about.forms or ():
        objective = result.objectives.get(name)
        if objective is None or objective.scoring not in ("letter", "likelihood"):
            continue
        if objective.metric != "perplexity" if about.forms is None else name in about.forms:
            return name, (about.forms or {}).get(name)
    return None


def labelling_code(about: About, result: Result, best: str) -> str:
    """Python that labels with the files in `best`; "" where labels are not known, or not all rows
    have the same.
    """
    task, form = labelled(about, result) or ("", None)
    if not about.kind.adapters or form is None or not form.choices:
        return ""
    scoring = result.objectives[task].answer_format or "likelihood"
    letters = scoring == "letter"
    replies = {text: letter if letters else text for letter, text in form.choices.items()}
    prompt = user_turn(form, scoring)
    texts = (about.base, best, replies, prompt, about.config.system)
    return str(words().labelling(*map(repr, texts), not letters)).strip()


def user_turn(form: Form | None, scoring: Scoring) -> str:
    """The user turn, with the names of columns in braces for what a question puts there."""
    choices = (None if form is None else form.choices) or {"A": "{option A}", "B": "{option B}"}
    template = None if form is None else form.prompt
    columns = {name: f"{{{name}}}" for name in placeholders(template)} if template else {}
    item = Item("", "{question}", dict(choices), "", meta=columns)
    return render_prompt(item, scoring, template)


def labelling_commands(config: SearchConfig, task: str, form: Form | None) -> Iterator[Step]:
    """(purpose, command): for a question of the search, if it is known, and, last, for a file.

    Args:
        config: the run's configuration.
        task: its name.
        form: of its questions, see `labelled`.

    Example:
        >>> form = Form("body", {"A": "card", "B": "loan"}, None, "Lost it!")
        >>> [command for _, command in labelling_commands(SearchConfig("b", (), ("t.csv",), "r"), "t", form)]
        ["swarm-llm predict --run r --text 'Lost it!'", 'swarm-llm predict --run r new.csv --out labelled.csv']
    """
    predict = _on("predict", config, task=task if len(config.tasks) > 1 else None)
    if form is not None and form.choices and form.example:
        yield "Label a question", f"{predict} {shlex.join(['--text', form.example])}"
    yield "Label new rows", f"{predict} new.csv --out labelled.csv"


def next_steps(kind: str, about: About, result: Result, out: str | None = None) -> Iterator[Step]:
    """(purpose, command): what to do after a verdict of that kind beside reading the report, one to
    three things.

    Args:
        kind: of the `Verdict`.
        about: ``run.json``.
        result: ``result.json``.
        out: where the run is now; None: where it was begun.
    """
    config = with_relative_paths(replace(about.config, out=out or about.config.out))
    here, run = replace(about, config=config), _run(config)
    typed = replace(with_relative_paths(user_settings(about)), out=config.out)
    if UNTRAINED in about.notes:
        more = replace(typed, out=f"{run}-more")
        yield "train the result, too, with more examples", command_line(more)
    single = dict(zip(result.coefficients, config.experts, strict=False)).get(result.best_single)
    given = config.test is not None
    partly = bool(config.tasks) and (any(about.left.values()) if about.left else given)
    if kind == "better" and result.outdone_by is None:
        yield from _after_success(here, labelled(about, result), partly)
        return
    if result.outdone_by == "base_tuned" and result.expert_iteration is None:
        yield "score the plain fine-tuning of the base", evaluation(here, f"{run}/trained/base/all")
    if kind in ("worse", "same") and config.tasks and single:
        yield "score that expert", evaluation(here, single)
    elif kind == "level" and partly and single:
        yield "compare them on all test examples", evaluation(here, f"{run}/best", against=single)
    if UNTRAINED not in about.notes:
        yield _again(typed)


def _after_success(about: About, labelling: Labelling, partly: bool) -> Iterator[Step]:
    """Use the result, and publish it; `partly`: not all test items were scored."""
    run = _run(about.config)
    if labelling is not None:
        *_, (purpose, line) = labelling_commands(about.config, *labelling)
        yield purpose[0].lower() + purpose[1:], line
    if partly:
        yield "score it on all test examples", evaluation(about, f"{run}/best")
    elif about.kind.library and labelling is None:
        export = command("export", run, format="gguf", out=f"{run}-gguf")
        yield "run it in llama.cpp or Ollama", export
    yield "publish it", shlex.join(["hf", "upload", "YOUR-NAME/YOUR-MODEL", f"{run}/best"])


def _again(config: SearchConfig) -> Step:
    """A search on more dev items where ``--dev`` held some back, else with another seed."""
    if config.dev is not None:
        items = None if config.budget_items is None else 2 * config.budget_items
        more = replace(config, dev=2 * config.dev, budget_items=items, out=f"{_run(config)}-more")
        return "search on more dev examples", command_line(more)
    seed = config.seed + 1
    other = replace(config, seed=seed, out=f"{_run(config)}-seed{seed}")
    return "search with another seed", command_line(other)


def _run(config: SearchConfig) -> str:
    return config.out.rstrip("/")
