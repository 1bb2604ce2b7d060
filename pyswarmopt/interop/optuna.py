"""A sampler for optuna: ``optuna.create_study(sampler=SwarmSampler(seed=0))``."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from pyswarmopt import study as ours
from pyswarmopt.driver.problem.parameters import Real, integer, ordered
from pyswarmopt.driver.problem.space import Space

LATEST = 5  # trials that must agree on a parameter before it is searched
COMPLETE = (TrialState.COMPLETE,)
# optuna calls a sampler from all `n_jobs` threads; a lock inside it could not be pickled
_ONE_AT_A_TIME = threading.RLock()


class SwarmSampler(BaseSampler):
    """An optuna sampler that runs the default search of `minimize`, for one objective.

    It searches the parameters that the latest five trials share, with their latest ranges. Other
    parameters and the first trial are drawn at random. If this space or the study changes, a new
    search starts from the earlier trials in its space. Failed and pruned trials count as failed
    evaluations.

    Args:
        seed: the same seed and values give the same trials, unless trials run in parallel.

    Example:
        >>> import optuna
        >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
        >>> study = optuna.create_study(sampler=SwarmSampler(seed=1))
        >>> study.optimize(lambda t: (t.suggest_float("x", -9, 9) - 2) ** 2, n_trials=30)
        >>> study.best_value < 0.01
        True
    """

    def __init__(self, seed: int | None = None) -> None:
        self._seed = seed
        self._random = RandomSampler(seed)
        self._searched: tuple[str, dict[str, BaseDistribution]] | None = None
        self._pending: dict[int, ours.Trial] = {}

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The parameters that the latest trials share."""
        latest = study.get_trials(deepcopy=False, states=COMPLETE)[-LATEST:]
        shared = latest[-1].distributions if latest else {}
        return {
            name: distribution
            for name, distribution in shared.items()
            if not distribution.single()
            and all(trial.distributions.get(name) == distribution for trial in latest)
        }

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The search's next point; empty while it waits for pending trials."""
        if len(study.directions) != 1:
            raise ValueError(
                "SwarmSampler supports only one objective; use another sampler for several"
            )
        if not search_space:
            return {}
        searched = study.study_name, search_space
        with _ONE_AT_A_TIME:
            if searched != self._searched:
                self._restart(study, search_space)
                self._searched = searched
            asked = self._search.ask()
            if asked is None or asked.params is None:
                return {}
            self._pending[trial.number] = asked
        return asked.params

    def _restart(self, study: Study, search_space: dict[str, BaseDistribution]) -> None:
        parameters = {name: _parameter(d) for name, d in search_space.items()}
        space = Space(parameters)
        maximize = study.direction is StudyDirection.MAXIMIZE
        self._search = ours.Study(space=parameters, seed=self._seed, maximize=maximize)
        self._pending = {}
        for trial in study.get_trials(deepcopy=False, states=COMPLETE):
            if not search_space.keys() <= trial.params.keys():
                continue
            params = {name: trial.params[name] for name in search_space}
            if space.allows(params):
                self._search.tell(params, trial.value)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, distribution: Any
    ) -> Any:
        """Draw the parameter at random."""
        return self._random.sample_independent(study, trial, param_name, distribution)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Tell the search the trial's value."""
        with _ONE_AT_A_TIME:
            asked = self._pending.pop(trial.number, None)
            if asked is not None:
                # a pruned trial may have an intermediate value
                value = values[0] if values and state in COMPLETE else None
                self._search.tell(asked, value)


def _parameter(distribution: BaseDistribution) -> Any:
    """Our parameter for optuna's."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    if isinstance(distribution, IntDistribution):
        step = distribution.step
        return integer(distribution.low, distribution.high, log=distribution.log, step=step)
    if not isinstance(distribution, FloatDistribution):
        raise ValueError(
            f"SwarmSampler does not support {distribution}; use float, int or categorical"
        )
    low = distribution.low
    high = distribution.high
    if distribution.step is not None:
        count = round((high - low) / distribution.step)
        return ordered(min(low + i * distribution.step, high) for i in range(count + 1))
    return Real(low, high, distribution.log)


__all__ = ["SwarmSampler"]

__dir__ = __all__.copy
