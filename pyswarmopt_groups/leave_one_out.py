"""Leave one out: each strategy without each member in turn, from the recorded responses.

Strategies are fitted on dev again, so their weights belong to the smaller group. No model is
loaded: a strategy that needs more than the recorded responses (embeddings, other prompts) is left
out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, NoReturn

from pyswarmopt_groups.config import CouncilConfig
from pyswarmopt_groups.context import GroupContext
from pyswarmopt_groups.locked_directory import ABOUT, FORMAT
from pyswarmopt_groups.members.protocol import Member
from pyswarmopt_groups.registry import Strategy, load_strategy
from pyswarmopt_groups.responses import rights
from pyswarmopt_groups.run import RESULT, VERDICTS, Group
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_types import WrongType, typed
from pyswarmopt_llm.common.files.regular import read_json
from pyswarmopt_llm.common.options import check_options
from pyswarmopt_llm.common.statistics import compare_paired
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.scores.tasks.items import repeated
from pyswarmopt_llm.searching.scoring.record import RESULTS, Store


class Recorded(Member):
    """A `Member` known only from its recorded responses, which a `CachedMember` in front of it
    provides.
    """

    gives_likelihoods = True  # a member without likelihoods has none recorded

    def refuse(self) -> NoReturn:
        """See `Member`."""
        raise UserError(f"the responses needed from {self.name} were not recorded")


@dataclass(frozen=True)
class _Fingerprints:
    members: dict[str, str]  # in order
    task: str
    prompt: str | None


@dataclass(frozen=True)
class _About:
    format: int
    config: CouncilConfig
    fingerprints: _Fingerprints


@dataclass(frozen=True)
class _Result:
    scoring: Scoring


def holds(path: Path) -> bool:
    """Whether a directory was written by `ensemble` or `negotiate`."""
    return (path / VERDICTS).is_file() and (path / ABOUT).is_file()


def without_members(path: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    """Decide a group's test items again, without each member in turn.

    Args:
        path: finished directory of `ensemble` or `negotiate`.
        tell: called with a line before every strategy.

    Returns:
        As for a search's experts: ``split``; ``all``: strategy -> its score with all members;
            ``experts``: member -> its ``scores`` without it by strategy, and ``paired``: the
            `Comparison` of all members with all but this one. ``left_out``: strategy -> why it
            cannot be decided again.

    Raises:
        UserError: the directory is not a group's or is damaged, it has a single member, or the task
            has changed.
    """
    whole, strategies = _open(path)
    items = whole.task.test
    contexts = {"": whole}  # all share what is fitted on dev
    for member in whole.members:
        others = [other for other in whole.members if other is not member]
        contexts[member.name] = replace(whole, members=others)
    scores: dict[str, float] = {}
    experts: dict[str, Any] = {m.name: {"scores": {}, "paired": {}} for m in whole.members}
    left_out = {}
    for strategy in strategies:
        tell(f"leave one out: {strategy.name}")
        right = {}
        try:
            for name, context in contexts.items():
                answers = [verdict.answer for verdict in strategy.decide(context, items)]
                right[name] = rights(items, answers)
        except UserError as error:
            left_out[strategy.name] = error.text
            continue
        scores[strategy.name] = fmean(right[""])
        for name, row in experts.items():
            pair = compare_paired(right[""], right[name], questions=repeated(items))
            row["scores"][strategy.name] = fmean(right[name])
            row["paired"][strategy.name] = pair.record()
    return {"split": "test", "all": scores, "experts": experts, "left_out": left_out}


def _open(path: Path) -> tuple[GroupContext, list[Strategy]]:
    """A group of its recorded members, and the strategies that it has finished."""
    about = _read(path / ABOUT, _About)
    scoring = _read(path / RESULT, _Result).scoring
    if about.format != FORMAT:
        raise UserError(f"{path / ABOUT} must have format {FORMAT}, not {about.format}; restore it")
    prints = about.fingerprints
    check_options(about.config)
    task = about.config.load()
    if (prints.task, prints.prompt) != (task.fingerprint, task.prompt):
        raise UserError(
            f"{path}: {about.config.task} has changed since the group answered it; restore it"
        )
    if len(prints.members) < 2:
        raise UserError(f"{path} has only one member; leave-one-out needs at least two")
    store = Store(path / RESULTS, repair=False)
    strategies = [load_strategy(row["who"]) for row in store.all("strategy")]
    recorded: list[Member] = [Recorded(*pair) for pair in prints.members.items()]
    group = Group(replace(about.config, scoring=scoring), task, recorded, strategies, {})
    return group.context(store), strategies


def _read(file: Path, kind: type[Any]) -> Any:
    """The content of a file, as the type `kind`."""
    try:
        return typed(read_json(file), kind)
    except OSError as error:
        raise UserError(
            f"{file}: {error.strerror}; run the command that started the group again to finish it"
        ) from error
    except WrongType as error:
        raise UserError(f"{file}: {error}; restore the file") from error
