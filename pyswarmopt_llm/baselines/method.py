"""What a method of combining experts declares, is given, and returns. Loads no torch, so that ``--help`` is fast."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.registry import unknown

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from pyswarmopt_llm.baselines.ensembles.panel import Answerer, Panel
    from pyswarmopt_llm.common.interfaces import Patch, Score
    from pyswarmopt_llm.metrics.accuracy import Accuracy
    from pyswarmopt_llm.models.adapters.adapter import Adapter
    from pyswarmopt_llm.models.base import BaseModel
    from pyswarmopt_llm.models.choices import Choices
    from pyswarmopt_llm.models.engines.transformers import TransformersEngine

Need = Literal["seed", "dev", "data", "budget"]


@dataclass(frozen=True)
class Options:
    """Options given by the user; None stands for a method's default.

    Attributes:
        weights: one per expert, or a single one for all.
        density: share of the entries that are kept, in (0, 1].
        t: position between the first expert and the second, in [0, 1].
        rank: LoRA rank of the result in ``delta`` space; default: the sum of the experts' ranks.
        seed: random seed.
    """

    weights: tuple[float, ...] | None = None
    density: float | None = None
    t: float | None = None
    rank: int | None = None
    seed: int | None = None


class Trial(Protocol):
    """A resident model and an evaluation budget, for methods that look at items or texts.

    Attributes:
        model: a transformers causal LM, with the patch that was loaded or scored last.
        tokenizer: the model's tokenizer.
        base: where the model came from.
        engine: runs the model.
        choices: the dev items that have a right answer, as they are scored.
        spent: item evaluations so far.
    """

    model: Any
    tokenizer: Any
    base: BaseModel
    engine: TransformersEngine
    choices: Sequence[Choices]
    spent: int

    @property
    def left(self) -> int:
        """How many times the rest of the budget covers all dev items."""

    def score(self, patch: Patch) -> Score:
        """The candidate's score on dev; one pass over dev.

        Raises:
            RuntimeError: the budget is spent.
        """

    def score_items(self, patch: Patch, items: Sequence[int]) -> Score:
        """The candidate's score on these dev items alone, by their places in dev; one pass over each of them.

        Raises:
            RuntimeError: the budget does not cover them.
        """

    def loss(self, patch: Patch) -> float:
        """Mean over dev items of -ln P(right answer | question), in nats; one pass over dev.

        Raises:
            RuntimeError: the budget is spent.
        """

    def load(self, patch: Patch) -> None:
        """Make the model ``base + patch``."""

    def prompts(self, expert: str) -> Sequence[str]:
        """Texts that end where the answer begins: from the expert's own data if given, else from dev."""

    def examples(self, expert: str) -> Sequence[Mapping[str, Any]]:
        """The expert's own training chats; empty if none were given."""

    @property
    def items_left(self) -> int:
        """Item evaluations left in the budget."""

    def spend(self, items: int) -> None:
        """Charge passes over single items; a forward with a backward pass counts as three.

        Raises:
            RuntimeError: the budget does not cover them.
        """


@dataclass(frozen=True)
class Settings:
    """`Options`, checked and with the defaults filled in.

    Attributes:
        space: ``factor`` or ``delta``.
        weights: (n,) float64, one per expert.
        density: in (0, 1]; 1 where the method takes none.
        rank: rank to truncate to; None for the sum of the experts' ranks.
        seed: seed of `generator`.
        trial: for methods that need ``dev`` or ``data``; None for the others.
    """

    space: str
    weights: Tensor
    density: float = 1.0
    rank: int | None = None
    seed: int = 0
    trial: Trial | None = None

    def generator(self) -> torch.Generator:
        """A new generator: the same settings give the same result."""
        import torch

        return torch.Generator().manual_seed(self.seed)

    def need_trial(self) -> Trial:
        """The trial.

        Raises:
            ValueError: there is none.
        """
        if self.trial is None:
            raise ValueError("this method scores candidates: give it a trial")
        return self.trial


@dataclass(frozen=True)
class Merged:
    """The result of a method.

    Attributes:
        patch: the candidate, of low rank.
        error: relative Frobenius error of the truncation to a rank, over all modules; 0 if nothing was truncated.
        errors: module -> its own relative error, for truncated modules.
    """

    patch: Patch
    error: float = 0.0
    errors: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class OnCall:
    """A function of this package, imported when it is first called.

    Attributes:
        module: relative to `pyswarmopt_llm.baselines`.
        name: in that module.
    """

    module: str
    name: str = "execute"

    def __call__(self, *arguments: Any) -> Any:
        """Call it."""
        return getattr(importlib.import_module(f"pyswarmopt_llm.baselines.{self.module}"), self.name)(*arguments)


@dataclass(frozen=True)
class Method:
    """A way to make one adapter from several.

    Attributes:
        name: as in ``--method``.
        text: what it does, in a few words.
        paper: author, year, arXiv number or journal.
        execute: merges the experts.
        spaces: where it is defined, the default first: ``factor`` (on A and B each) and ``delta`` (on dW = s B A).
        weight: default weight of each expert; None if it takes no weights.
        density: default density; None if it takes none.
        t: whether it takes t (for two experts, in place of weights).
        needs: beside the experts: ``seed`` if it draws, ``dev`` if it scores candidates, ``data`` if it looks at
            training or dev texts.
        module: that it needs of an extra (`common.extras`).
    """

    name: str
    text: str
    paper: str
    execute: Callable[[Sequence[Adapter], Settings], Merged]
    spaces: tuple[str, ...] = ("delta", "factor")
    weight: float | None = None
    density: float | None = None
    t: bool = False
    needs: frozenset[Need] = frozenset()
    module: str | None = None

    def settings(self, n: int, space: str | None = None, options: Options | None = None) -> Settings:
        """The settings for `n` experts, checked before anything is loaded.

        Raises:
            UserError: an option that the method does not take, or a value out of range.

        Example:
            >>> method = Method("sum", "a sum", "me", lambda experts, settings: Merged(Patch()), ("delta",), weight=0.5)
            >>> method.settings(2).weights.tolist()
            [0.5, 0.5]
            >>> method.settings(2, options=Options(density=0.2))
            Traceback (most recent call last):
            pyswarmopt_llm.common.errors.UserError: --density: sum takes no such option; it takes --weights, --rank
        """
        import torch

        options = options or Options()
        space = self._space(space)
        self._refuse_others(space, options)
        _check_ranges(options)
        weights = _weights_from_t(options, n) if options.t is not None else _spread(options.weights, self.weight, n)
        return Settings(
            space=space,
            weights=torch.tensor(weights, dtype=torch.float64),
            density=_first(options.density, self.density, 1.0),
            rank=options.rank,
            seed=options.seed or 0,
        )

    def _space(self, space: str | None) -> str:
        if space is not None and space not in self.spaces:
            raise unknown("--space", space, self.spaces, f"{self.name} works in {' or '.join(self.spaces)} space")
        return space or self.spaces[0]

    def takes(self, space: str) -> tuple[str, ...]:
        """The options that it takes in that space, by their names on the command line."""
        given = {
            "weights": self.weight is not None,
            "t": self.t,
            "density": self.density is not None,
            "rank": space == "delta",
            "seed": "seed" in self.needs,
        }
        return tuple(name for name, taken in given.items() if taken)

    def _refuse_others(self, space: str, options: Options) -> None:
        taken = self.takes(space)
        for name in ("weights", "t", "density", "rank", "seed"):
            if getattr(options, name) is not None and name not in taken:
                where = f" in {space} space" if name == "rank" else ""
                known = f"it takes {', '.join(f'--{one}' for one in taken)}" if taken else "it takes none"
                raise UserError(f"--{name}: {self.name} takes no such option{where}; {known}")


@dataclass(frozen=True)
class Ensemble:
    """A way to answer items that is not one adapter: most run all experts on every item.

    Attributes:
        name: as in ``--methods``.
        text: what it does, in a few words.
        paper: author, year, arXiv number or journal.
        fit: from the panel, the dev items and a seed to what answers items.
        needs: ``dev`` if every expert answers the dev items, ``seed`` if it draws, ``budget`` if it pays for the dev
            items that it evaluates (`Panel.need_budget`).
        open_questions: whether it can answer items without choices.
        module: that it needs of an extra (`common.extras`).
    """

    name: str
    text: str
    paper: str
    fit: Callable[[Panel, Accuracy, int], Answerer]
    needs: frozenset[Need] = frozenset()
    open_questions: bool = False
    module: str | None = None


def _check_ranges(options: Options) -> None:
    if options.density is not None and not 0 < options.density <= 1:
        raise UserError(f"--density {options.density:g}: is the share of entries kept; give more than 0 and at most 1")
    if options.t is not None and not 0 <= options.t <= 1:
        raise UserError(f"--t {options.t:g}: is how far from the first expert to the second; give 0 to 1")
    if options.rank is not None and options.rank < 1:
        raise UserError(f"--rank {options.rank}: give at least 1")
    if options.seed is not None and not 0 <= options.seed < 2**63:
        raise UserError(f"--seed {options.seed}: give 0 or more, below 2^63")
    if options.weights is not None and not all(math.isfinite(weight) for weight in options.weights):
        raise UserError("--weights: holds NaN or infinity; give finite numbers")


def _weights_from_t(options: Options, n: int) -> tuple[float, ...]:
    if options.t is None or n != 2:
        raise UserError(f"--t: goes with two experts, not with {n}; give --weights instead")
    if options.weights is not None:
        raise UserError("--t: says the same as --weights; give one of them")
    return (1 - options.t, options.t)


def _spread(given: tuple[float, ...] | None, default: float | None, n: int) -> tuple[float, ...]:
    """One weight per expert: those given, or the single one or the default n times."""
    if given is None:
        return (_first(default, 1.0),) * n
    if len(given) not in (1, n):
        raise UserError(f"--weights: has {len(given)} numbers for {n} experts; give one for each, or one for all")
    return given if len(given) == n else given * n


def _first(*values: float | None) -> float:
    """The first that is not None."""
    return next(value for value in values if value is not None)


__all__ = ["Ensemble", "Merged", "Method", "Need", "OnCall", "Options", "Settings", "Trial"]
