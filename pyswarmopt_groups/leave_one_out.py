"""Leave one out: each strategy again without each member, from the recorded responses.

A strategy is fitted on dev again, too, so that its weights are those of the smaller group. No model
is loaded: what a strategy would need beside the recorded responses (embeddings, other prompts)
leaves it out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

from pyswarmopt_groups.config import CouncilConfig
from pyswarmopt_groups.context import GroupContext, Verdict
from pyswarmopt_groups.locked_directory import ABOUT
from pyswarmopt_groups.members.cache import CachedMember, ResponseCache
from pyswarmopt_groups.members.protocol import RefusingMember
from pyswarmopt_groups.registry import Strategy, load_strategy
from pyswarmopt_groups.responses import is_right
from pyswarmopt_groups.run import FORMAT, voters
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_types import fits
from pyswarmopt_llm.common.files.regular import read_json
from pyswarmopt_llm.common.options import check_options
from pyswarmopt_llm.common.paired import compare_paired
from pyswarmopt_llm.scores.tasks import Task

RESPONSES, RESULT = "said.jsonl", "result.json"


class NotRecorded(UserError):
    """A response that the group was never asked for."""


class Recorded(RefusingMember):
    """A `Member` that only its recorded responses are left of; behind a `CachedMember`, which has
    those.
    """

    gives_likelihoods = True  # where it gave none, none is recorded

    def refuse(self) -> NoReturn:
        """See `RefusingMember`."""
        raise NotRecorded(f"needs responses of {self.name} that are not recorded")


def holds(path: Path) -> bool:
    """Whether a directory was written by `ensemble` or `negotiate`."""
    return (path / RESPONSES).is_file() and (path / ABOUT).is_file()


def without_members(path: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    """Decide the test items of a group again, without each member in turn.

    Args:
        path: directory of `ensemble` or `negotiate`, finished.
        tell: called with a line before every strategy.

    Returns:
        ``strategies``: name -> ``test``, its score with all members, and ``members``: name ->
            ``test`` without this
        one, ``paired``: the `Comparison` of all members against all but this one, and ``decided``:
            ids of the items
        whose answer is another one without it. ``left_out``: strategy -> why it cannot be decided
        again.

    Raises:
        UserError: not such a directory, damaged, of one member, or its task has changed.
    """
    about, result = _read(path / ABOUT), _read(path / RESULT)
    config, members = _stored(path / ABOUT, about)
    task = config.load()
    prints = about["fingerprints"]
    if (prints.get("task"), prints.get("prompt")) != (task.fingerprint, task.prompt):
        raise UserError(f"{path}: {config.task} changed since the group answered it; put it back")
    if len(members) < 2:
        raise UserError(f"{path}: has one member, and nobody else to decide without it")
    scoring, rows = result.get("scoring"), result.get("strategies")
    if scoring not in ("letter", "likelihood", "generate") or not isinstance(rows, dict):
        raise UserError(f"{path / RESULT}: has no scoring or no strategies; restore the file")
    cache = ResponseCache(path / RESPONSES)

    def context(without: str | None = None) -> GroupContext:
        recorded = [CachedMember(Recorded(*pair), cache) for pair in members.items()]
        left = [member for member in voters(recorded, config, task) if member.name != without]
        return GroupContext(left, task, scoring, config.seed)

    # what they fit on dev serves all strategies
    contexts = {name: context(name) for name in members}
    whole, decided, left_out = context(), {}, {}
    for strategy in map(load_strategy, rows):
        tell(f"leave one out: {strategy.name}")
        try:
            decided[strategy.name] = _decided(strategy, whole, contexts, task)
        except UserError as error:
            left_out[strategy.name] = error.text
    return {"strategies": decided, "left_out": left_out}


def _decided(
    strategy: Strategy, whole: GroupContext, contexts: Mapping[str, GroupContext], task: Task
) -> dict[str, Any]:
    """The strategy's entry: its score, and what changes without each member."""
    verdicts = strategy.fit(whole)(task.test)
    right = _right(task, verdicts)
    members = {}
    for name, context in contexts.items():
        others = strategy.fit(context)(task.test)
        right_without = _right(task, others)
        rows = zip(task.test, verdicts, others, strict=True)
        members[name] = {
            "test": sum(right_without) / len(right_without),
            "paired": compare_paired(right, right_without).record(),
            "decided": [item.id for item, verdict, other in rows if verdict.answer != other.answer],
        }
    return {"test": sum(right) / len(right), "members": members}


def _right(task: Task, verdicts: Sequence[Verdict]) -> list[float]:
    return [
        float(is_right(item, verdict.answer))
        for item, verdict in zip(task.test, verdicts, strict=True)
    ]


def _read(file: Path) -> dict[str, Any]:
    try:
        content = read_json(file)
    except OSError as error:
        raise UserError(
            f"{file}: {error.strerror}; finish the group with the command that began it"
        ) from error
    if not isinstance(content, dict):
        raise UserError(f"{file}: holds no object; restore the file")
    return content


def _stored(file: Path, about: Mapping[str, Any]) -> tuple[CouncilConfig, dict[str, str]]:
    """The configuration, and the members' names with their fingerprints, in their order."""
    values, prints = about.get("config"), about.get("fingerprints")
    if (
        about.get("format") != FORMAT
        or not isinstance(prints, dict)
        or not isinstance(values, dict)
    ):
        raise UserError(
            f"{file}: format {str(about.get('format'))[:40]}, not {FORMAT}, or damaged; restore "
            "the file"
        )
    hints = get_type_hints(CouncilConfig)
    values = {name: value for name, value in values.items() if name in hints}
    wrong = [name for name, value in values.items() if not fits(value, hints[name])]
    if (
        wrong
        or not fits(prints.get("members"), dict[str, str])
        or not {"members", "task"} <= values.keys()
    ):
        raise UserError(
            f"{file}: {wrong[0] if wrong else 'members'} is missing or of a wrong type; restore "
            "the file"
        )
    plain: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    config = CouncilConfig(**plain)
    check_options(config)
    return config, prints["members"]
