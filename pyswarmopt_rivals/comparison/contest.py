"""The comparison: every method on every task and seed, the cheapest first, stored as it goes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.fingerprint import digest, versions
from pyswarmopt_llm.common.files.regular import user_path, write_json, write_text
from pyswarmopt_llm.common.optimizers import check_optimizer
from pyswarmopt_llm.common.options import check_options
from pyswarmopt_llm.engine.load import load_engine
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.experts.adapter import Adapter, load_adapter
from pyswarmopt_llm.experts.base import BaseModel, refuse_quantised, resolve_base
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.experts.files import refuse_unmatched
from pyswarmopt_llm.mix import build_space
from pyswarmopt_llm.scores.metrics.objectives import find_metrics, load_tasks
from pyswarmopt_llm.scores.metrics.questions.context_window import check_window
from pyswarmopt_llm.scores.metrics.questions.sampling import Sampling
from pyswarmopt_llm.scores.metrics.registry import Metric
from pyswarmopt_llm.scores.tasks import Scoring, Task
from pyswarmopt_llm.searching.scoring.record import pack
from pyswarmopt_rivals.comparison.bench import Bench, Chats, task_scoring
from pyswarmopt_rivals.comparison.config import CompareConfig
from pyswarmopt_rivals.comparison.contestants import (
    Contestant,
    Entry,
    Outcome,
    missing_for,
    optimizer_of,
    ordered,
    run,
    why_not,
)
from pyswarmopt_rivals.comparison.page import render_page
from pyswarmopt_rivals.comparison.store import Store, check_place, opened
from pyswarmopt_rivals.comparison.summary import summarise
from pyswarmopt_rivals.comparison.table import markdown

log = logging.getLogger(__name__)

OnStep = Callable[["Step"], None]


@dataclass(frozen=True)
class Step:
    """One method begun or finished, for a progress display."""

    done: int  # entries finished, over tasks, methods and seeds
    total: int
    task: str
    method: str
    seed: int
    outcome: Mapping[str, Any] | None = None  # the row of ``outcomes.jsonl``; None while it runs


def compare(config: CompareConfig, on_step: OnStep | None = None) -> dict[str, Any]:
    """Run all that has not run yet, and write ``compare.json``, ``compare.md`` and
    ``compare.html``.

    Args:
        config: which methods, on which tasks, with which budget.
        on_step: called before and after each entry.

    Returns:
        The content of ``compare.json``: ``methods``: name -> ``dev``, ``test``, ``dev_interval``,
            ``test_interval``,
        ``item_evaluations``, ``seconds``, ...; with several tasks these are means over tasks, and
        ``tasks`` has each.

    Raises:
        UserError: bad input, before anything is written.
        KeyboardInterrupt: on Ctrl-C; the same call resumes.
    """
    inputs, contestants, engine = prepare(config)
    with opened(config, inputs.fingerprints, versions()) as store:
        benches = []
        for name, task in inputs.tasks.items():
            scoring = task_scoring(
                task, config.scoring, engine, inputs.experts, store, inputs.metrics[name]
            )
            benches.append(inputs.bench(name, engine, scoring, store))
        pairs = [(who, bench) for who in contestants for bench in benches]
        left_out = {
            who.name: why
            for who, bench in pairs
            if (why := why_not(who, bench, config.budget_items))
        }
        entries = list(planned_entries(config, contestants, benches))
        if not entries:
            raise InvalidOption(
                "methods",
                None,
                f"none can take part; {'; '.join(map(': '.join, left_out.items()))}",
            )
        try:
            _run_all(store, entries, on_step or (lambda step: None))
        finally:  # an interrupted comparison shows what it has
            begun = [b for b in benches if any(task == b.task.name for task, *_ in store.outcomes)]
            if begun:
                scored = {
                    b.task.name: {"scoring": b.scoring, "metric": b.metric.name} for b in begun
                }
                result = summarise(config, store, scored, left_out, len(inputs.experts))
                result |= {"notes": inputs.notes} if inputs.notes else {}
                folder = user_path(config.out)
                write_json(folder / "compare.json", result)
                write_text(folder / "compare.md", markdown(result))
                write_text(folder / "compare.html", render_page(result))
        return result


@dataclass(frozen=True)
class Inputs:
    """The tasks, experts and metrics of a configuration, read and checked."""

    base: BaseModel
    experts: list[Adapter]
    tasks: Mapping[str, Task]
    metrics: Mapping[str, Metric]
    chats: Chats

    @property
    def fewest_items(self) -> int:
        return min(len(task.dev) for task in self.tasks.values())

    @property
    def notes(self) -> list[str]:
        """The draw of dev and test of tasks without a split."""
        return [task.note for task in self.tasks.values() if task.note]

    def bench(self, name: str, engine: TransformersEngine, scoring: Scoring, store: Store) -> Bench:
        """A task as the methods see it."""
        task, metric = self.tasks[name], self.metrics[name]
        return Bench(self.base, engine, self.experts, task, scoring, store, self.chats, metric)

    @property
    def fingerprints(self) -> dict[str, Any]:
        return {
            "base": self.base.fingerprint,
            "experts": {expert.info.name: expert.info.fingerprint for expert in self.experts},
            "tasks": {
                name: _task_print(task, self.metrics[name]) for name, task in self.tasks.items()
            },
            "data": {name: digest(list(examples)) for name, examples in self.chats.items()},
        }


def prepare(config: CompareConfig) -> tuple[Inputs, list[Contestant], TransformersEngine]:
    """The parts of a comparison: the input, the methods that take part, and the resident base.

    Raises:
        UserError: bad input, or an output directory of another comparison.
    """
    check_settings(config)
    check_place(config)
    inputs = load_inputs(config)
    contestants = ordered(
        config.methods, len(inputs.experts), inputs.fewest_items, config.budget_items
    )
    engine = load_engine(inputs.base, config.dtype, config.device, config.threads)
    for name, task in inputs.tasks.items():
        check_window(task, config.scoring, engine, metric=inputs.metrics[name])
    return inputs, contestants, engine


def load_inputs(config: CompareConfig) -> Inputs:
    """Read all but the base's weights."""
    tasks = load_tasks(config, config.tasks)
    if not tasks:
        raise UserError("no task; give one with `task`, or `prompts` and `metric`")
    metrics = find_metrics(
        tasks,
        config.metrics,
        device=config.device,
        new_tokens=config.max_new_tokens,
        sampling=Sampling.of(config.temperature, config.samples, 0),
    )
    base = resolve_base(config.base)
    refuse_quantised(base)
    report = inspect_experts(config.experts, base)
    report.require(config.space)
    experts = [load_adapter(info) for info in report.experts]
    build_space(config.space, experts)  # refuses what it cannot mix
    chats = _load_chats(config, [info.name for info in report.experts])
    for task in tasks.values():
        if len(task.dev) > config.budget_items:
            needed = (
                f"below the {len(task.dev)} dev items of {task.name}, which one evaluation takes"
            )
            raise InvalidOption(
                "budget_items", config.budget_items, f"{needed}; raise it, or lower `dev`"
            )
    return Inputs(base, experts, tasks, metrics, chats)


def _task_print(task: Task, metric: Metric) -> str:
    """Fingerprint of items, prompt and metric; accuracy is left out, as in earlier versions."""
    named = [] if metric.name == "accuracy" else [metric.name]
    named += [metric.fingerprint] if metric.fingerprint else []
    return digest([task.fingerprint, task.prompt, *named])


def _load_chats(config: CompareConfig, experts: Sequence[str]) -> Chats:
    """Expert name -> training chats."""
    from pyswarmopt_llm.searching.training.examples import load_examples

    chats = {}
    for name, spec in config.data:
        if name not in experts:
            raise InvalidOption(
                "data",
                f"{name}={spec}",
                f"no expert is called {name}; there are {', '.join(experts)}",
            )
        chats[name] = load_examples(spec, config.examples, 0)
    return chats


def check_settings(config: CompareConfig) -> None:
    """Refuse settings that are out of range or unknown."""
    refuse_unmatched(config.experts)
    if len(config.experts) < 2:
        raise InvalidOption(
            "experts",
            None,
            f"{len(config.experts)} given, a comparison mixes at least 2; name more",
        )
    check_options(config)
    for who in ordered(config.methods, len(config.experts), 1, config.budget_items):
        if who.kind == "optimizer" and missing_for(who) is None:
            check_optimizer(optimizer_of(who.name))


def planned_entries(
    config: CompareConfig, contestants: Sequence[Contestant], benches: Sequence[Bench]
) -> Iterator[Entry]:
    """Seed by seed, so that an interrupted comparison has every method's first seed first."""
    for seed in range(config.seeds):
        for who in contestants:
            for bench in benches:
                if (seed == 0 or who.chance) and why_not(who, bench, config.budget_items) is None:
                    yield Entry(
                        who, bench, seed, config.budget_items, config.space, config.particles
                    )


def _run_all(store: Store, entries: Sequence[Entry], on_step: OnStep) -> None:
    for done, entry in enumerate(entries):
        if entry.key not in store.outcomes:
            on_step(Step(done, len(entries), *entry.key))
            began = time.perf_counter()
            store.add_outcome(_row(entry, run(entry)))
            log.info("%s: %.1f s", " ".join(map(str, entry.key)), time.perf_counter() - began)
        on_step(Step(done + 1, len(entries), *entry.key, store.outcomes[entry.key]))


def _row(entry: Entry, outcome: Outcome) -> dict[str, Any]:
    task, method, seed = entry.key
    return {
        "task": task,
        "method": method,
        "seed": seed,
        "dev": pack(outcome.dev.per_item),
        "test": None if outcome.test is None else pack(outcome.test.per_item),
        "items": outcome.items,
        "seconds": round(outcome.seconds, 3),
        "models": outcome.models,
        "tokens": None if outcome.tokens is None else round(outcome.tokens, 1),
        "trace": _corners(outcome.trace),
        "rank": outcome.rank,
        **({"relative_error": outcome.error} if outcome.error else {}),
    }


def _corners(trace: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """The points at which a staircase rises, and its end."""
    kept = [point for i, point in enumerate(trace) if i == 0 or point[1] > trace[i - 1][1]]
    return kept if not trace or kept[-1] == trace[-1] else [*kept, trace[-1]]
