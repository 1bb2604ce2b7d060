"""What a method of combining experts is: what it declares, what it is given, what it returns."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch, Score
from pyswarmopt_llm.models.adapters.adapter import Adapter
from pyswarmopt_llm.models.base import BaseModel

Need = Literal["seed", "dev", "data"]


@dataclass(frozen=True)
class Options:
    """What the user asked for; None where a method's own default holds.

    Attributes:
        weights: one per expert, or a single one for all.
        density: share of the entries that are kept, in (0, 1].
        t: how far from the first expert to the second, in [0, 1].
        rank: LoRA rank of the result in ``delta`` space; the default is the sum of the experts' ranks.
        seed: of whatever is drawn at random.
    """

    weights: tuple[float, ...] | None = None
    density: float | None = None
    t: float | None = None
    rank: int | None = None
    seed: int | None = None


class Trial(Protocol):
    """What a method that looks at items or texts is given: a resident model and a budget of scorings.

    Attributes:
        model: a transformers causal LM, with whatever patch was loaded or scored last.
        tokenizer: the model's tokenizer.
        base: where the model came from.
        spent: item evaluations so far.
    """

    model: Any
    tokenizer: Any
    base: BaseModel
    spent: int

    @property
    def left(self) -> int:
        """How often the budget still pays for all dev items."""

    def score(self, patch: Patch) -> Score:
        """The candidate's score on the dev items; one scoring.

        Raises:
            RuntimeError: the budget is spent.
        """

    def loss(self, patch: Patch) -> float:
        """Mean over dev items of -ln P(right answer | question), in nats; one scoring.

        Raises:
            RuntimeError: the budget is spent.
        """

    def load(self, patch: Patch) -> None:
        """Make the model ``base + patch``."""

    def prompts(self, expert: str) -> Sequence[str]:
        """Texts that end where the answer begins: of the expert's own data where those were given, else of dev."""

    def examples(self, expert: str) -> Sequence[Mapping[str, Any]]:
        """The expert's own training chats; empty where none were given."""

    @property
    def items_left(self) -> int:
        """Item evaluations that the budget still pays for."""

    def spend(self, items: int) -> None:
        """Book passes over single items; one forward and backward counts as three.

        Raises:
            RuntimeError: the budget lacks them.
        """


@dataclass(frozen=True)
class Settings:
    """What a method is given beside the experts: `Options`, checked and complete.

    Attributes:
        space: ``factor`` or ``delta``.
        weights: (n,) float64, one per expert.
        density: in (0, 1]; 1 where the method takes none.
        rank: rank to truncate to, or None for the sum of the experts' ranks.
        seed: seed of `generator`.
        trial: what methods that need ``dev`` or ``data`` look at; None for the others.
    """

    space: str
    weights: Tensor
    density: float = 1.0
    rank: int | None = None
    seed: int = 0
    trial: Trial | None = None

    def generator(self) -> torch.Generator:
        """A fresh generator, so that the same settings give the same result."""
        return torch.Generator().manual_seed(self.seed)

    def need_trial(self) -> Trial:
        """The trial of a method that cannot do without.

        Raises:
            ValueError: the caller gave none.
        """
        if self.trial is None:
            raise ValueError("this method scores candidates: give it a trial")
        return self.trial


@dataclass(frozen=True)
class Merged:
    """The result of a method.

    Attributes:
        patch: the candidate, of low rank.
        error: relative Frobenius error that truncation to a rank made, over all modules; 0 where nothing was cut.
        errors: module -> its own relative error, where something was cut.
    """

    patch: Patch
    error: float = 0.0
    errors: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """A way to combine experts; see the package's docstring for what is declared.

    Attributes:
        name: as in ``--method``.
        paper: author, year, arXiv number or journal.
        spaces: where it works, its own first.
        execute: does it.
        weight: default weight of each expert, or None if it takes no weights.
        density: default density, or None if it takes none.
        t: whether it takes t (for two experts, in place of weights).
        needs: what it cannot run without.
    """

    name: str
    paper: str
    spaces: tuple[str, ...]
    execute: Callable[[Sequence[Adapter], Settings], Merged]
    weight: float | None = None
    density: float | None = None
    t: bool = False
    needs: frozenset[Need] = frozenset()

    def settings(self, n: int, space: str | None = None, options: Options | None = None) -> Settings:
        """The settings for `n` experts, checked before anything is loaded.

        Raises:
            UserError: an option that the method does not take, or a value out of range.

        Example:
            >>> method = Method("sum", "me", ("delta",), lambda experts, settings: Merged(Patch()), weight=0.5)
            >>> method.settings(2).weights.tolist()
            [0.5, 0.5]
            >>> method.settings(2, options=Options(density=0.2))
            Traceback (most recent call last):
            pyswarmopt_llm.common.errors.UserError: --density: sum takes no such option; it takes --weights, --rank
        """
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
        if space is None:
            return self.spaces[0]
        if space not in self.spaces:
            near = difflib.get_close_matches(space, self.spaces, n=1)
            hint = f"did you mean {near[0]}?" if near else f"{self.name} works in {' or '.join(self.spaces)} space"
            raise UserError(f"--space {space}: {hint}")
        return space

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
    """One weight per expert: those given, the single one given n times, or the default n times."""
    if given is None:
        return (_first(default, 1.0),) * n
    if len(given) not in (1, n):
        raise UserError(f"--weights: has {len(given)} numbers for {n} experts; give one for each, or one for all")
    return given if len(given) == n else given * n


def _first(*values: float | None) -> float:
    """The first that is not None."""
    return next(value for value in values if value is not None)


__all__ = ["Merged", "Method", "Need", "Options", "Settings", "Trial"]
