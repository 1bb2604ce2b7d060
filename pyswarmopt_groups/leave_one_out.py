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
from pyswarmopt_groups.locked_directory import ABOUT, FORMAT
from pyswarmopt_groups.members.protocol import Member
from pyswarmopt_groups.registry import load_strategy
from pyswarmopt_groups.run import RESULT, VERDICTS, Group, rights
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
        raise UserError(f"needs responses from {self.name} that are not recorded")


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
        UserError: not such a directory, a damaged one, a single member, or a changed task.
    """
    about = _read(path / ABOUT, _About)
    result = _read(path / RESULT, _Result)
    if about.format != FORMAT:
        raise UserError(f"{path / ABOUT}: format {about.format}, not {FORMAT}; restore the file")
    config = about.config
    prints = about.fingerprints
    check_options(config)
    task = config.load()
    if (prints.task, prints.prompt) != (task.fingerprint, task.prompt):
        raise UserError(f"{path}: {config.task} changed since the group answered it; restore it")
    if len(prints.members) < 2:
        raise UserError(f"{path}: has only one member, so none can be left out")
    store = Store(path / RESULTS, repair=False)
    strategies = [load_strategy(row["who"]) for row in store.all("strategy")]
    recorded: list[Member] = [Recorded(*pair) for pair in prints.members.items()]
    settled = replace(config, scoring=result.scoring)
    whole = Group(settled, task, recorded, strategies, {}).context(store)
    members = whole.members
    # all strategies share what is fitted on dev
    contexts = {
        member.name: replace(whole, members=[other for other in members if other is not member])
        for member in members
    }
    scores: dict[str, float] = {}
    experts: dict[str, Any] = {name: {"scores": {}, "paired": {}} for name in contexts}
    left_out = {}
    for strategy in strategies:
        tell(f"leave one out: {strategy.name}")
        try:
            decided = {
                name: rights(task.test, strategy.decide(context, task.test))
                for name, context in {"": whole, **contexts}.items()
            }
        except UserError as error:
            left_out[strategy.name] = error.text
            continue
        right = decided.pop("")
        scores[strategy.name] = fmean(right)
        for name, others in decided.items():
            pair = compare_paired(right, others, questions=repeated(task.test))
            experts[name]["scores"][strategy.name] = fmean(others)
            experts[name]["paired"][strategy.name] = pair.record()
    return {"split": "test", "all": scores, "experts": experts, "left_out": left_out}


def _read(file: Path, kind: type[Any]) -> Any:
    """The content of a file, as the type `kind`."""
    try:
        return typed(read_json(file), kind)
    except OSError as error:
        raise UserError(
            f"{file}: {error.strerror}; finish the group with the command that started it"
        ) from error
    except WrongType as error:
        raise UserError(f"{file}: {error}; restore the file") from error
