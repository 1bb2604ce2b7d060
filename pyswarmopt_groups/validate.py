"""Checks of a group, its strategies and its task, before the first item is answered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pyswarmopt_groups.config import GroupConfig
from pyswarmopt_groups.ensembles.selection import embedding_member
from pyswarmopt_groups.members.local import LocalMember
from pyswarmopt_groups.members.protocol import Member
from pyswarmopt_groups.negotiation.debate import first_turn, later_turn
from pyswarmopt_groups.negotiation.societies import TRAITS
from pyswarmopt_groups.registry import Strategy
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.scores.metrics.accuracy import MAX_NEW_TOKENS
from pyswarmopt_llm.scores.metrics.metric import ACCURACY
from pyswarmopt_llm.scores.metrics.objectives import check_window
from pyswarmopt_llm.scores.tasks.types import SPLITS, Task
from pyswarmopt_llm.tokens.members import check_templates, has_template

DEBATES = ("refine", "society")
SHORTEST = 8  # tokens of a reply that can hold an answer


def check_task(config: GroupConfig, task: Task) -> None:
    """Refuse a task without answers, or with a metric other than accuracy; and
    changes of votes over options if an item has none. A user's own question needs no answer.
    """
    if task.metric not in (None, "accuracy"):
        raise UserError(
            f"{config.task}: groups are scored by accuracy, not by {task.metric}; use another task"
        )
    if config.task:
        for split in SPLITS:
            ACCURACY.check(task.split(split), f"{task.source}: {split}")
    items = (*task.dev, *task.test)
    open_questions = not all(item.choices for item in items)
    if open_questions and any(item.earlier for item in items):
        raise UserError(
            f"{config.task}: members see only the last turn of a conversation; use single questions"
        )
    for name in ("epsilon", "liar"):
        if (value := getattr(config, name)) is not None and open_questions:
            raise InvalidOption(
                name, value, "needs answer choices, which some examples lack; remove it"
            )


def check_members(members: Sequence[Member], task: Task, scoring: str) -> None:
    """Check chat templates and context windows.

    Args:
        members: members of the group.
        task: the task.
        scoring: ``auto``, ``letter``, ``likelihood`` or ``generate``.

    Raises:
        UserError: a member cannot be used.
    """
    if scoring in ("letter", "likelihood") and not any(m.gives_likelihoods for m in members):
        why = ": no member returns likelihoods, so all generate their answers; remove this option"
        raise InvalidOption("scoring", scoring, why)
    local = [member for member in members if isinstance(member, LocalMember)]
    check_templates({m.name: has_template(m.base.engine) for m in local})
    if task.dev:  # members on one base share its context window and tokenizer
        for member in {id(member.base): member for member in reversed(local)}.values():
            check_window(task, scoring, member.base.engine, model=member.name)


def room_for_replies(strategy: Strategy, member: Member, task: Task, speakers: int) -> int:
    """Maximum number of tokens in a reply such that the longest turn of a strategy fits a member's
    context window.

    In a debate, a turn holds every member's latest reply beside the question, and the next one
    follows.
    """
    items = (*task.dev, *task.test)
    turns = [first_turn(item, task.prompt) for item in items]
    replies = 1
    if strategy.function in DEBATES:
        trait = ""
        if strategy.arguments:  # a society's traits, one for each agent
            trait = TRAITS["e"]
            speakers = len(str(strategy.arguments[0]))
        turns = [f"{trait}\n{later_turn(item, task.prompt, '', [''])}" for item in items]
        replies = 1 + speakers
    room = None
    if isinstance(member, LocalMember):
        room = member.room(turns)
    if room is None:
        return MAX_NEW_TOKENS
    return room // replies


def usable(
    strategies: Sequence[Strategy],
    config: GroupConfig,
    task: Task,
    members: Sequence[Member],
) -> tuple[list[Strategy], dict[str, str]]:
    """The strategies supported by these items and members, and why the others are skipped.

    Raises:
        UserError: a strategy is unsupported and may not be skipped, or none is left.
    """
    reasons: dict[str, str] = {}
    left = []
    for strategy in strategies:
        if why := next(_reasons(strategy, config, task, members), None):
            reasons[strategy.name] = why
        else:
            left.append(strategy)
    if reasons and not (config.skip and left):
        name, why = next(iter(reasons.items()))
        raise InvalidOption("strategy", name, why)
    return left, reasons


def _reasons(
    strategy: Strategy,
    config: GroupConfig,
    task: Task,
    members: Sequence[Member],
) -> Iterator[str]:
    """Why a strategy cannot be used, each with the remedy."""
    needs = strategy.needs
    items = (*task.dev, *task.test)
    if "reward" in needs and not strategy.value("model"):
        yield f"needs a reward model; use {strategy.usage}, or remove it"
    if config.epsilon is not None and {"texts", "likelihoods", "embeddings"}.intersection(needs):
        yield (
            "needs more than votes from its members, but `epsilon` "
            f"{config.epsilon:g} shares only votes"
        )
    if "dev" in needs and not config.task:
        yield "needs dev examples, which a single prompt does not have; add `task`"
    if "choices" in needs and any(item.choices is None for item in items):
        yield ("needs answer choices, which some examples lack; use another strategy, or all")
    yield from _unable(strategy, members)
    if "texts" not in needs:
        return
    if any(item.earlier for item in items):
        yield "shows members only the last turn of a conversation; use another strategy"
    for member in members:
        room = room_for_replies(strategy, member, task, len(members))
        if room < (config.max_new_tokens or SHORTEST):
            what = f"set `max_new_tokens` to at most {room}"
            if room < SHORTEST:
                what = "choose another strategy, or a model with a larger window"
            yield (
                f"needs a larger context window than that of {member.name} for the longest example "
                f"and all replies; {what}"
            )


def _unable(strategy: Strategy, members: Sequence[Member]) -> Iterator[str]:
    """Why a strategy cannot be used by these members."""
    mute = [member.name for member in members if not member.gives_likelihoods]
    if "likelihoods" in strategy.needs and mute:
        yield f"needs likelihoods, which the endpoint {mute[0]} does not return; remove the endpoint"
    if "embeddings" in strategy.needs:
        try:
            embedding_member(members)
        except UserError as error:
            yield f"needs embeddings, but {error.text}"
