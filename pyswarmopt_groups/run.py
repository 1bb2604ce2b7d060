"""Runs a group: opens its members, fits strategies on dev, reports on test, writes the results."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from typing_extensions import TypedDict

from pyswarmopt_groups.config import GroupConfig
from pyswarmopt_groups.context import GroupContext, GroupVerdict
from pyswarmopt_groups.locked_directory import check_directory, open_directory
from pyswarmopt_groups.members.adverse import PrivateMember, with_liar
from pyswarmopt_groups.members.cache import CachedMember
from pyswarmopt_groups.members.load import open_members
from pyswarmopt_groups.members.local import LocalMember
from pyswarmopt_groups.members.protocol import Member
from pyswarmopt_groups.reading import rights
from pyswarmopt_groups.registry import Strategy, load_strategy
from pyswarmopt_groups.responses import Responses
from pyswarmopt_groups.summary import compared, verdict
from pyswarmopt_groups.validate import check_members, check_task, room_for_replies, usable
from pyswarmopt_llm.common.config import command
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.files.regular import user_path, write_json, write_text
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.options import check_options
from pyswarmopt_llm.common.statistics import interval, score_of
from pyswarmopt_llm.run.record import Store
from pyswarmopt_llm.scores.metrics.accuracy import (
    MAX_NEW_TOKENS,
    TRIAL,
    TRIED,
    choose_answer_format,
    possible_answer_formats,
)
from pyswarmopt_llm.scores.tasks import AnswerFormat, Item, Task
from pyswarmopt_llm.scores.tasks.items import repeated

# Settings that may change between two calls that fill the same directory.
FREE = ("strategies", "skip", "out", "device", "threads")
RESULT = "result.json"
VERDICTS = "verdicts.jsonl"

# Settings without use for a single question.
_OF_TASKS = (
    "out", "dev", "test", "columns", "template", "scoring", "allow_overlap",
)  # fmt: skip
# steps done, all steps, strategy, its row when finished
OnStep = Callable[[int, int, str, Mapping[str, Any] | None], None]


class _Stored(TypedDict):
    row: dict[str, Any]
    verdicts: list[dict[str, Any]]


@dataclass(frozen=True)
class Group:
    """The members and strategies of a configuration, checked.

    Attributes:
        config: the given configuration.
        task: task to decide; a prompt is a task of one item, without dev.
        members: most trusted first.
        strategies: supported strategies.
        left_out: strategy -> why it is unsupported.
    """

    config: GroupConfig
    task: Task
    members: list[Member]
    strategies: list[Strategy]
    left_out: dict[str, str]

    @classmethod
    def opened(cls, config: GroupConfig, task: Task) -> Group:
        """Check the configuration, then load the members.

        Args:
            config: configuration whose strategies are names for `registry.find_names`.
            task: see `Group`.

        Raises:
            UserError: the input is invalid.
        """
        named = [load_strategy(name) for name in config.strategies]
        check_task(config, task)
        check_options(config)
        members = open_members(
            config.members, config.base, config.dtype, config.device, config.threads
        )
        voters(members, config, task)  # find a wrong name before anything is written
        group = cls(config, task, members, *usable(named, config, task, members))
        check_members(members, task, config.scoring)
        for member in members:
            rooms = [
                room_for_replies(strategy, member, task, len(members))
                for strategy in group.strategies
                if "texts" in strategy.needs
            ]
            member.reply_tokens = config.max_new_tokens or min([MAX_NEW_TOKENS, *rooms])
        return group

    @property
    def tolerant(self) -> bool:
        """Whether all strategies continue when members fail."""
        return all(strategy.tolerant for strategy in self.strategies)

    @property
    def fingerprints(self) -> dict[str, Any]:
        """Fingerprints of everything that affects a verdict, for the directory of a group with a
        task.
        """
        prints = {member.name: member.fingerprint for member in self.members}
        return {"members": prints, "task": self.task.fingerprint, "prompt": self.task.prompt}

    def context(self, store: Store) -> GroupContext:
        """The context for strategies; requests go through the store."""
        config = self.config
        task = self.task
        cached: list[Member] = [CachedMember(member, store) for member in self.members]
        answer_format: AnswerFormat = "generate"
        if task.dev:
            answer_format = _answer_format_of(cached, task, config.scoring)
        return GroupContext(
            voters(cached, config, task),
            task,
            answer_format,
            config.seed,
            config.device,
            self.tolerant,
        )


def voters(members: Sequence[Member], config: GroupConfig, task: Task) -> list[Member]:
    """The members as configured voters: one may lie, all may randomise their votes.

    Raises:
        InvalidOption: the liar is not a member.
    """
    voting = with_liar(members, config.liar, task.dev)
    if config.epsilon is None:
        return voting
    return [PrivateMember(member, config.epsilon, config.seed) for member in voting]


def _answer_format_of(members: Sequence[Member], task: Task, scoring: str) -> AnswerFormat:
    """The answer format of a task; ``auto`` tries letters on members with likelihoods."""
    possible = possible_answer_formats(scoring, task.dev)
    scorers = [member for member in members if member.gives_likelihoods][:TRIED]
    scores: list[Score] = []
    if len(possible) > 1 and scorers:
        items = task.dev[:TRIAL]
        answers = [member.answer(items, "letter", task.prompt) for member in scorers]
        scores = [score_of(row.astype(float)) for row in Responses(items, answers).right]
    return choose_answer_format(possible, task.dev, scores)


def decide_task(config: GroupConfig, on_step: OnStep | None = None) -> dict[str, Any]:
    """Fit every strategy on dev, apply it to test, and write ``result.json`` and
    ``verdicts.jsonl``.

    Args:
        config: the configuration; with `out`, the same call resumes an interrupted one.
        on_step: called before and after each strategy.

    Returns:
        The content of ``result.json``: ``members``: name -> ``dev``, ``test``, ``test_interval``,
            ``tokens``, ...; ``strategies``: name -> ``test``, ``test_interval``, ``tokens`` (mean
            per item), ``agreement``, ``against_single`` and ``against_strongest`` (``corrected``
            for the number of strategies) and the strategy's further metrics; ``best_single``: the
            best member on dev; ``strongest``: the best on test, with which the verdict compares;
            ``verdict``: which to use, in sentences; ``left_out``.

    Raises:
        UserError: the input is invalid, which is checked before anything is written.
    """
    task = config.load()
    out = None if config.out is None else user_path(config.out)
    check_directory(out, vars(config), FREE, "an ensemble")
    group = Group.opened(config, task)
    with open_directory(out, vars(config), group.fingerprints) as store:
        return _report(group, store, out, on_step or (lambda *step: None))


def decide_prompt(config: GroupConfig, prompt: str) -> tuple[dict[str, GroupVerdict], list[str]]:
    """Each strategy's answer to a single question, without dev: name -> verdict; and the members'
    names, in the ballots' order.

    Raises:
        UserError: the input is invalid, a setting needs examples, or a strategy is fitted on dev.
    """
    for name in _OF_TASKS:
        if (value := getattr(config, name)) != getattr(GroupConfig, name):
            raise InvalidOption(name, value, "is only available with `task`; remove it")
    task = Task("prompt", (), (Item("prompt", prompt, None, "", plain=True),))
    group = Group.opened(config, task)
    context = group.context(Store(None))
    verdicts = {each.name: each.decide(context, task.test)[0] for each in group.strategies}
    return verdicts, [member.name for member in context.members]


def _report(group: Group, store: Store, out: Path | None, on_step: OnStep) -> dict[str, Any]:
    """``result.json`` and ``verdicts.jsonl``, written after each strategy from the store; earlier
    calls' strategies are kept.
    """
    context = group.context(store)
    task = group.task
    responses = context.collect(task.test)
    single = context.order[0]
    # of equals the one that dev trusts most
    strongest = max(context.order, key=lambda number: float(responses.right[number].mean()))
    right = {
        "single": responses.right[single].astype(float).tolist(),
        "strongest": responses.right[strongest].astype(float).tolist(),
    }
    result: dict[str, Any] = {
        "task": task.name,
        "scoring": context.answer_format,
        "dev_items": len(task.dev),
        "test_items": len(task.test),
        "members": _member_rows(context, responses),
        "best_single": context.members[single].name,
        "strongest": context.members[strongest].name,
        "left_out": group.left_out,
        "strategies": {},
        "note": task.note,
    }
    total = len(group.strategies)
    for done, strategy in enumerate(group.strategies):
        name = strategy.name
        on_step(done, total, name, None)
        compute = partial(_decided, strategy, context)
        store.get("strategy", name, compute, _Stored)
        decided = store.all("strategy")
        result["strategies"] = compared(task.test, decided, right)
        result["verdict"] = [verdict(result), *token_mixture(group)]
        if out is not None:  # an interrupted call keeps its results so far
            write_json(out / RESULT, result)
            write_text(out / VERDICTS, _lines(decided))
        on_step(done + 1, total, name, result["strategies"][name])
    return result


def token_mixture(group: Group) -> list[str]:
    """The command that mixes whole models' next-token distributions, which votes cannot do."""
    local = [member for member in group.members if isinstance(member, LocalMember)]
    bases = {id(member.base) for member in local}
    if len(local) < len(group.members) or len(bases) < max(len(local), 2):
        return []
    config = group.config
    search = command("search", space="token", experts=config.members, task=config.task, out="mixed")
    return [f"A token-level mixture of these models often beats their votes: {search}"]


def _lines(decided: Sequence[Mapping[str, Any]]) -> str:
    """The verdicts of stored strategies as JSON lines."""
    lines = [
        json.dumps({"strategy": each["who"], **verdict}, ensure_ascii=False)
        for each in decided
        for verdict in each["verdicts"]
    ]
    return "\n".join([*lines, ""])


def _decided(strategy: Strategy, context: GroupContext) -> dict[str, Any]:
    """A strategy's row of ``result.json``, without comparisons, and its verdicts on test."""
    items = context.task.test
    verdicts = strategy.decide(context, items)
    row = {
        "source": strategy.source,
        **verdicts_row(items, verdicts),
        "agreement": fmean(verdict.agreement for verdict in verdicts),
        **strategy.measures(verdicts),
    }
    pairs = zip(items, verdicts, strict=True)
    return {"row": row, "verdicts": [{"id": item.id, **vars(each)} for item, each in pairs]}


def score_row(
    items: Sequence[Item], answers: Sequence[str | None], tokens: Sequence[int]
) -> dict[str, Any]:
    """The start of every row: accuracy of the answers to test, its interval, mean tokens."""
    right = rights(items, answers)
    between = list(interval(right, questions=repeated(items)))
    return {"test": score_of(right).value, "test_interval": between, "tokens": fmean(tokens)}


def verdicts_row(items: Sequence[Item], verdicts: Sequence[GroupVerdict]) -> dict[str, Any]:
    """`score_row` of verdicts."""
    answers = [verdict.answer for verdict in verdicts]
    return score_row(items, answers, [verdict.tokens for verdict in verdicts])


def member_row(responses: Responses, k: int) -> dict[str, Any]:
    """`score_row` of one member's answers."""
    ballots = [row[k] for row in responses.ballots]
    return score_row(responses.items, ballots, responses.tokens[k].tolist())


def _member_rows(context: GroupContext, responses: Responses) -> dict[str, Any]:
    rows = {}
    for k, member in enumerate(context.members):
        silent = sum(row[k] is None for row in responses.ballots)
        dev = float(context.accuracies[k])
        rows[member.name] = {"dev": dev, **member_row(responses, k), "silent": silent}
    return rows
