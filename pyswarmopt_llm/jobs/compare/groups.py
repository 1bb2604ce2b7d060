"""Groups that vote or negotiate as methods: ``vote:NAME`` and ``negotiate:NAME``."""

from __future__ import annotations

from pyswarmopt_llm.baselines.ensembles.panel import Panel
from pyswarmopt_llm.baselines.method import Ensemble
from pyswarmopt_llm.groups.config import StrategySettings
from pyswarmopt_llm.groups.context import GroupContext
from pyswarmopt_llm.groups.members.cache import CachedMember, ResponseCache
from pyswarmopt_llm.groups.members.local import LocalMember, SharedBase
from pyswarmopt_llm.groups.registry import NEGOTIATIONS, VOTES, Strategy, find_names, load_strategy
from pyswarmopt_llm.metrics.accuracy import Accuracy
from pyswarmopt_llm.tasks import Task

STRATEGIES = {"vote:": VOTES, "negotiate:": NEGOTIATIONS}
SAMPLING = frozenset({"self-consistency"})  # strategies that another seed changes


def is_group(name: str) -> bool:
    """Whether a method's name is that of a group."""
    return name.startswith(tuple(STRATEGIES))


def written_out(name: str) -> list[str]:
    """The methods that a name stands for: ``vote:*`` all votes, ``negotiate:*`` all negotiations but societies.

    Strategies that need an option of their own are left out of ``*``.

    Raises:
        UserError: an unknown strategy.

    Example:
        >>> written_out("vote:borda"), len(written_out("negotiate:societies"))
        (['vote:borda'], 32)
    """
    prefix = next(one for one in STRATEGIES if name.startswith(one))
    wanted = name.removeprefix(prefix)
    if wanted == "*":
        return [prefix + one for one in STRATEGIES[prefix] if one not in ("societies", "reward")]
    return [prefix + one for one in find_names([wanted], STRATEGIES[prefix], where=f"--methods {prefix}")]


def load_group(name: str) -> Ensemble:
    """The group of that name as an ensemble: it has its own response cache and counts its own tokens."""
    strategy = load_strategy(name.partition(":")[2])
    needs = {"dev"} | ({"seed"} if strategy.name in SAMPLING else set())
    return Ensemble(
        name,
        strategy.text,
        strategy.source,
        lambda panel, dev, seed: GroupAnswers(panel, dev, seed, strategy),
        needs=frozenset(needs),  # type: ignore[arg-type]
        open_questions="choices" not in strategy.needs,
    )


class GroupAnswers:
    """An `Answerer`: the experts of a panel as members of a group.

    Args:
        panel: the experts.
        dev: what the strategy is fitted on.
        seed: of samples.
        strategy: which.

    Attributes:
        tokens_per_item: mean cost of the latest items.
    """

    def __init__(self, panel: Panel, dev: Accuracy, seed: int, strategy: Strategy) -> None:
        self.tokens_per_item = 0.0
        self._base, cache = SharedBase(panel.engine), ResponseCache(panel.said)
        members = [
            CachedMember(LocalMember(name, name, self._base, patch), cache) for name, patch in panel.experts.items()
        ]
        task = Task("dev", dev.items, (), dev.template)
        self._decide = strategy.fit(GroupContext(members, task, dev.scoring, StrategySettings(seed=seed)))

    def answers(self, questions: Accuracy) -> list[str]:
        """The group's answers; blank where it comes to none."""
        self._base.invalidate()  # a merged candidate may have been scored since
        verdicts = self._decide(questions.items)
        self.tokens_per_item = sum(verdict.tokens for verdict in verdicts) / len(verdicts)
        return [verdict.answer or "" for verdict in verdicts]


__all__ = ["GroupAnswers", "is_group", "load_group", "written_out"]
