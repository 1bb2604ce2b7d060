"""A sampler for optuna: ``optuna.create_study(sampler=SwarmSampler(seed=0))``."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from pyswarmopt.algorithms.recipe import Recipe
from pyswarmopt.algorithms.registry import as_recipe
from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.in_flight import Ticket
from pyswarmopt.driver.problem.encoding import make_coding
from pyswarmopt.driver.problem.space import Choice, Integer, Parameter, Real, Space
from pyswarmopt.parts.bounds import read_bounds
from pyswarmopt.swarm import Swarm

# optuna calls a sampler from all `n_jobs` threads; a lock inside it could not be pickled
_ONE_AT_A_TIME = threading.RLock()


class SwarmSampler(BaseSampler):
    """A sampler whose trials are positions of a swarm that moves particle by particle, so that
    trials may run in parallel.

    The swarm searches the parameters that all trials so far share; others, and the first trial, are
    drawn at random. If the shared space or the study changes, or a study is loaded again, a new
    swarm starts, at the best trials so far. For a single objective. A failed or pruned trial counts as the worst.

    Args:
        seed: the same seed and the same values give the same trials.
        recipe: one of `pyswarmopt.recipes`, or its name.
        population: particles; default: the recipe's. With more parallel trials than particles, the
            others are drawn at random.

    Example:
        >>> import optuna
        >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
        >>> study = optuna.create_study(sampler=SwarmSampler(seed=1))
        >>> study.optimize(lambda t: (t.suggest_float("x", -9, 9) - 2) ** 2, n_trials=60)
        >>> study.best_value < 0.01
        True
    """

    def __init__(
        self,
        seed: int | None = None,
        recipe: str | Recipe = "surrogate",
        population: int | None = None,
    ):
        self._seed = seed
        self._recipe = recipe
        self._population = population
        self._random = RandomSampler(seed)
        self._common = IntersectionSearchSpace()
        self._swarm: Swarm | None = None
        self._study: tuple[str, list[StudyDirection]] | None = None  # whose swarm it is
        self._searched: dict[str, BaseDistribution] = {}
        self._tickets: dict[int, Ticket] = {}

    def reseed_rng(self) -> None:
        """Use other random numbers from now on; optuna calls it in each process."""
        self._random.reseed_rng()

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The parameters that all trials so far share."""
        with _ONE_AT_A_TIME:
            self._turn_to(study)
            common = self._common.calculate(study)
        return {name: d for name, d in common.items() if not d.single()}

    def _turn_to(self, study: Study) -> None:
        """Forget another study, for which the sampler was used before."""
        asked = study.study_name, study.directions
        if self._study != asked:
            self._study = asked
            self._common = IntersectionSearchSpace()
            self._swarm = None
            self._tickets = {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Position of the next particle; empty while all particles are pending."""
        if len(study.directions) != 1:
            raise ValueError("SwarmSampler searches one objective; use another sampler for several")
        if not search_space:
            return {}
        with _ONE_AT_A_TIME:
            if self._swarm is None or search_space != self._searched:
                self._swarm = self._begin(study, search_space)
            return self._next_position(self._swarm, trial.number)

    def _next_position(self, swarm: Swarm, trial: int) -> dict[str, Any]:
        ticket = swarm.ask_one()
        if ticket is None:
            return {}
        self._tickets[trial] = ticket
        params = self._space.decode(self._coding.decode(ticket.x[None])[0])
        return {name: _value(d, params[name]) for name, d in self._searched.items()}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, distribution: Any
    ) -> Any:
        """Draw at random: a parameter not shared by all trials, or the first trial's."""
        return self._random.sample_independent(study, trial, param_name, distribution)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Tell the particle its value."""
        value = values[0] if state == TrialState.COMPLETE and values else math.nan
        with _ONE_AT_A_TIME:
            ticket = self._tickets.pop(trial.number, None)
            if ticket is not None and self._swarm is not None:
                self._swarm.tell(ticket, value)

    def _begin(self, study: Study, search_space: dict[str, BaseDistribution]) -> Swarm:
        """A swarm whose first particles are at the best trials so far, with their values."""
        self._space = space = Space({name: _parameter(d) for name, d in search_space.items()})
        self._coding = make_coding(read_bounds(space.bounds), space.integrality, space.categorical)
        self._searched = dict(search_space)
        self._tickets = {}
        maximize = study.direction is StudyDirection.MAXIMIZE
        population = self._population or as_recipe(self._recipe).population
        known = self._known(study, maximize)[:population]
        swarm = Swarm(
            positions=np.array([x for x, _ in known]) if known else None,
            bounds=self._coding.bounds(), population=population, recipe=self._recipe,
            maximize=maximize, seed=self._seed,
        )  # fmt: skip
        for _, value in known:
            ticket = swarm.ask_one()
            if ticket is not None:
                swarm.tell(ticket, value)
        return swarm

    def _known(self, study: Study, maximize: bool) -> list[tuple[Floats, float]]:
        """Positions and values of the trials so far in the search space, best first, each position
        once.
        """
        values: dict[tuple[float, ...], float] = {}
        trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        for trial in sorted(trials, key=_worth, reverse=maximize):
            if not self._searched.keys() <= trial.params.keys():
                continue
            params = {name: _steps(d, trial.params[name]) for name, d in self._searched.items()}
            # an enqueued trial may lie outside
            if all(self._space.parameter(name).allows(value) for name, value in params.items()):
                x = self._coding.encode(self._space.encode(params)[None])[0]
                values.setdefault(tuple(x.tolist()), _worth(trial))
        return [(np.array(x), value) for x, value in values.items()]


def _worth(trial: FrozenTrial) -> float:
    """The value of a complete trial."""
    return math.nan if trial.value is None else trial.value


def _parameter(distribution: BaseDistribution) -> Parameter:
    """Our parameter for optuna's; stepped ones are searched by the number of steps."""
    if isinstance(distribution, CategoricalDistribution):
        return Choice(distribution.choices)
    if not isinstance(distribution, FloatDistribution | IntDistribution):
        raise ValueError(f"{distribution}: SwarmSampler knows floats, integers and categories")
    low = distribution.low
    high = distribution.high
    step = distribution.step
    if distribution.log:
        return (Integer if isinstance(distribution, IntDistribution) else Real)(low, high, log=True)
    return Real(low, high) if step is None else Integer(0, round((high - low) / step))


def _value(distribution: BaseDistribution, value: Any) -> Any:
    """The parameter's value for a number of steps; rounding never exceeds the last value, which
    optuna would draw again.
    """
    step = getattr(distribution, "step", None)
    if step is None or getattr(distribution, "log", False):
        return value
    return min(distribution.low + value * step, distribution.high)


def _steps(distribution: BaseDistribution, value: Any) -> Any:
    """The number of steps of a value, as the swarm searches it; the inverse of `_value`."""
    step = getattr(distribution, "step", None)
    if step is None or getattr(distribution, "log", False):
        return value
    return round((value - distribution.low) / step)
