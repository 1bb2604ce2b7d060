"""Groups that vote or negotiate as methods: ``vote:NAME`` and ``negotiate:NAME``."""

from __future__ import annotations

from pyswarmopt_groups.config import CouncilConfig
from pyswarmopt_groups.context import GroupContext
from pyswarmopt_groups.members.cache import CachedMember, ResponseCache
from pyswarmopt_groups.members.local import LocalMember, SharedBase
from pyswarmopt_groups.registry import NEGOTIATIONS, VOTES, Strategy, find_names, load_strategy
from pyswarmopt_groups.validate import usable
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks import Task
from pyswarmopt_rivals.methods.ensembles.panel import Answerer, Panel
from pyswarmopt_rivals.methods.method import Ensemble

STRATEGIES = {"vote:": VOTES, "negotiate:": NEGOTIATIONS}
SAMPLING = frozenset({"self-consistency"})  # strategies that another seed changes


def is_group(name: str) -> bool:
    """Whether a method is a group that votes or negotiates."""
    return name.startswith(tuple(STRATEGIES))


def written_out(name: str) -> list[str]:
    """The methods that a name stands for: ``vote:*`` all votes, ``negotiate:*`` all negotiations
    but societies.

    ``*`` omits strategies that need an option of their own.

    Example:
        >>> written_out("vote:borda"), len(written_out("negotiate:societies"))
        (['vote:borda'], 32)
    """
    prefix = next(start for start in STRATEGIES if name.startswith(start))
    table, strategy = STRATEGIES[prefix], name.removeprefix(prefix)
    if strategy == "*":
        names = [name for name in table if name not in ("societies", "reward")]
    else:
        names = find_names([strategy], table, where=f"`methods` {prefix}")
    return [prefix + name for name in names]


def load_group(name: str) -> Ensemble:
    """The group of that name as an ensemble: it has its own response cache and counts its own
    tokens.
    """
    strategy = load_strategy(name.partition(":")[2])
    needs = {"dev"} | ({"seed"} if strategy.name.partition(":")[0] in SAMPLING else set())
    return Ensemble(
        name,
        strategy.text,
        strategy.source,
        lambda panel, dev, seed: GroupAnswers(panel, dev, seed, strategy),
        needs=frozenset(needs),  # type: ignore[arg-type]
        open_questions="choices" not in strategy.needs,
        module=strategy.module,
    )


class GroupAnswers(Answerer):
    """The experts of a panel as members of a group, with a strategy fitted on dev."""

    def __init__(self, panel: Panel, dev: Accuracy, seed: int, strategy: Strategy) -> None:
        self.tokens_per_item = 0.0
        self._base, cache = SharedBase(panel.engine), ResponseCache(panel.responses)
        members = [
            CachedMember(LocalMember(name, name, self._base, patch), cache)
            for name, patch in panel.experts.items()
        ]
        task = Task("dev", dev.items, (), dev.template)
        config = CouncilConfig(tuple(panel.experts), task=task.name)
        usable([strategy], config, dev.items, members)
        self._decide = strategy.fit(GroupContext(members, task, dev.scoring, seed))

    def answers(self, questions: Accuracy) -> list[str]:
        """The group's answers; blank if it comes to none."""
        self._base.invalidate()  # a merged candidate may have been scored since
        verdicts = self._decide(questions.items)
        self.tokens_per_item = sum(verdict.tokens for verdict in verdicts) / len(verdicts)
        return [verdict.answer or "" for verdict in verdicts]
