"""Methods of combining experts: declaration, settings, result. Loads no torch, so that ``--help``
is fast.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.registry import lazy, unknown

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from pyswarmopt_llm.common.interfaces import Patch
    from pyswarmopt_llm.experts.adapter import Adapter
    from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
    from pyswarmopt_rivals.methods.ensembles.panel import Answerer, Panel
    from pyswarmopt_rivals.methods.trial import Trial

# Beside the experts: it draws; it scores candidates on dev (an ensemble: every expert answers dev);
# it looks at training or dev texts; it pays for the dev items that it evaluates.
Need = Literal["seed", "dev", "data", "budget"]


@dataclass(frozen=True)
class Options:
    """Options given by the user; None stands for a method's default."""

    weights: tuple[float, ...] | None = None  # one per expert, or a single one for all
    density: float | None = None  # fraction of entries kept, in (0, 1]
    t: float | None = None  # position between the first expert and the second, in [0, 1]
    # of the adapter that is written (``delta`` space); default: the sum of the experts' ranks
    rank: int | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Settings:
    """`Options`, checked and with the defaults filled in."""

    space: str  # ``factor`` or ``delta``
    weights: Tensor  # (n,) float64, one per expert
    density: float = 1.0
    # of the adapter that is made of the result (`changes.as_adapter`); methods ignore it
    rank: int | None = None
    seed: int = 0
    trial: Trial | None = None  # for methods that need ``dev`` or ``data``

    def generator(self) -> torch.Generator:
        """A new generator: the same settings give the same result."""
        import torch

        return torch.Generator().manual_seed(self.seed)

    def need_trial(self) -> Trial:
        """The trial of a method that cannot do without."""
        if self.trial is None:
            raise ValueError("this method scores candidates: give it a trial")
        return self.trial


@dataclass(frozen=True)
class Merged:
    """The result of a method, as its paper defines it; or what `changes.as_adapter` made of
    that.
    """

    patch: Patch  # of low rank where that is exact, else of full rank
    error: float = 0.0  # relative Frobenius error of the truncation to a rank, over all modules
    errors: Mapping[str, float] = field(default_factory=dict)  # the same of each truncated module


def on_call(module: str, name: str = "execute") -> Callable[..., Any]:
    """The function `name` of a module of this package, imported when it is first called."""
    return lazy(f"pyswarmopt_rivals.methods.{module}:{name}")


@dataclass(frozen=True)
class Method:
    """A way to make one adapter from several."""

    name: str
    text: str  # what it does, in a few words
    paper: str  # author, year, arXiv number or journal
    execute: Callable[[Sequence[Adapter], Settings], Merged]
    # Where it is defined, the default first: ``factor`` (on A and B each) and ``delta`` (on dW = s
    # B A).
    spaces: tuple[str, ...] = ("delta", "factor")
    weight: float | None = None  # default weight of each expert; None: it takes no weights
    density: float | None = None  # default density; None: it takes none
    t: bool = False  # whether it takes t (for two experts, in place of weights)
    needs: frozenset[Need] = frozenset()
    module: str | None = None  # that it needs of an extra (`common.extras`)

    def settings(
        self, n: int, space: str | None = None, options: Options | None = None
    ) -> Settings:
        """The settings for `n` experts, checked before anything is loaded.

        Example:
            >>> method = Method("sum", "a sum", "me", lambda experts, settings: Merged(Patch()), ("delta",), weight=0.5)
            >>> method.settings(2).weights.tolist()
            [0.5, 0.5]
            >>> method.settings(2, options=Options(density=0.2))
            Traceback (most recent call last):
            pyswarmopt_llm.common.errors.InvalidOption: density: sum takes no such option; it takes weights, rank
        """
        import torch

        options = options or Options()
        if space is not None and space not in self.spaces:
            raise unknown(
                "space",
                space,
                self.spaces,
                f"{self.name} works in {' or '.join(self.spaces)} space",
            )
        space = space or self.spaces[0]
        self._check_taken(space, options)
        _check_ranges(options)
        weights = (
            _weights_from_t(options, n)
            if options.t is not None
            else _spread(options.weights, self.weight, n)
        )
        density = options.density or self.density or 1.0
        return Settings(
            space,
            torch.tensor(weights, dtype=torch.float64),
            density,
            options.rank,
            options.seed or 0,
        )

    def _check_taken(self, space: str, options: Options) -> None:
        """Refuse options that the method does not take in that space."""
        takes = {
            "weights": self.weight is not None,
            "t": self.t,
            "density": self.density is not None,
            "rank": space == "delta",
            "seed": "seed" in self.needs,
        }
        taken = [f"`{name}`" for name in takes if takes[name]]
        for name in takes:
            if getattr(options, name) is not None and not takes[name]:
                where = f" in {space} space" if name == "rank" else ""
                rest = ", ".join(taken) or "none"
                raise InvalidOption(
                    name, None, f"{self.name} takes no such option{where}; it takes {rest}"
                )


@dataclass(frozen=True)
class Ensemble:
    """A way to answer items that is not one adapter: most run all experts on every item."""

    name: str
    text: str
    paper: str
    fit: Callable[[Panel, Accuracy, int], Answerer]  # from the panel, the dev items and a seed
    needs: frozenset[Need] = frozenset()
    open_questions: bool = False  # whether it can answer items without choices
    module: str | None = None  # that it needs of an extra (`common.extras`)


def _check_ranges(options: Options) -> None:
    if options.density is not None and not 0 < options.density <= 1:
        raise InvalidOption(
            "density", options.density, "is the fraction of entries kept; give a number in (0, 1]"
        )
    if options.t is not None and not 0 <= options.t <= 1:
        raise InvalidOption(
            "t", options.t, "is the position between two experts; give a number from 0 to 1"
        )
    if options.rank is not None and options.rank < 1:
        raise InvalidOption("rank", options.rank, "give at least 1")
    if options.seed is not None and not 0 <= options.seed < 2**63:
        raise InvalidOption("seed", options.seed, "give 0 or more, below 2^63")
    if options.weights is not None and not all(map(math.isfinite, options.weights)):
        raise InvalidOption("weights", None, "holds NaN or infinity; give finite numbers")


def _weights_from_t(options: Options, n: int) -> tuple[float, ...]:
    if options.t is None or n != 2:
        raise InvalidOption(
            "t", None, f"goes with two experts, not with {n}; give `weights` instead"
        )
    if options.weights is not None:
        raise InvalidOption("t", None, "says the same as `weights`; give one of them")
    return (1 - options.t, options.t)


def _spread(weights: tuple[float, ...] | None, default: float | None, n: int) -> tuple[float, ...]:
    """A weight for each expert; a single one, or the default, is for all."""
    if weights is None:
        return (1.0 if default is None else default,) * n
    if len(weights) not in (1, n):
        why = f"has {len(weights)} numbers for {n} experts; give one for each, or one for all"
        raise InvalidOption("weights", None, why)
    return weights if len(weights) == n else weights * n
