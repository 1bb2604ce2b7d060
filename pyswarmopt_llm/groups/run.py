"""A group at work: open its members, fit strategies on dev, report on test, write it all down."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.files.locked_directory import check_place, opened_place
from pyswarmopt_llm.common.files.paths import user_path
from pyswarmopt_llm.common.files.regular import write_json, write_text
from pyswarmopt_llm.common.fingerprint import versions
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.statistics import interval, permutation_test, score_of
from pyswarmopt_llm.groups.config import CouncilConfig
from pyswarmopt_llm.groups.context import Room, Verdict
from pyswarmopt_llm.groups.members import Member, Memory, Remembered, check_members, open_members
from pyswarmopt_llm.groups.responses import Sheet, is_right
from pyswarmopt_llm.groups.strategies import load_strategy
from pyswarmopt_llm.groups.strategy import Strategy
from pyswarmopt_llm.groups.validate import check_settings, check_task, usable
from pyswarmopt_llm.metrics.questions.answer_format import TRIAL, choose_scoring, possible_scorings
from pyswarmopt_llm.tasks import Item, Scoring, Task, load_task

FORMAT = 1
# What may differ between two calls that fill one directory.
_FREE = ("strategies", "skip", "out", "device", "threads")
_WHAT = "an ensemble"

OnStep = Callable[[int, int, str, Mapping[str, Any] | None], None]  # done, total, strategy, its row when finished


@dataclass(frozen=True)
class Group:
    """Open members, and who judges."""

    members: list[Member]
    judge: Member | None

    @property
    def fingerprints(self) -> dict[str, str]:
        """Name -> fingerprint."""
        return {member.name: member.fingerprint for member in self.members}


def open_group(config: CouncilConfig) -> Group:
    """Load the members, and the judge where one is named that is not among them.

    Raises:
        UserError: one cannot be used.
    """
    check_settings(config)
    judge = config.settings.judge
    places = [*config.members, *([judge] if judge and judge not in config.members else [])]
    found = open_members(places, config.base, dtype=config.dtype, device=config.device, threads=config.threads)
    named = dict(zip(places, found, strict=True))
    return Group(found[: len(config.members)], named[judge] if judge else None)


def decide_task(config: CouncilConfig, on_step: OnStep | None = None) -> dict[str, Any]:
    """Fit every strategy on dev, let it decide test, and write ``result.json`` and ``verdicts.jsonl``.

    Args:
        config: who, what and how; with `out`, a call that was stopped goes on where it was.
        on_step: told before and after each strategy.

    Returns:
        The content of ``result.json``: ``members``: name -> ``dev``, ``test``, ``test_interval``, ``tokens``, ...;
        ``strategies``: name -> ``test``, ``test_interval``, ``tokens`` (mean per item), ``agreement``,
        ``against_single`` and what the strategy measures; ``best_single``: the best member on dev; ``left_out``.

    Raises:
        UserError: bad input, before anything is written.
    """
    task = load_task(config.task, dev=config.dev, test=config.test, allow_overlap=config.allow_overlap)
    out = None if config.out is None else user_path(config.out)
    if out is not None:
        check_place(out, config.flat(), _FREE, FORMAT, _WHAT)
    named = [load_strategy(name) for name in config.strategies]
    check_task(config, task)
    group = open_group(config)
    strategies, left_out = usable(named, config, (*task.dev, *task.test), group.members)
    check_members(group.members, task, config.scoring, _tolerant(strategies))
    about = {
        "format": FORMAT,
        "config": config.flat(),
        "fingerprints": {"members": group.fingerprints, "task": task.fingerprint, "prompt": task.prompt},
        "versions": versions(),
    }
    with _placed(out, about):
        return _decide(config, task, strategies, left_out, group, out, on_step or (lambda *step: None))


def decide_prompt(config: CouncilConfig, prompt: str) -> dict[str, Verdict]:
    """What each strategy makes of a single question, without dev: name -> verdict.

    Raises:
        UserError: bad input, or a strategy that is fitted on dev.
    """
    item = Item("prompt", prompt, None, "", plain=True)
    group = open_group(config)
    strategies, _ = usable([load_strategy(name) for name in config.strategies], config, [item], group.members)
    tolerant = _tolerant(strategies)
    check_members(group.members, None, "generate", tolerant)
    members = _remembered(group.members, Memory())
    room = Room(members, None, "generate", config.settings, group.judge, tolerant)
    return {strategy.name: strategy.fit(room)([item])[0] for strategy in strategies}


def make_room(config: CouncilConfig, task: Task, group: Group, memory: Memory, tolerant: bool = False) -> Room:
    """The group before the task, asked as ``auto`` finds it."""
    members = _remembered(group.members, memory)
    judge = None if group.judge is None else _remembered([group.judge], memory)[0]
    return Room(members, task, task_scoring(members, task, config.scoring), config.settings, judge, tolerant)


def _tolerant(strategies: Sequence[Strategy]) -> bool:
    """Whether all of them go on though members fail."""
    return all(strategy.tolerant for strategy in strategies)


def task_scoring(members: Sequence[Member], task: Task, wanted: str) -> Scoring:
    """How the members answer; ``auto`` tries letters on the members that give likelihoods.

    Raises:
        UserError: an unknown name.
    """

    def letters() -> list[Score]:
        items, scorers = task.dev[:TRIAL], [member for member in members if member.gives_likelihoods]
        if not scorers:
            return []
        sheet = Sheet(items, [m.name for m in scorers], [m.answer(items, "letter", task.prompt) for m in scorers])
        return [score_of(row.astype(float)) for row in sheet.right]

    return choose_scoring(possible_scorings(wanted, task.dev), task.dev, letters)


def _remembered(members: Sequence[Member], memory: Memory) -> list[Member]:
    return [Remembered(member, memory) for member in members]


@contextmanager
def _placed(out: Path | None, about: Mapping[str, Any]) -> Iterator[None]:
    if out is None:
        yield
        return
    with opened_place(out, about, _WHAT):
        yield


def _decide(
    config: CouncilConfig,
    task: Task,
    strategies: Sequence[Strategy],
    left_out: Mapping[str, str],
    group: Group,
    out: Path | None,
    tell: OnStep,
) -> dict[str, Any]:
    memory = Memory(None if out is None else out / "said.jsonl")
    room = make_room(config, task, group, memory, _tolerant(strategies))
    sheet = room.ask(task.test)
    single = room.order[0]
    names = [strategy.name for strategy in strategies]
    before, verdicts = _kept(out, names)
    result: dict[str, Any] = {
        "task": task.name,
        "scoring": room.scoring,
        "dev_items": len(task.dev),
        "test_items": len(task.test),
        "members": _member_rows(room, sheet),
        "best_single": room.members[single].name,
        "left_out": dict(left_out),
        "strategies": before,
    }
    for done, strategy in enumerate(strategies):
        tell(done, len(strategies), strategy.name, None)
        began = time.perf_counter()
        found = strategy.fit(room)(task.test)
        row = _row(strategy, task.test, found, sheet.right[single].astype(float).tolist())
        result["strategies"][strategy.name] = row | {"seconds": round(time.perf_counter() - began, 3)}
        verdicts += [
            {"strategy": strategy.name, "id": item.id, **vars(verdict)}
            for item, verdict in zip(task.test, found, strict=True)
        ]
        if out is not None:  # a call that is stopped shows what it has
            write_json(out / "result.json", result)
            _write_lines(out / "verdicts.jsonl", verdicts)
        tell(done + 1, len(strategies), strategy.name, result["strategies"][strategy.name])
    return result


def _write_lines(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A JSONL file, whole or not at all."""
    write_text(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _kept(out: Path | None, names: Sequence[str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Rows and verdicts of other strategies, from earlier calls."""
    if out is None or not (out / "result.json").exists():
        return {}, []
    rows = json.loads((out / "result.json").read_text(encoding="utf-8"))["strategies"]
    lines = (out / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()
    kept = [name for name in rows if name not in names]
    return {name: rows[name] for name in kept}, [row for row in map(json.loads, lines) if row["strategy"] in kept]


def _member_rows(room: Room, sheet: Sheet) -> dict[str, Any]:
    rows = {}
    for k, member in enumerate(room.members):
        right = sheet.right[k].astype(float).tolist()
        rows[member.name] = {
            "dev": float(room.accuracies[k]),
            "test": score_of(right).value,
            "test_interval": list(interval(right)),
            "tokens": float(sheet.tokens[k].mean()),
            "silent": sum(row[k] is None for row in sheet.ballots),
        }
    return rows


def _row(
    strategy: Strategy, items: Sequence[Item], found: Sequence[Verdict], single: Sequence[float]
) -> dict[str, Any]:
    right = [float(is_right(item, verdict.answer)) for item, verdict in zip(items, found, strict=True)]
    differences = [a - b for a, b in zip(right, single, strict=True)]
    row: dict[str, Any] = {
        "source": strategy.source,
        "test": score_of(right).value,
        "test_interval": list(interval(right)),
        "tokens": sum(verdict.tokens for verdict in found) / len(found),
        "agreement": sum(verdict.agreement for verdict in found) / len(found),
        "ties": sum(verdict.tied for verdict in found),
        "undecided": sum(verdict.answer is None for verdict in found),
        "against_single": {"difference": sum(differences) / len(differences), "p": permutation_test(differences)},
    }
    return row if strategy.measure is None else row | strategy.measure(items, found)


__all__ = [
    "Group",
    "OnStep",
    "check_settings",
    "decide_prompt",
    "decide_task",
    "make_room",
    "open_group",
    "task_scoring",
]
