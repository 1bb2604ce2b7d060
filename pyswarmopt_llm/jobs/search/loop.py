"""The main job: a swarm of experts looks for a better one. Readable from top to bottom."""

from __future__ import annotations

import logging
import math
import resource
import shutil
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import pyswarmopt as pso
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.events import Event, Narrator, OnEvent
from pyswarmopt_llm.common.files.paths import user_path
from pyswarmopt_llm.common.files.regular import write_text
from pyswarmopt_llm.common.fingerprint import versions
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.optimizers import is_swarm, optimizer, released
from pyswarmopt_llm.common.statistics import findings, interval
from pyswarmopt_llm.evaluation.partial import Rule
from pyswarmopt_llm.evaluation.run_directory import Checkpoint, Run, about_run, check_new
from pyswarmopt_llm.evaluation.scorer import Objective, OnRow
from pyswarmopt_llm.evaluation.workers.spec import parse_workers, with_threads
from pyswarmopt_llm.jobs.search.archive import Candidate, Leaders
from pyswarmopt_llm.jobs.search.async_loop import OneByOne, spent
from pyswarmopt_llm.jobs.search.export import coefficients_by_group, items_saved, save_truncated
from pyswarmopt_llm.jobs.search.policy import Effort
from pyswarmopt_llm.jobs.search.prepare import LETTERS, Job, Questions, prepare
from pyswarmopt_llm.jobs.search.proposals import ask_promised
from pyswarmopt_llm.jobs.search.scorers import Hands
from pyswarmopt_llm.jobs.search.selection import Choice, choose, save_front
from pyswarmopt_llm.jobs.search.weight_step import weight_step
from pyswarmopt_llm.metrics.external.permission import require
from pyswarmopt_llm.metrics.questions.answer_format import TRIAL, beats_chance, choose_scoring, option_counts
from pyswarmopt_llm.reporting.card import model_card
from pyswarmopt_llm.reporting.report.report import render_report
from pyswarmopt_llm.spaces.graph.messages import in_words
from pyswarmopt_llm.spaces.starts import starting_points
from pyswarmopt_llm.tasks import Scoring

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SearchResult:
    """A finished search.

    Attributes:
        run: its directory; ``best/`` in it is the adapter.
        result: the content of ``result.json``.
    """

    run: Path
    result: Mapping[str, Any]


def search(config: SearchConfig, on_event: OnEvent | None = None) -> SearchResult:
    """Let a swarm of experts look for a better one.

    Args:
        config: what to search, where and how long.
        on_event: told about progress.

    Returns:
        The finished run. The score in it is that of the files in ``best/``, read back and scored again.

    Raises:
        UserError: bad input, before anything is written.
        KeyboardInterrupt: as ever; the run can be resumed.
    """
    path = user_path(config.out)
    check_new(path)
    job = prepare(with_threads(config))
    more = {"calibration": dict(job.trial)} if job.trial else {}
    about = about_run(job.config, job.fingerprints, base_name=job.base_name, versions=versions(), **more)
    return _work(job, Run.create(path, about), on_event)


def resume(run: str | Path, on_event: OnEvent | None = None, allowed: Collection[str] = ()) -> SearchResult:
    """Go on with a run: the same result as if it had never been stopped; of a finished run its result.

    Args:
        run: its directory.
        on_event: told about progress.
        allowed: what of its configuration may run code, in the words it was begun with; see `allow.require`.

    Raises:
        UserError: not a run, one that would run code that is not allowed, or base, experts or data changed since it
            began.
    """
    opened = Run.open(user_path(run))
    result = opened.result
    if result is not None:
        if on_event is not None:
            on_event(Event("done", {"result": result}))
        return SearchResult(opened.path, result)
    config = opened.config
    require(config, allowed, opened.path)
    job = prepare(replace(config, out=str(opened.path)))  # a judge's answers lie in the run, wherever it is now
    opened.check_fingerprints(job.fingerprints)
    return _work(job, opened, on_event)


def _work(job: Job, run: Run, on_event: OnEvent | None) -> SearchResult:
    tell = on_event or (lambda event: None)
    start = time.perf_counter()
    with run.locked():
        # Spent by a process that was stopped; its workers were at it side by side.
        earlier = sum(row["seconds"] for row in run.rows) / max(parse_workers(job.config.workers).count, 1)
        tell(_start(job, run))
        if job.particles > job.config.particles:
            text = (
                f"--particles {job.config.particles}: the search begins at all {len(job.config.experts)} experts, "
                f"so it has {job.particles} particles"
            )
            tell(Event("note", {"text": text}))
        narrator = Narrator(job.planned)

        def on_row(row: Mapping[str, Any]) -> None:
            tell(narrator.told(row))

        leaders = Leaders(job.objectives.names)
        effort = Effort(job.config, {name: len(task.dev) for name, task in job.tasks.items()})
        with Hands(job, run) as hands:
            scorings = _choose_scoring(job, hands, tell, on_row)
            with released(optimizer(job.config, _starts(job))) as swarm:
                objective = hands.objective(Questions("dev", tuple(scorings.items())), on_row)
                for row in objective.rows:
                    tell(narrator.told(row, "replayed"))
                vertices = job.space.vertices()
                in_full = effort.in_full(vertices)
                singles = _all_scores(objective, vertices, in_full)
                effort.learn(objective, vertices, in_full)
                _warn_if_chance(job, singles, scorings, tell)
                stop = _loop(job, run, swarm, objective, effort, leaders, tell)
                best = _best(swarm, objective, effort, vertices)
            chosen = choose(job, hands, leaders, best, scorings, on_row)
        chosen, weights = weight_step(job, run, chosen, objective, scorings, tell, on_row)
        tell(Event("closing"))
        result = _finish(job, run, chosen, singles, scorings, hands.memory) | {"stop": stop, **weights}
        if len(job.objectives.names) > 1:
            result["front"] = save_front(job, run, leaders, chosen.position)
        result["seconds"] = round(earlier + time.perf_counter() - start, 3)
        _publish(job, run, result)
    tell(Event("done", {"result": result}))
    return SearchResult(run.path, result)


def _best(swarm: pso.Optimizer, objective: Objective, effort: Effort, vertices: Tensor) -> Candidate:
    """The best on dev; of a screened search the one with the widest margins among those about as good."""
    if effort.screening is not None:
        floor = max(float(objective.known(vertex)["value"]) for vertex in vertices)
        clearest = effort.screening.clearest(floor)
        if clearest is not None:
            position = clearest.to(swarm.best.x)
            return Candidate(position, float(objective.known(position)["value"]), {})
    return Candidate(swarm.best.x, swarm.best.value, {})


def _starts(job: Job) -> Tensor:
    """Where the search begins. Sums are for swarms; rivals, and the authors' code, begin with the experts."""
    config = job.config
    plain = config.start == "auto" and (config.compat != "paper" or not is_swarm(config.optimizer))
    return starting_points(job.space, "segments" if plain else config.start, job.particles, config.seed)


def _loop(
    job: Job,
    run: Run,
    swarm: pso.Optimizer,
    objective: Objective,
    effort: Effort,
    leaders: Leaders,
    tell: OnEvent,
) -> dict[str, float]:
    """Ask, score, tell, until the swarm or the budget has a reason to stop; returns the reasons."""
    checkpoint = Checkpoint(run.path / "checkpoint" / "swarm.npz")
    budget = job.budget
    if job.config.one_by_one and isinstance(swarm, pso.Swarm):
        return OneByOne(job, swarm, objective, leaders, checkpoint, tell).fly()
    # A screened iteration is like the starting one without the experts, which have been asked; any other asks all.
    asked = [objective.item_evaluations if effort.screening is not None else 0]
    reasons: dict[str, float] = {}
    while not reasons:
        iteration = len(asked) - 1
        effort.begin(swarm, objective, iteration)
        positions = swarm.ask()
        rules = effort.rules(swarm, objective, positions, iteration)
        values = objective.round(list(positions), iteration, rules)
        dropped = [own is None for own in rules]
        for x, out in zip(positions, dropped, strict=True):
            if not out:
                leaders.add(x, objective.known(x))
        effort.learn(objective, positions, rules)
        if isinstance(swarm, pso.Swarm):
            swarm.tell(positions, values, dropped if any(dropped) else None)
            checkpoint.keep(swarm)
        else:
            swarm.tell(positions, values)
        tell(Event("iteration", {"iteration": iteration, "best": swarm.best.value, **spent(job, objective)}))
        asked.append(objective.item_evaluations)
        reasons = {**swarm.stop(), **budget.spent(asked, objective.seconds)}
    effort.end(swarm, objective, iteration)
    ask_promised(job, objective, effort, leaders, iteration + 1, tell)
    return reasons


def _start(job: Job, run: Run) -> Event:
    data = {
        "run": str(run.path),
        "experts": list(job.space.expert_names),
        "tasks": list(job.objectives.names),
        "particles": job.particles,
        "limits": job.config.limits,
        "dev_items": job.dev_items,
        "scoring": job.config.scoring,
        "dtype": str(job.engine.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "evaluations_planned": job.planned,
        "workers": job.config.workers,
    }
    return Event("start", data)


# What to ask


def _all_scores(objective: Objective, positions: Tensor, rules: Sequence[Sequence[Rule]]) -> list[dict[str, Score]]:
    """The scores of each task at each position, asked in one round under rules that ask all items."""
    objective.round(list(positions), 0, rules)
    return [objective.scores(x, 0, i) for i, x in enumerate(positions)]


def _choose_scoring(job: Job, hands: Hands, tell: OnEvent, on_row: OnRow) -> dict[str, Scoring]:
    """How each task is asked; ``auto`` tries the experts on letters first and says what came of it."""
    possible = {name: job.objectives.scorings(name, job.config.scoring) for name in job.tasks}
    scorings: dict[str, Scoring] = {name: allowed[0] for name, allowed in possible.items()}
    tried = [name for name, allowed in possible.items() if len(allowed) > 1]
    if tried:
        trial = hands.objective(Questions(LETTERS, tuple((name, "letter") for name in tried)), on_row)
        vertices = job.space.vertices()
        found = _all_scores(trial, vertices, [()] * len(vertices))
        for name in tried:
            items, scores = job.tasks[name].dev[:TRIAL], [scores[name] for scores in found]
            scorings[name] = choose_scoring(possible[name], items, scores.copy)
            above = "above" if scorings[name] == "letter" else "within"
            best = max(score.value for score in scores)
            chance = sum(1 / n for n in option_counts(items)) / len(items)
            text = (
                f"{name}: asked for option letters, the best expert reaches {best:.3f} on {len(items)} dev items, "
                f"guessing {chance:.3f}: {above} chance, so scoring is {scorings[name]}"
            )
            tell(Event("note", {"text": text}))
    return scorings


def _warn_if_chance(
    job: Job, singles: Sequence[Mapping[str, Score]], scorings: Mapping[str, Scoring], tell: OnEvent
) -> None:
    for name, task in job.tasks.items():
        if job.objectives.metrics[name].name != "accuracy":
            continue
        if option_counts(task.dev) and not beats_chance(task.dev, [scores[name] for scores in singles]):
            best = max(scores[name].value for scores in singles)
            text = (
                f"{name}: every expert is within chance on dev with {scorings[name]} scoring (best {best:.3f}); "
                "a search has nothing to hold on to here"
            )
            tell(Event("note", {"text": text}))


# What came of it


def _finish(
    job: Job,
    run: Run,
    chosen: Choice,
    singles: Sequence[Mapping[str, Score]],
    scorings: Mapping[str, Scoring],
    workers_memory: int,
) -> dict[str, Any]:
    """Write ``best/``, read it back, score it; score best single expert and uniform average on test."""
    best, space, combine = chosen.position, chosen.space or job.space, job.objectives.combine
    folder = run.path / "best"
    if folder.exists():  # an earlier process was stopped after writing it
        shutil.rmtree(folder)
    cut: dict[str, float] = {}
    if job.config.output_rank is None:
        space.save(best, folder)
    else:
        cut = save_truncated(job.space, best, job.config.output_rank, job.adapters, folder)
    files = space.read(folder)
    values = [combine(list(scores.values())).value for scores in singles]
    single = values.index(max(values))
    vertices = job.space.vertices()
    contestants = {"best": files, "best_single": job.space.realise(vertices[single])}
    if job.config.space != "graph":  # graphs have no average
        contestants["uniform"] = job.space.realise(vertices.mean(0))
    result: dict[str, Any] = {"best_single": job.space.expert_names[single]}
    intervals: dict[str, Any] = {}
    stderrs: dict[str, Any] = {}
    tasks: dict[str, Any] = {name: {} for name in job.objectives.names}
    found: dict[tuple[str, str], Mapping[str, Score]] = {}
    asked = {split: job.utilities(split, scorings) for split in ("dev", "test")}
    for label, patch in contestants.items():
        job.engine.load(patch)
        for split, utilities in asked.items():
            if not utilities:
                continue
            if (label, split) == ("best_single", "dev"):
                scores = singles[single]  # the search has asked this already
            else:
                scores = {name: ask(job.engine) for name, ask in utilities.items()}
            found[label, split] = scores
            total = combine(list(scores.values()))
            stderrs[f"{label}_{split}"] = None if math.isnan(total.stderr) else total.stderr
            result[f"{label}_{split}"] = total.value
            intervals[f"{label}_{split}"] = _interval(total, len(scores))
            for name, score in scores.items():
                tasks[name][f"{label}_{split}"] = score.value
    if cut:
        result["truncation"] = {**cut, "dev_before": chosen.value}
    elif result["best_dev"] != chosen.value:
        log.warning("best/ scores %s, the search saw %s", result["best_dev"], chosen.value)
    result |= {
        "intervals": intervals,
        "stderr": stderrs,
        "metrics": {name: metric.name for name, metric in job.objectives.metrics.items()},
        **findings(found),
        "coefficients": dict(zip(space.expert_names, space.coefficients(best).tolist(), strict=True)),
        **({"graph": in_words(files.graph, space.expert_names)} if files.graph else {}),
        **({"coefficients_by_group": groups} if (groups := coefficients_by_group(space, best)) else {}),
        "evaluations": len(run.rows),
        "item_evaluations": sum(row["n"] for row in run.rows),
        # Functions and harness tasks are always asked whole.
        "items_saved": 0.0 if job.objectives.externals else items_saved(run.rows, job.dev_items),
        "seconds_scoring": round(sum(row["seconds"] for row in run.rows), 3),
        "peak_memory_bytes": _peak_memory() + workers_memory,
        "scoring": _one(scorings),
    }
    if not parse_workers(job.config.workers).alone:
        result["workers"] = {"asked": job.config.workers, "failures": run.failures}
    spent = {m.name: m.usage() for m in job.objectives.metrics.values() if m.usage is not None}
    if spent:
        result["judge"] = spent
    if chosen.confirm is not None:
        result["confirm"] = chosen.confirm
    if len(tasks) > 1:
        result["tasks"] = {name: {**tasks[name], "scoring": scorings.get(name, "own")} for name in tasks}
    return result


def _publish(job: Job, run: Run, result: Mapping[str, Any]) -> None:
    """Card and report first, ``result.json`` last: where it is, everything is."""
    write_text(run.path / "best" / "README.md", model_card(run.about, result))
    write_text(run.path / "report.html", render_report(run.about, result, run.rows, job.tasks))
    run.finish(result)


def _interval(score: Score, n_tasks: int) -> list[float] | None:
    """95%: by items for one task; else by the standard error (normal), if there is one.

    Where all items are between 0 and 1 the interval is cut to that.
    """
    if n_tasks == 1 and score.n > 1 and len(score.per_item) == score.n:
        return list(interval(score.per_item))
    if math.isnan(score.stderr):
        return None
    low, high = score.value - 1.96 * score.stderr, score.value + 1.96 * score.stderr
    if all(0.0 <= value <= 1.0 for value in score.per_item):
        return [max(0.0, low), min(1.0, high)]
    return [low, high]


def _one(scorings: Mapping[str, Scoring]) -> str:
    kinds: set[str] = {*scorings.values()} or {"own"}
    return kinds.pop() if len(kinds) == 1 else "mixed"


def _peak_memory() -> int:
    """Most resident memory of this process so far, plus the most on the GPU, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts bytes on macOS, KiB elsewhere
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return resident + (torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0)


__all__ = ["Event", "OnEvent", "SearchResult", "resume", "search"]
