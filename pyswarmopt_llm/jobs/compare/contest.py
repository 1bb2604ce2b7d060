"""The comparison: every contestant on every task and seed, the cheapest first, written down as it goes."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.paths import user_path
from pyswarmopt_llm.common.fingerprint import canonical
from pyswarmopt_llm.common.options import check_options
from pyswarmopt_llm.evaluation.record import pack
from pyswarmopt_llm.jobs.compare.bench import Bench, Chats
from pyswarmopt_llm.jobs.compare.config import CompareConfig
from pyswarmopt_llm.jobs.compare.contestants import PAPER, Contestant, Outcome, ordered, run, why_not
from pyswarmopt_llm.jobs.compare.store import Store, check_place, opened
from pyswarmopt_llm.jobs.compare.summary import summarise, write_tables
from pyswarmopt_llm.jobs.search.prepare import versions
from pyswarmopt_llm.jobs.search.validate import check_askable
from pyswarmopt_llm.metrics.objectives import find_metrics, load_tasks, scorings_of
from pyswarmopt_llm.metrics.questions.answer_format import beats_chance, trial_of
from pyswarmopt_llm.metrics.registry import METRICS, Metric
from pyswarmopt_llm.models import resolve_base
from pyswarmopt_llm.models.adapters.adapter import load_adapter
from pyswarmopt_llm.models.adapters.compatibility import inspect_experts
from pyswarmopt_llm.spaces import build_space
from pyswarmopt_llm.spaces.load import load_engine
from pyswarmopt_llm.tasks import Scoring, Task

log = logging.getLogger(__name__)

OnStep = Callable[["Step"], None]


@dataclass(frozen=True)
class Step:
    """One contestant, begun or finished, for whoever shows progress.

    Attributes:
        done, total: contestants finished and in all, over tasks and seeds.
        task, method, seed: which.
        outcome: the row of ``outcomes.jsonl``; None while it is at work.
    """

    done: int
    total: int
    task: str
    method: str
    seed: int
    outcome: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class _Entry:
    bench: Bench
    who: Contestant
    seed: int


def compare(config: CompareConfig, on_step: OnStep | None = None) -> dict[str, Any]:
    """Run all that has not run yet, and write ``compare.json``, ``compare.md`` and ``compare.html``.

    Args:
        config: who competes, on what, with which budget.
        on_step: told before and after each contestant.

    Returns:
        The content of ``compare.json``: ``methods``: name -> ``dev``, ``test``, ``dev_interval``, ``test_interval``,
        ``item_evaluations``, ``seconds``, ...; with several tasks these are means over tasks, and ``tasks`` has each.

    Raises:
        UserError: bad input, before anything is written.
        KeyboardInterrupt: as ever; the same call goes on where it stopped.
    """
    _check_settings(config)
    check_place(config)
    tasks = load_tasks(config.tasks, config.dev, config.test, config.allow_overlap)
    if not tasks:
        raise UserError("no task; give one with --task")
    metrics = find_metrics(tasks, device=config.device)
    base = resolve_base(config.base)
    report = inspect_experts(config.experts, base)
    report.require(config.space)
    experts = [load_adapter(info) for info in report.experts]
    build_space(config.space, experts)  # refuses what it cannot mix, before anything is written
    chats = _load_chats(config, [info.name for info in report.experts])
    most = min(len(task.dev) for task in tasks.values())
    contestants = ordered(config.methods, len(experts), most, config.budget_items)
    for task in tasks.values():
        if len(task.dev) > config.budget_items:
            raise UserError(
                f"--budget-items {config.budget_items}: below the {len(task.dev)} dev items of {task.name}, which one "
                "scoring asks; raise it, or lower --dev"
            )
    engine = load_engine(base, config.dtype, config.device, config.threads)
    for name, task in tasks.items():
        check_askable(task, config.scoring, engine, metric=metrics[name])
    fingerprints = {
        "base": base.fingerprint,
        "experts": {info.name: info.fingerprint for info in report.experts},
        "tasks": {name: _task_print(task, metrics[name]) for name, task in tasks.items()},
        "data": {name: hashlib.sha256(canonical(list(own))).hexdigest() for name, own in chats.items()},
    }
    with opened(config, fingerprints, versions()) as store:
        benches = []
        for name, task in tasks.items():
            scoring = choose_scoring(task, config.scoring, engine, experts, store, metrics[name])
            benches.append(Bench(base, engine, experts, task, scoring, store, chats, metrics[name]))
        left_out = _left_out(contestants, benches)
        entries = list(_entries(contestants, benches, config.seeds))
        if not entries:
            raise UserError(f"--methods: none can take part; {'; '.join(map(': '.join, left_out.items()))}")
        try:
            _run_all(config, store, entries, on_step or (lambda step: None))
        finally:  # a comparison that is stopped shows what it has
            asked = {
                b.task.name: {"scoring": b.scoring, "metric": b.metric.name}
                for b in benches
                if any(task == b.task.name for task, *_ in store.outcomes)
            }
            if asked:
                result = summarise(config, store, asked, left_out, len(experts))
                write_tables(user_path(config.out), result)
        return result


def _run_all(config: CompareConfig, store: Store, entries: Sequence[_Entry], tell: OnStep) -> None:
    for done, entry in enumerate(entries):
        key = (entry.bench.task.name, entry.who.name, entry.seed)
        if key not in store.outcomes:
            tell(Step(done, len(entries), *key))
            began = time.perf_counter()
            outcome = run(entry.who, entry.bench, entry.seed, config.budget_items, config.space, config.particles)
            log.info("%s: %.1f s", " ".join(map(str, key)), time.perf_counter() - began)
            store.add_outcome(_row(key, outcome))
        tell(Step(done + 1, len(entries), *key, store.outcomes[key]))


def _row(key: tuple[str, str, int], outcome: Outcome) -> dict[str, Any]:
    task, method, seed = key
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
    }


def _corners(trace: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """The points of a staircase at which it rises, and its end."""
    kept = [point for i, point in enumerate(trace) if i == 0 or point[1] > trace[i - 1][1]]
    return kept if not trace or kept[-1] == trace[-1] else [*kept, trace[-1]]


def _entries(contestants: Sequence[Contestant], benches: Sequence[Bench], seeds: int) -> Iterator[_Entry]:
    """Seed by seed, so that a comparison that is stopped has everyone's first seed first."""
    for seed in range(seeds):
        for who in contestants:
            for bench in benches:
                if (seed == 0 or who.chance) and why_not(who, bench) is None:
                    yield _Entry(bench, who, seed)


def _left_out(contestants: Sequence[Contestant], benches: Sequence[Bench]) -> dict[str, str]:
    """Name -> why, for those that cannot take part in some task."""
    return {who.name: why for who in contestants for bench in benches if (why := why_not(who, bench)) is not None}


def _task_print(task: Task, metric: Metric) -> str:
    """Fingerprint of items, prompt and metric; without the last where that is accuracy, as it always was."""
    named = [] if metric.name == "accuracy" else [metric.name]
    return hashlib.sha256(canonical([task.fingerprint, task.prompt, *named])).hexdigest()


def choose_scoring(
    task: Task,
    wanted: str,
    engine: Any,
    experts: Sequence[Any],
    store: Store,
    metric: Metric = METRICS["accuracy"],
) -> Scoring:
    """How a task is asked; ``auto`` tries the experts on letters first, as a search does. Written down once.

    The trial is in nobody's budget.
    """
    from pyswarmopt_llm.baselines.searching.best_single import as_patch

    how, *others = scorings_of(metric, wanted, task)
    if not others:
        return how
    known = store.scores.get((task.name, "scoring", "auto"))
    if known is None:
        trial = trial_of(task, engine.chat)
        found = []
        for expert in experts:
            engine.load(as_patch(expert))
            found.append(trial(engine))
        above = beats_chance(trial.items, found)
        known = {"task": task.name, "kind": "scoring", "key": "auto", "scoring": "letter" if above else "likelihood"}
        store.add_score(known)
    return "letter" if known["scoring"] == "letter" else "likelihood"


def _check_settings(config: CompareConfig) -> None:
    if len(config.experts) < 2:
        raise InvalidOption("experts", None, f"{len(config.experts)} given, a comparison mixes at least 2; name more")
    check_options(config)
    for who in ordered(config.methods, len(config.experts), 1, config.budget_items):
        if who.kind == "optimizer":
            from pyswarmopt_llm.common.optimizers import make_optimizer

            n = len(config.experts)
            vertices = torch.eye(n, dtype=torch.float64)
            make_optimizer(who.name.removesuffix(PAPER), vertices, population=n, max_iter=1, patience=1, seed=0)


def _load_chats(config: CompareConfig, experts: Sequence[str]) -> Chats:
    """Expert name -> training chats.

    Raises:
        UserError: an unknown expert, or data that cannot be read.
    """
    from pyswarmopt_llm.models.training.examples import load_examples

    found = {}
    for name, spec in config.data:
        if name not in experts:
            raise UserError(f"--data {name}={spec}: no expert is called {name}; there are {', '.join(experts)}")
        found[name] = load_examples(spec, config.examples, 0)
    return found


__all__ = ["Step", "choose_scoring", "compare"]
