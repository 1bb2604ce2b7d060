"""Methods of combining experts: declaration, settings, result. Loads no torch, so ``--help`` is
fast.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.registry import unknown

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from pyswarmopt_llm.common.interfaces import Patch, Score
    from pyswarmopt_llm.experts.adapter import Adapter
    from pyswarmopt_rivals.bench import Bench, BudgetedBench

# Needs besides the experts: random draws; scored candidates on dev (an ensemble: every expert
# answers dev); training or dev texts.
Need = Literal["seed", "dev", "data"]
Kind = Literal["rule", "ensemble", "searching", "optimizer"]
DELTA = ("delta",)
FACTOR_FIRST = ("factor", "delta")
BOTH = ("delta", "factor")

ITEM_MODEL = "item-model"  # candidates that a model of the items proposes, as `search` by default
WITH_DEV = f"{ITEM_MODEL}+dev"  # methods whose result is trained on dev; see `train_on_labels`
RANDOM = "random-adapters"  # item-model on random adapters


@dataclass(frozen=True)
class Settings:
    """The input of a method, see `Method.settings`."""

    space: str  # ``factor`` or ``delta``
    weights: Tensor  # (n,) float64, one per expert
    density: float = 1.0  # fraction of entries to keep, in (0, 1]
    seed: int = 0
    experts: Sequence[Adapter] = ()
    trial: BudgetedBench = None  # type: ignore[assignment]  # of methods that need more than a seed

    def generator(self) -> torch.Generator:
        """A new generator, so that the same settings give the same result."""
        import torch

        return torch.Generator().manual_seed(self.seed)


@dataclass(frozen=True)
class Merged:
    """A method's model, as its paper defines it, or truncated by `changes.as_adapter`."""

    patch: Patch  # low-rank if exact, else full-rank
    error: float = 0.0  # relative Frobenius error of the truncation, over all modules
    dev: Score | None = None  # cross-fitted values of a result trained on dev

    models = 1  # models run per item

    @property
    def rank(self) -> int | str:
        """Rank of the weight changes: the largest LoRA rank, or ``full``."""
        if self.patch.full_rank:
            return "full"
        return max((len(change.a) for change in self.patch.low_rank.values()), default=0)

    def score(self, bench: Bench, split: str) -> Score:
        """The score on a split."""
        if split == "dev" and self.dev is not None:
            return self.dev
        return bench.score(self.patch, split)


@dataclass(frozen=True)
class Method:
    """A way to combine experts.

    Attributes:
        name: name in ``--methods``.
        paper: author, year, arXiv number or journal.
        function: name of its function in `functions`, which is imported on use.
        arguments: arguments of the function before settings.
        spaces: spaces where it is defined, the default first: ``factor`` (on A and B each) and
            ``delta`` (on dW = s B A).
        weight: default weight of each expert; None: it takes no weights.
        even: whether the default weight of each expert is 1/n.
        density: default density; None: it takes none.
        needs: needs besides the experts.
        module: required module of an extra (`common.extras`).
        open_questions: whether an ensemble can answer items without choices.
        kind: kind of result: a model from a fixed rule, from a search, or from an optimizer of the
            coefficients; or an ensemble.
    """

    name: str
    paper: str
    function: str
    arguments: tuple[Any, ...] = ()
    spaces: tuple[str, ...] = BOTH
    weight: float | None = None
    even: bool = False
    density: float | None = None
    needs: frozenset[Need] = frozenset()
    module: str | None = None
    open_questions: bool = False
    kind: Kind = "rule"

    def execute(self, experts: Sequence[Adapter], settings: Settings) -> Any:
        """Apply the method to these experts; returns a `Merged`, or an `Answerer` for an ensemble."""
        from pyswarmopt_rivals.methods.functions import FUNCTIONS

        return FUNCTIONS[self.function](*self.arguments, replace(settings, experts=experts))

    @property
    def chance(self) -> bool:
        """Whether the seed matters."""
        return "seed" in self.needs

    def settings(self, n: int, space: str | None = None, **options: Any) -> Settings:
        """The settings for `n` experts, checked before anything is loaded.

        Args:
            n: number of experts.
            space: ``factor``, ``delta``, or None for the method's default.
            **options: ``weights`` (one per expert, or a single one for all), ``density``, ``rank``,
                ``seed``; None stands for the method's default.

        Example:
            >>> method = Method("sum", "me", "sum", spaces=("delta",), weight=0.5)
            >>> method.settings(2).weights.tolist()
            [0.5, 0.5]
            >>> method.settings(2, density=0.2)
            Traceback (most recent call last):
            pyswarmopt_llm.common.errors.InvalidOption: density: sum does not accept ...
        """
        import torch

        if space is not None and space not in self.spaces:
            where = f"{self.name} works in {' or '.join(self.spaces)} space"
            raise unknown("space", space, self.spaces, where)
        space = space or self.spaces[0]
        given = {name: value for name, value in options.items() if value is not None}
        self._check_taken(space, given)
        default = self.weight or 1.0
        if self.even:
            default = 1 / n
        weights = _spread(given.get("weights", (default,)), n)
        return Settings(
            space,
            torch.tensor(weights, dtype=torch.float64),
            given.get("density", self.density or 1.0),
            seed=given.get("seed", 0),
        )

    def _check_taken(self, space: str, given: Collection[str]) -> None:
        """Refuse options that the method does not take in this space."""
        takes = {
            "weights": self.even or self.weight is not None,
            "density": self.density is not None,
            "rank": space == "delta",
            "seed": self.chance,
        }
        for name in given:
            if not takes[name]:
                where = ""
                if name == "rank":
                    where = f" in {space} space"
                rest = ", ".join(f"`{other}`" for other in takes if takes[other]) or "none"
                why = f": {self.name} does not accept this option{where}; it accepts {rest}"
                raise InvalidOption(name, None, why)


def _spread(weights: tuple[float, ...], n: int) -> tuple[float, ...]:
    """A weight for each expert; a single one applies to all."""
    if len(weights) == n:
        return weights
    if len(weights) == 1:
        return weights * n
    why = f"has {len(weights)} numbers for {n} experts; use one per expert, or one for all"
    raise InvalidOption("weights", None, why)
