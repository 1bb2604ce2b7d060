"""Checks of a group's configuration, before any member answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.extras import missing_extra
from pyswarmopt_llm.common.registry import unknown
from pyswarmopt_llm.groups.config import CouncilConfig
from pyswarmopt_llm.groups.members import Member
from pyswarmopt_llm.groups.members.embedding import Embedder
from pyswarmopt_llm.groups.registry import Need, Strategy
from pyswarmopt_llm.metrics.questions.answer_format import possible_scorings
from pyswarmopt_llm.tasks import Item, Task


def check_settings(config: CouncilConfig) -> None:
    """Refuse settings that are out of range.

    Raises:
        UserError: names the option.
    """
    settings = config.settings
    for name in ("samples", "neighbours", "rounds", "agents"):
        if getattr(settings, name) < 1:
            raise UserError(f"--{name} {getattr(settings, name)}: out of range; give at least 1")
    if settings.budget < 0:
        raise UserError(f"--budget {settings.budget}: out of range; give at least 0")
    if not 0 <= settings.temperature < 100:
        raise UserError(f"--temperature {settings.temperature}: out of range; give 0 to 100")
    n, quorum = len(config.members), settings.quorum
    if quorum is not None and not n < 2 * quorum <= 2 * n:
        raise UserError(f"--quorum {quorum}: of {n} members, give more than half and at most all")
    if settings.passed not in ("supported", "different"):
        raise unknown("--pass", settings.passed, ("supported", "different"))
    possible_scorings(config.scoring, ())


def check_task(config: CouncilConfig, task: Task) -> None:
    """Refuse a task on which no group can be reported.

    Raises:
        UserError: no test items, or another metric than accuracy.
    """
    if not task.test:
        raise UserError(f"{config.task}: has no test items, on which a group is reported; add some")
    if task.metric not in (None, "accuracy"):
        raise UserError(f"{config.task}: is scored by {task.metric}; groups are scored by accuracy only")


def usable(
    strategies: Sequence[Strategy], config: CouncilConfig, items: Sequence[Item], members: Sequence[Member]
) -> tuple[list[Strategy], dict[str, str]]:
    """The strategies that these items and members support, and why the others are skipped.

    Raises:
        UserError: one is not supported and `config` does not skip such, or none is left.
    """
    unmet = {need: why for need in _NEEDS if (why := _why_not(need, config, items, members)) is not None}
    reasons = {}
    for strategy in strategies:
        if whys := [why for need, why in unmet.items() if need in strategy.needs]:
            reasons[strategy.name] = whys[0]
        elif (missing := missing_extra(strategy.module)) is not None:
            reasons[strategy.name] = missing
    left = [strategy for strategy in strategies if strategy.name not in reasons]
    if reasons and not (config.skip and left):
        name, why = next(iter(reasons.items()))
        raise UserError(f"--strategy {name}: {why}")
    return left, reasons


_NEEDS: tuple[Need, ...] = get_args(Need)


def _why_not(need: Need, config: CouncilConfig, items: Sequence[Item], members: Sequence[Member]) -> str | None:
    """Why a need is not met, and what to do; None if it is."""
    if need == "reward" and config.settings.reward is None:
        return "needs --reward; give it, or remove the strategy"
    if need == "samples" and config.settings.temperature == 0 and config.settings.samples > 1:
        return f"its {config.settings.samples} samples would be one at --temperature 0; give 0.7, say"
    if need == "dev" and not config.task:
        return "needs dev items, a single prompt has none; give --task"
    if need == "choices" and any(item.choices is None for item in items):
        return "chooses among options, which not all items have; choose another strategy"
    mute = next((member.name for member in members if not member.gives_likelihoods), None)
    if need == "likelihoods" and mute is not None:
        return f"needs likelihoods, which the endpoint {mute} does not give; remove one of them"
    if need == "embeddings":
        try:
            Embedder(members)
        except UserError as error:
            return str(error)
    return None


__all__ = ["check_settings", "check_task", "usable"]
