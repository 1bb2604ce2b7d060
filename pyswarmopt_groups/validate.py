"""Checks of a group, its settings and its task, before the first item is answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from pyswarmopt_groups.config import CouncilConfig
from pyswarmopt_groups.members.endpoint import EndpointMember
from pyswarmopt_groups.members.local import LocalMember
from pyswarmopt_groups.members.protocol import Member, Sampling
from pyswarmopt_groups.registry import Need, Strategy
from pyswarmopt_groups.voting.neighbours import embedding_member
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.extras import missing_extra
from pyswarmopt_llm.common.options import check_options
from pyswarmopt_llm.metrics.questions.context_window import check_window
from pyswarmopt_llm.tasks import Item, Task

_PROBE = "Reply with the word: ready"


def check_settings(config: CouncilConfig) -> None:
    """Refuse settings that are out of range."""
    check_options(config)
    check_options(config.settings)
    n, quorum = len(config.members), config.settings.quorum
    if quorum is not None and not n < 2 * quorum <= 2 * n:
        raise InvalidOption("quorum", quorum, f"of {n} members, give more than half and at most all")


def check_task(config: CouncilConfig, task: Task) -> None:
    """Refuse a task without test items, with another metric than accuracy, or without options where votes need them."""
    if not task.test:
        raise UserError(f"{config.task}: has no test items, on which a group is reported; add some")
    if task.metric not in (None, "accuracy"):
        raise UserError(f"{config.task}: is scored by {task.metric}; groups are scored by accuracy only")
    settings, items = config.settings, (*task.dev, *task.test)
    for name, value in (("epsilon", settings.epsilon), ("liar", settings.liar)):
        if value is not None and any(item.choices is None for item in items):
            raise InvalidOption(name, value, f"goes with options, which not all items of {config.task} have; remove it")


def check_members(members: Sequence[Member], task: Task | None, scoring: str, tolerant: bool = False) -> None:
    """Check chat templates, context windows, and that endpoints respond.

    Args:
        members: of the group.
        task: the task; None for a single prompt.
        scoring: ``auto``, ``letter``, ``likelihood`` or ``generate``.
        tolerant: skip the endpoints: the strategy continues without them.

    Raises:
        UserError: names the member, what is wrong and what to do.
    """
    local = [member for member in members if isinstance(member, LocalMember)]
    without = [m.name for m in local if any(model.tokenizer.chat_template is None for model in m.models)]
    if 0 < len(without) < len(local):
        raise UserError(
            f"{without[0]}: has no chat template, other members have one; "
            "put a chat_template.jinja beside its tokenizer, or remove it"
        )
    for member in members:
        if isinstance(member, EndpointMember) and not tolerant:
            (reply,) = member.generate([_PROBE], Sampling(max_new_tokens=8))
            if not reply.texts[0].strip():
                raise UserError(f"{member.name}: answers nothing to {_PROBE!r}; check its model, or remove it")
    if task is not None:  # members of one base share its context window and tokenizer
        first: dict[int, LocalMember] = {}
        for member in local:
            first.setdefault(id(member.base), member)
        for member in first.values():
            check_window(task, scoring, member.base.engine, model=member.name)


def usable(
    strategies: Sequence[Strategy], config: CouncilConfig, items: Sequence[Item], members: Sequence[Member]
) -> tuple[list[Strategy], dict[str, str]]:
    """The strategies that these items and members support, and why the others are skipped.

    Raises:
        UserError: one is not supported and `config` does not skip such, or none is left.
    """
    unmet = {need: why for need in get_args(Need) if (why := _why_not(need, config, items, members)) is not None}
    reasons = {}
    for strategy in strategies:
        if whys := [why for need, why in unmet.items() if need in strategy.needs]:
            reasons[strategy.name] = whys[0]
        elif (missing := missing_extra(strategy.module)) is not None:
            reasons[strategy.name] = missing
    left = [strategy for strategy in strategies if strategy.name not in reasons]
    if reasons and not (config.skip and left):
        name, why = next(iter(reasons.items()))
        raise InvalidOption("strategy", name, why)
    return left, reasons


def _why_not(need: Need, config: CouncilConfig, items: Sequence[Item], members: Sequence[Member]) -> str | None:
    """Why a need is not met, and what to do; None if it is."""
    if need == "reward" and config.settings.reward is None:
        return "needs `reward`; give it, or remove the strategy"
    if need in ("samples", "likelihoods", "embeddings", "judge") and config.settings.epsilon is not None:
        return f"needs more of its members than votes, which are all that `epsilon` {config.settings.epsilon:g} shares"
    if need == "samples" and config.settings.temperature == 0 and config.settings.samples > 1:
        return f"its {config.settings.samples} samples would be one at `temperature` 0; give 0.7, say"
    if need == "dev" and not config.task:
        return "needs dev items, a single prompt has none; give `task`"
    if need == "choices" and any(item.choices is None for item in items):
        return "chooses among options, which not all items have; choose another strategy"
    mute = next((member.name for member in members if not member.gives_likelihoods), None)
    if need == "likelihoods" and mute is not None:
        return f"needs likelihoods, which the endpoint {mute} does not give; remove one of them"
    if need == "embeddings":
        try:
            embedding_member(members)
        except UserError as error:
            return error.text
    return None
