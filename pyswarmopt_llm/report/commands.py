"""Commands and code to copy: the search again, its result in use, what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.config import (
    PROMPTS,
    SearchConfig,
    asks_server,
    changed,
    command,
    task_settings,
)
from pyswarmopt_llm.report.pages import words
from pyswarmopt_llm.scores.tasks.types import Form
from pyswarmopt_llm.searching.scoring.result import Result
from pyswarmopt_llm.searching.scoring.run_directory import UNTRAINED, About

Step = tuple[str, str]  # purpose and command
Labelling = tuple[str, Form | None] | None  # a task with choices, and the form of its questions
_NAMED = ("base", "experts", "tasks", "out")
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
    others = {name: value for name, value in asdict(config).items() if name not in _NAMED}
    return command(
        "search",
        base=config.base,
        experts=config.experts,
        **task_settings(config.tasks),
        out=config.out,
        **changed(others),
    )


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
        **task_settings(config.tasks[:1]),
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
    if len(config.tasks) == 1:
        yield "Evaluate it again", _on("eval", config)


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
    if kind == "better":
        yield from _after_success(here, labelled(about, result), partly)
        return
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
