"""Run a group: open its members, fit strategies on dev, report on test, write the results."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from pyswarmopt_groups.config import CouncilConfig
from pyswarmopt_groups.context import GroupContext, Verdict
from pyswarmopt_groups.locked_directory import check_place, opened_place
from pyswarmopt_groups.members.adverse import PrivateMember, with_liar
from pyswarmopt_groups.members.cache import CachedMember, ResponseCache
from pyswarmopt_groups.members.load import open_members
from pyswarmopt_groups.members.protocol import Member
from pyswarmopt_groups.registry import Strategy, load_strategy
from pyswarmopt_groups.responses import Responses, is_right
from pyswarmopt_groups.validate import check_members, check_task, usable
from pyswarmopt_llm.common.files.fingerprint import versions
from pyswarmopt_llm.common.files.regular import (
    LINES_LIMIT,
    read_json,
    read_text,
    user_path,
    write_json,
    write_text,
)
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.options import check_options
from pyswarmopt_llm.common.statistics import interval, paired_test, score_of
from pyswarmopt_llm.scores.metrics.questions.answer_format import (
    TRIAL,
    TRIED,
    choose_scoring,
    possible_scorings,
)
from pyswarmopt_llm.scores.tasks import Item, Scoring, Task

FORMAT = 1
# What may differ between two calls that fill one directory.
FREE = ("strategies", "skip", "out", "device", "threads")
WHAT = "an ensemble"

# done, total, strategy, its row when finished
OnStep = Callable[[int, int, str, Mapping[str, Any] | None], None]


def open_group(config: CouncilConfig) -> list[Member]:
    """Load the members.

    Raises:
        UserError: a setting is out of range, or a member cannot be loaded.
    """
    check_options(config)
    return open_members(
        config.members,
        config.base,
        dtype=config.dtype,
        device=config.device,
        threads=config.threads,
    )


def context_of(
    members: Sequence[Member],
    config: CouncilConfig,
    task: Task | None,
    cache: ResponseCache,
    tolerant: bool = False,
) -> GroupContext:
    """The context for strategies; requests go through the cache."""
    cached = [CachedMember(member, cache) for member in members]
    scoring = "generate" if task is None else _task_scoring(cached, task, config.scoring)
    voting = voters(cached, config, task)
    return GroupContext(voting, task, scoring, config.seed, config.device, tolerant)


def voters(members: Sequence[Member], config: CouncilConfig, task: Task | None) -> list[Member]:
    """The members as the configuration has them vote: one may lie, all may randomise their votes.

    Raises:
        InvalidOption: the liar is no member.
    """
    voting = with_liar(members, config.liar, () if task is None else task.dev)
    if config.epsilon is None:
        return voting
    return [PrivateMember(member, config.epsilon, config.seed) for member in voting]


def decide_task(config: CouncilConfig, on_step: OnStep | None = None) -> dict[str, Any]:
    """Fit every strategy on dev, apply it to test, and write ``result.json`` and
    ``verdicts.jsonl``.

    Args:
        config: the configuration; with `out`, the same call resumes an interrupted one.
        on_step: called before and after each strategy.

    Returns:
        The content of ``result.json``: ``members``: name -> ``dev``, ``test``, ``test_interval``,
            ``tokens``, ...;
        ``strategies``: name -> ``test``, ``test_interval``, ``tokens`` (mean per item),
            ``agreement``,
        ``against_single`` and the strategy's own metrics; ``best_single``: the best member on dev;
        ``left_out``.

    Raises:
        UserError: bad input, before anything is written.
    """
    task = config.load()
    out = None if config.out is None else user_path(config.out)
    if out is not None:
        check_place(out, vars(config), FREE, FORMAT, WHAT)
    named = [load_strategy(name) for name in config.strategies]
    check_task(config, task)
    members = open_group(config)
    voters(members, config, task)  # a wrong name is found before anything is written
    strategies, left_out = usable(named, config, (*task.dev, *task.test), members)
    tolerant = _tolerant(strategies)
    check_members(members, task, config.scoring, tolerant)
    prints = {member.name: member.fingerprint for member in members}
    about = {
        "format": FORMAT,
        "config": vars(config),
        "fingerprints": {"members": prints, "task": task.fingerprint, "prompt": task.prompt},
        "versions": versions(),
    }
    with nullcontext() if out is None else opened_place(out, about, WHAT):
        cache = ResponseCache(None if out is None else out / "said.jsonl")
        context = context_of(members, config, task, cache, tolerant)
        return _report(context, task, strategies, left_out, out, on_step or (lambda *step: None))


def decide_prompt(config: CouncilConfig, prompt: str) -> dict[str, Verdict]:
    """Each strategy's answer to a single question, without dev: name -> verdict.

    Raises:
        UserError: bad input, or a strategy that is fitted on dev.
    """
    item = Item("prompt", prompt, None, "", plain=True)
    named = [load_strategy(name) for name in config.strategies]
    members = open_group(config)
    strategies, _ = usable(named, config, [item], members)
    tolerant = _tolerant(strategies)
    check_members(members, None, "generate", tolerant)
    context = context_of(members, config, None, ResponseCache(), tolerant)
    return {strategy.name: strategy.fit(context)([item])[0] for strategy in strategies}


def _task_scoring(members: Sequence[Member], task: Task, scoring: str) -> Scoring:
    """The scoring of a task; ``auto`` tries letters on the members that give likelihoods."""

    def letters() -> list[Score]:
        items = task.dev[:TRIAL]
        scorers = [member for member in members if member.gives_likelihoods][:TRIED]
        if not scorers:
            return []
        responses = Responses(
            items, [member.answer(items, "letter", task.prompt) for member in scorers]
        )
        return [score_of(row.astype(float)) for row in responses.right]

    return choose_scoring(possible_scorings(scoring, task.dev), task.dev, letters)


def _tolerant(strategies: Sequence[Strategy]) -> bool:
    """Whether all of them continue when members fail."""
    return all(strategy.tolerant for strategy in strategies)


def _report(
    context: GroupContext,
    task: Task,
    strategies: Sequence[Strategy],
    left_out: Mapping[str, str],
    out: Path | None,
    on_step: OnStep,
) -> dict[str, Any]:
    """``result.json`` and ``verdicts.jsonl``, written after each strategy; rows of earlier calls
    are kept.
    """
    responses, single = context.collect(task.test), context.order[0]
    rows, verdicts = _earlier(out, [strategy.name for strategy in strategies])
    result: dict[str, Any] = {
        "task": task.name,
        "scoring": context.scoring,
        "dev_items": len(task.dev),
        "test_items": len(task.test),
        "members": _member_rows(context, responses),
        "best_single": context.members[single].name,
        "left_out": dict(left_out),
        "strategies": rows,
    } | ({"note": task.note} if task.note else {})
    for done, strategy in enumerate(strategies):
        on_step(done, len(strategies), strategy.name, None)
        began = time.perf_counter()
        decided = strategy.fit(context)(task.test)
        row = _strategy_row(
            strategy, task.test, decided, responses.right[single].astype(float).tolist()
        )
        rows[strategy.name] = row | {"seconds": round(time.perf_counter() - began, 3)}
        pairs = zip(task.test, decided, strict=True)
        verdicts += [
            {"strategy": strategy.name, "id": item.id, **vars(verdict)} for item, verdict in pairs
        ]
        if out is not None:  # an interrupted call keeps its results so far
            write_json(out / "result.json", result)
            lines = [json.dumps(verdict, ensure_ascii=False) + "\n" for verdict in verdicts]
            write_text(out / "verdicts.jsonl", "".join(lines))
        on_step(done + 1, len(strategies), strategy.name, rows[strategy.name])
    return result


def _earlier(out: Path | None, names: Sequence[str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Rows and verdicts of other strategies, from earlier calls."""
    if out is None or not (out / "result.json").exists():
        return {}, []
    rows = read_json(out / "result.json")["strategies"]
    lines = read_text(out / "verdicts.jsonl", LINES_LIMIT).splitlines()
    kept = {name: row for name, row in rows.items() if name not in names}
    return kept, [row for row in map(json.loads, lines) if row["strategy"] in kept]


def accuracy_row(right: Sequence[float], tokens: float) -> dict[str, Any]:
    """The beginning of every row: accuracy on test, its interval, and tokens per item."""
    return {"test": score_of(right).value, "test_interval": list(interval(right)), "tokens": tokens}


def _member_rows(context: GroupContext, responses: Responses) -> dict[str, Any]:
    rows = {}
    for k, member in enumerate(context.members):
        right, tokens = responses.right[k].astype(float).tolist(), float(responses.tokens[k].mean())
        silent = sum(row[k] is None for row in responses.ballots)
        dev = float(context.accuracies[k])
        rows[member.name] = {"dev": dev, **accuracy_row(right, tokens), "silent": silent}
    return rows


def _strategy_row(
    strategy: Strategy, items: Sequence[Item], verdicts: Sequence[Verdict], single: Sequence[float]
) -> dict[str, Any]:
    right = [
        float(is_right(item, verdict.answer)) for item, verdict in zip(items, verdicts, strict=True)
    ]
    differences = [a - b for a, b in zip(right, single, strict=True)]
    test = paired_test(differences)
    return {
        "source": strategy.source,
        **accuracy_row(right, sum(verdict.tokens for verdict in verdicts) / len(verdicts)),
        "agreement": sum(verdict.agreement for verdict in verdicts) / len(verdicts),
        "ties": sum(verdict.tied for verdict in verdicts),
        "undecided": sum(verdict.answer is None for verdict in verdicts),
        "against_single": {
            "difference": sum(differences) / len(differences),
            "interval": list(test.interval),
            "p": test.p_value,
        },
    } | strategy.measures(items, verdicts)
