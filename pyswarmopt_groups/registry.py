"""All strategies by name; importing this module loads no model code.

To add one: a function of `GroupContext`, items and settings that returns verdicts, in a file of
`ensembles/` or `negotiation/`, a line in `strategies`, and an entry in `VOTES` or `NEGOTIATIONS`.

Example:
    >>> VOTES["borda"].source
    'de Borda 1784'
    >>> load_strategy("nearest:4").values, load_strategy("refine:pass=different").values
    ((4,), (3, 'different', 256))
    >>> find_names(["vote:majority", "weighted"], VOTES)
    Traceback (most recent call last):
    pyswarmopt_llm.common.errors.UserError: strategy vote:majority is unknown; use all, or some of: ...
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.options import Option
from pyswarmopt_llm.common.registry import lookup, unknown

if TYPE_CHECKING:
    from pyswarmopt_groups.context import GroupContext, GroupVerdict
    from pyswarmopt_llm.scores.tasks import Item

Need = Literal["reward", "texts", "dev", "choices", "likelihoods", "embeddings"]
Value = int | float | str

_ANY = Option("")
_AT_LEAST_1 = Option("", least=1)


@dataclass(frozen=True)
class Hyperparameter:
    """A hyperparameter of a strategy: its value (the default at first), and its range."""

    name: str
    value: Value
    bounds: Option = _ANY

    def read(self, strategy: str, text: str) -> Hyperparameter:
        """The hyperparameter with a value read from text.

        Raises:
            InvalidOption: the value is out of range, or not a number although the default is one.
        """
        try:
            value = type(self.value)(text)
            self.bounds.check(self.name, value)
        except ValueError as error:
            why = f": {self.name} must be a number, not {text} (default: {self.value})"
            raise InvalidOption("strategy", strategy, why) from error
        except InvalidOption as error:
            raise InvalidOption("strategy", strategy, f": {self.name} {error.why}") from error
        return replace(self, value=value)


@dataclass(frozen=True)
class Strategy:
    """A strategy of a group, with what it needs.

    Attributes:
        name: name for users.
        source: author, year, arXiv number or journal.
        function: name of its function in `strategies`, which is imported on use.
        needs: requirements; ``embeddings``: a model in this process, ``texts``: members that do
            more than vote, ``reward``: a reward model.
        arguments: arguments of the function after the context and the items.
        settings: hyperparameters, passed after `arguments`. A user appends them to the name:
            ``refine:rounds=2:pass=different``; the first one needs no name: ``nearest:4``.
        tolerant: whether the strategy continues when members fail.
    """

    name: str
    source: str
    function: str
    needs: Collection[Need] = ()
    arguments: tuple[Value, ...] = ()
    settings: tuple[Hyperparameter, ...] = ()
    tolerant: bool = False

    @property
    def values(self) -> tuple[Value, ...]:
        """The function's arguments, after the context and the items."""
        return (*self.arguments, *(setting.value for setting in self.settings))

    @property
    def usage(self) -> str:
        """The name with its settings, as a user would write it."""
        pairs = [f":{part.name}={part.value or part.name.upper()}" for part in self.settings]
        return "".join([self.name, *pairs])

    def value(self, setting: str) -> Value | None:
        """The value of a setting; None if the strategy has no such setting."""
        return next((part.value for part in self.settings if part.name == setting), None)

    def with_settings(self, text: str) -> Strategy:
        """The strategy with settings, written as in a name.

        Raises:
            InvalidOption: a value is out of range, or the strategy has no such setting.
        """
        name = f"{self.name}:{text}"
        settings = {setting.name: setting for setting in self.settings}
        for index, part in enumerate(re.split(r":(?=\w+=)", text)):
            key, _, value = part.partition("=")
            if index == 0 and self.settings and key not in settings:
                key = self.settings[0].name
                value = part
            if key not in settings:
                raise InvalidOption("strategy", name, f"has no setting {key}; use {self.usage}")
            settings[key] = settings[key].read(name, value)
        return replace(self, name=name, settings=tuple(settings.values()))

    def decide(self, context: GroupContext, items: Sequence[Item]) -> list[GroupVerdict]:
        """A verdict on each item, after fitting on dev where needed."""
        from pyswarmopt_groups.strategies import FUNCTIONS

        verdicts: list[GroupVerdict] = FUNCTIONS[self.function](context, items, *self.values)
        return verdicts

    def measures(self, verdicts: Sequence[GroupVerdict]) -> dict[str, Any]:
        """Further metrics for the strategy's row of ``result.json``."""
        from pyswarmopt_groups.strategies import MEASURES

        if self.function not in MEASURES:
            return {}
        return MEASURES[self.function](verdicts, *self.values)


def _table(*strategies: Strategy) -> dict[str, Strategy]:
    return {strategy.name: strategy for strategy in strategies}


_NEIGHBOURS = Hyperparameter("neighbours", 15, _AT_LEAST_1)

# fmt: off
VOTES = _table(
    Strategy("majority", "Wang et al. 2023, arXiv 2203.11171", "majority"),
    Strategy("weighted", "Nitzan and Paroush 1982", "weighted", {"dev"}),
    Strategy("confidence", "Taubenfeld et al. 2025, arXiv 2502.06233", "confidence",
             {"dev", "choices"}),
    Strategy("stacked", "Wolpert 1992; Ting and Witten 1999, arXiv 1105.5466",
             "stacked", {"dev", "choices"}),
    Strategy("trust", "Dawid and Skene 1979", "trusted", {"dev"}),
    Strategy("borda", "de Borda 1784", "ranked", arguments=("borda",)),
    Strategy("condorcet", "Schulze 2011", "ranked", arguments=("condorcet",)),
    Strategy("nearest", "Ko, Sabourin and Britto 2008", "nearest",
             {"dev", "embeddings"}, settings=(_NEIGHBOURS,)),
    Strategy("attention", "Jacobs et al. 1991", "attentive",
             {"dev", "choices", "embeddings"},
             settings=(Hyperparameter("strength", 10.0, Option("", above=0)),)),
    Strategy("cascade", "Wald 1945; Chen et al. 2023, arXiv 2305.05176", "cascade",
             {"dev", "choices"}),
    Strategy("route-neighbours", "Woods, Kegelmeyer and Bowyer 1997", "by_neighbours",
             {"dev", "embeddings"}, settings=(_NEIGHBOURS,)),
    Strategy("fuse", "Jiang, Ren and Lin 2023, arXiv 2306.02561", "fuse", {"texts"}),
    Strategy("self-consistency", "Wang et al. 2023, arXiv 2203.11171",
             "self_consistency", {"texts"},
             settings=(Hyperparameter("samples", 5, _AT_LEAST_1),
                       Hyperparameter("temperature", 0.7, Option("", above=0, below=100)))),
    Strategy("reward", "Cobbe et al. 2021, arXiv 2110.14168", "reward", {"reward"},
             settings=(Hyperparameter("model", ""),)),
)

NEGOTIATIONS = _table(
    Strategy("refine", "Du et al. 2023, arXiv 2305.14325", "refine", {"texts"},
             settings=(Hyperparameter("rounds", 3, _AT_LEAST_1),
                       Hyperparameter("pass", "supported", Option("", choices=("supported", "different"))),
                       Hyperparameter("budget", 256, Option("", least=0)))),
    Strategy("consensus", "Lamport 1998", "consensus", {"texts"}, tolerant=True),
    Strategy("game", "Jacob et al. 2023, arXiv 2310.09139", "consensus_game",
             {"likelihoods"}),
    Strategy("stackelberg", "Conitzer and Sandholm 2006", "leader_and_follower",
             {"dev", "choices"}),
    Strategy("coalition", "Mangal et al. 2024, arXiv 2408.01380", "coalition",
             {"dev", "texts"}),
    Strategy("societies", "Zhang et al. 2023, arXiv 2310.02124", "society", {"texts"},
             settings=(Hyperparameter("agents", 3, _AT_LEAST_1), Hyperparameter("rounds", 3, _AT_LEAST_1))),
)
# fmt: on

# society:cce:ddr: two confident agents and an easy-going one debate twice, then reflect
SOCIETY = "society"


def society_names(agents: int, rounds: int) -> list[str]:
    """All societies of Zhang et al.: from all confident to all easy-going, with every order of
    debate and reflection.

    Example:
        >>> society_names(1, 1)
        ['society:c:d', 'society:c:r', 'society:e:d', 'society:e:r']
    """
    traits = ["c" * (agents - easy) + "e" * easy for easy in range(agents + 1)]
    patterns = ["".join(order) for order in itertools.product("dr", repeat=rounds)]
    return [f"{SOCIETY}:{who}:{how}" for who in traits for how in patterns]


def find_names(names: Sequence[str], table: Collection[str]) -> list[str]:
    """The strategies named by a user, without duplicates; ``all`` and ``societies`` are expanded.

    Raises:
        UserError: the list is empty, or a name is unknown; the message suggests the nearest or
            lists all.
    """
    expanded: list[str] = []
    for name in itertools.chain.from_iterable(
        table if name == "all" else (name,) for name in names
    ):
        kind = name.partition(":")[0]
        if kind not in table and not (kind == SOCIETY and "societies" in table):
            raise unknown("`strategy`", name, table, f"use all, or some of: {', '.join(table)}")
        if kind == "societies":
            agents, rounds = load_strategy(name).values
            expanded += society_names(int(agents), int(rounds))
        else:
            expanded.append(name)
    if not expanded:
        raise UserError(f"`strategy` is missing; use all, or some of: {', '.join(table)}")
    return list(dict.fromkeys(expanded))


def load_strategy(name: str) -> Strategy:
    """The strategy for a name accepted by `find_names`.

    Raises:
        UserError: the name is unknown, settings are invalid, or a society has unknown traits or
            patterns.
    """
    kind, colon, text = name.partition(":")
    if kind != SOCIETY:
        strategy = lookup("strategy", kind, {**VOTES, **NEGOTIATIONS})
        if colon:
            return strategy.with_settings(text)
        return strategy
    traits, _, patterns = text.partition(":")
    if not traits or not patterns or set(traits) - set("ce") or set(patterns) - set("dr"):
        raise UserError(
            f"`strategy` {name}: use society:TRAITS:PATTERNS, such as society:cce:ddr "
            "(c confident, e easy-going; d debate, r reflect)"
        )
    return replace(NEGOTIATIONS["societies"], name=name, arguments=(traits, patterns), settings=())
