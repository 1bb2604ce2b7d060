"""Groups that vote or negotiate as methods: ``vote:NAME`` and ``negotiate:NAME``."""

from __future__ import annotations

from pyswarmopt_groups.config import CouncilConfig
from pyswarmopt_groups.context import GroupContext
from pyswarmopt_groups.members.cache import CachedMember
from pyswarmopt_groups.members.local import LocalMember, SharedBase
from pyswarmopt_groups.registry import NEGOTIATIONS, VOTES, Strategy, find_names, load_strategy
from pyswarmopt_groups.validate import usable
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks import Task
from pyswarmopt_rivals.methods.ensembles.panel import Answerer, Panel
from pyswarmopt_rivals.methods.method import Method

STRATEGIES = {"vote:": VOTES, "negotiate:": NEGOTIATIONS}
SAMPLING = ("self-consistency",)  # strategies that another seed changes


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


def load_group(name: str) -> Method:
    """The group of that name as an ensemble: it counts its own tokens."""
    strategy = load_strategy(name.partition(":")[2])
    return Method(
        name,
        strategy.text,
        strategy.source,
        "comparison.groups:GroupAnswers",
        (strategy,),
        needs=frozenset({"dev", "seed"} if strategy.name.startswith(SAMPLING) else {"dev"}),
        module=strategy.module,
        open_questions="choices" not in strategy.needs,
        kind="ensemble",
    )


class GroupAnswers(Answerer):
    """The experts of a panel as members of a group, with a strategy fitted on dev."""

    def __init__(self, strategy: Strategy, panel: Panel, dev: Accuracy, seed: int) -> None:
        self._base = SharedBase(panel.engine)
        members = [
            CachedMember(LocalMember(name, name, self._base, patch), panel.store)
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
