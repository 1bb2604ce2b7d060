"""The comparison: every method on every task and seed, fixed rules first, stored along the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from pyswarmopt.base.words import counted
from pyswarmopt_groups.locked_directory import check_directory, open_directory
from pyswarmopt_groups.run import OnStep
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.events import duration
from pyswarmopt_llm.common.extras import missing_extra
from pyswarmopt_llm.common.files.regular import digest, user_path, write_json, write_text
from pyswarmopt_llm.common.options import check_options
from pyswarmopt_llm.common.own import fingerprint, is_function
from pyswarmopt_llm.engine.transformers import load_engine
from pyswarmopt_llm.experts.files import refuse_unmatched
from pyswarmopt_llm.mix import build_space
from pyswarmopt_llm.report.progress import by_part
from pyswarmopt_llm.run.record import RESULTS, Packed, Store
from pyswarmopt_llm.scores.choices import PASSES
from pyswarmopt_llm.scores.metrics.objectives import (
    check_answers,
    check_window,
    find_metrics,
    load_tasks,
)
from pyswarmopt_llm.scores.tasks import Task
from pyswarmopt_llm.searching.optimizers import check_optimizer
from pyswarmopt_llm.training.examples import TrainingOptions, load_examples
from pyswarmopt_rivals.bench import Bench, Chats, load_pool
from pyswarmopt_rivals.comparison.config import CompareConfig
from pyswarmopt_rivals.comparison.contestants import ordered, run, why_not
from pyswarmopt_rivals.comparison.summary import summarise
from pyswarmopt_rivals.comparison.table import markdown, render_page
from pyswarmopt_rivals.methods.method import DELTA, Method
from pyswarmopt_rivals.methods.searching.optimizers import MODELLED
from pyswarmopt_rivals.methods.training.data_merge import schedule

# Settings that may differ between two calls that fill the same directory.
FREE = ("methods", "seeds", "out", "device")
OUTCOME = "outcome"  # name in the store of a method's outcome
Entry = tuple[Method, Bench, int, int]
"""A run of a method: on which bench, with which seed, and dev items that it may evaluate."""


class _Outcome(TypedDict):
    task: str
    method: str
    seed: int
    dev: Packed
    test: Packed
    items: int
    seconds: float
    models: int


def compare(config: CompareConfig, on_step: OnStep | None = None) -> dict[str, Any]:
    """Run all missing entries, and write ``compare.json``, ``compare.md`` and ``compare.html``.

    Args:
        config: methods, tasks and budget.
        on_step: called with the price, and before and after each entry.

    Returns:
        The content of ``compare.json``: ``methods``: name -> ``dev``, ``test``, ``dev_interval``,
            ``test_interval``,
        ``item_evaluations``, ``seconds``, ...; with several tasks these are means over tasks, and
        ``tasks`` has each.

    Raises:
        UserError: the input is invalid, which is checked before anything is written.
        KeyboardInterrupt: on Ctrl-C; the same call resumes.
    """
    methods = check_settings(config)
    out = user_path(config.out)
    check_directory(out, asdict(config), FREE, "a comparison")
    prepared = prepare(config, methods)
    with open_directory(out, asdict(config), _fingerprints(prepared)) as store:
        benches = [bench.settled(config.scoring, store) for bench in prepared]
        entries, left_out = plan(config, methods, benches)
        tell = on_step or (lambda *step: None)
        if missing := [entry for entry in entries if (OUTCOME, _key(entry)) not in store]:
            tell(0, len(entries), _price(missing), {})
        try:
            for done, entry in enumerate(entries):
                _run_once(store, entry, done, len(entries), tell)
        finally:  # an interrupted comparison shows its results so far
            outcomes = store.all(OUTCOME)
            begun = {row["task"] for row in outcomes}
            if scored := [bench for bench in benches if bench.task.name in begun]:
                result = summarise(config, outcomes, scored, left_out)
                write_json(out / "compare.json", result)
                write_text(out / "compare.md", markdown(result))
                write_text(out / "compare.html", render_page(result))
        return result


def _fingerprints(benches: Sequence[Bench]) -> dict[str, Any]:
    """Fingerprints of everything that affects a score."""
    tasks = {}
    for bench in benches:
        task = bench.task
        metric = bench.metric
        tasks[task.name] = digest([task.fingerprint, task.prompt, metric.identity])
    any_one = benches[0]  # they share everything but the task
    experts = {expert.info.name: expert.info.fingerprint for expert in any_one.experts}
    data = {name: digest(list(examples)) for name, examples in any_one.chats.items()}
    return {"base": any_one.base.fingerprint, "experts": experts, "tasks": tasks, "data": data}


def prepare(config: CompareConfig, methods: Sequence[Method]) -> list[Bench]:
    """The benches of all tasks, whose answer format may be open; the base's weights are loaded
    last.

    Raises:
        UserError: the input is invalid.
    """
    tasks = load_tasks(config, config.tasks)
    if not tasks:
        raise UserError("no task given; set `task`")
    metrics = find_metrics(
        tasks,
        config.metrics,
        device=config.device,
        new_tokens=config.max_new_tokens,
    )
    check_answers(config.scoring, 0, tasks, metrics)
    base, experts = load_pool(config.base, config.experts, DELTA[0])
    build_space(DELTA[0], experts)  # refuses experts that it cannot mix
    infos = [expert.info for expert in experts]
    chats = _load_chats(config, [info.name for info in infos])
    trained = TrainingOptions(heldout=0)
    if chats and any(method.name == "data-merge" for method in methods):
        trained = schedule(infos, config.data_lr, config.data_epochs)
    for task in tasks.values():
        check_budget(config.budget_items, task)
    engine = load_engine(base, config.dtype, config.device, config.threads)
    first = next(iter(tasks.values()))
    shared = Bench(base, engine, experts, first, chats=chats, schedule=trained)
    benches = []
    for name, task in tasks.items():
        check_window(task, config.scoring, engine, metric=metrics[name])
        benches.append(replace(shared, task=task, metric=metrics[name]))
    return benches


def check_budget(budget_items: int, task: Task) -> None:
    """Refuse a budget that does not cover dev once."""
    items = len(task.dev)
    if items > budget_items:
        why = f": one evaluation needs all {items} dev examples of {task.name}"
        raise InvalidOption(
            "budget_items", budget_items, f"{why}; raise the budget, or lower `dev`"
        )


def _load_chats(config: CompareConfig, experts: Sequence[str]) -> Chats:
    """Expert name -> training chats."""
    chats = {}
    for text in config.data:
        name, _, spec = text.partition("=")
        if name not in experts or not spec:
            why = f": use NAME=D with an expert's name ({', '.join(experts)})"
            raise InvalidOption("data", text, why)
        chats[name] = load_examples(spec, None, 0)
    return chats


def check_settings(config: CompareConfig) -> list[Method]:
    """The methods, after refusing unknown or out-of-range settings."""
    refuse_unmatched(config.experts)
    if len(config.experts) < 2:
        why = f": a comparison needs at least 2 experts, got {len(config.experts)}; add more"
        raise InvalidOption("experts", None, why)
    check_options(config)
    methods = ordered(config.methods)
    for method in methods:
        made = method.kind == "optimizer" and method.name not in MODELLED
        if made and missing_extra(method.module) is None:
            check_optimizer(method.name)
    return methods


def plan(
    config: CompareConfig, methods: Sequence[Method], benches: Sequence[Bench]
) -> tuple[list[Entry], dict[str, str]]:
    """The entries, and why other methods are left out.

    Raises:
        InvalidOption: no method can take part.
    """
    budget = config.budget_items
    left_out = dict[str, str]()
    able = []
    for method in methods:
        for bench in benches:
            if why := why_not(method, bench, budget):
                left_out[method.name] = why
            else:
                able.append((method, bench))
    if not able:
        reasons = ", ".join(f"{name} ({why})" for name, why in left_out.items())
        raise InvalidOption("methods", None, f": no method can run: {reasons}")
    # Ordered by seed: an interrupted comparison has every method's first seed first.
    entries = [
        (method, bench, seed, budget)
        for seed in range(config.seeds)
        for method, bench in able
        if seed == 0 or method.chance
    ]
    return entries, left_out


def _key(entry: Entry) -> str:
    method, bench, seed, _ = entry
    return f"{bench.task.name} {method.name} {seed}"


def _price(entries: Sequence[Entry]) -> str:
    """The most that entries take, at the pace of the first expert on dev; for the training of
    data-merge, which no budget of dev items bounds, by the length of its chats.
    """
    seconds = {"search": 0.0, "result": 0.0}
    for method, bench, _, budget in entries:
        if "dev" in method.needs:
            seconds["search"] += bench.pace * budget
        if method.name == "data-merge":  # its chats are as long as so many dev items
            length = sum(len(str(chat)) for chats in bench.chats.values() for chat in chats)
            items = length * bench.dev_items / sum(map(len, bench.labelled.prompts))
            seconds["search"] += bench.pace * PASSES * bench.schedule.epochs * items
        models = len(bench.experts) if method.kind == "ensemble" else 1
        seconds["result"] += bench.pace * models * (bench.dev_items + len(bench.task.test))
    total = counted(len(entries), "run")
    whole = duration(sum(seconds.values()))
    return f"{total}: at most {whole}, estimated from the first evaluation: {by_part(seconds)}"


def _run_once(store: Store, entry: Entry, done: int, total: int, on_step: OnStep) -> None:
    """Run an entry, or take its outcome from the store."""
    method, bench, seed, budget = entry
    task = bench.task.name
    name = f"{task}: {method.name}, seed {seed}"
    source = {}
    if is_function(method.name):
        source = {"source": fingerprint(method.name)}

    def outcome() -> dict[str, Any]:
        on_step(done, total, name, None)
        found = {"task": task, "method": method.name, "seed": seed, **source}
        return found | run(method, bench, seed, budget)

    row = store.get(OUTCOME, _key(entry), outcome, _Outcome)
    if row.get("source") != source.get("source"):
        why = "has changed since it was scored here; restore it, or use another `out`"
        raise InvalidOption("methods", method.name, why)
    on_step(done + 1, total, name, {**row, "lower": bench.metric.lower})


def outcomes_in(folder: Path) -> list[Mapping[str, Any]]:
    """Read the outcomes of a comparison from its directory."""
    return Store(folder / RESULTS, repair=False).all(OUTCOME)
