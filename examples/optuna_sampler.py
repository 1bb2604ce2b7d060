"""The default search of `pso.minimize` as a sampler for optuna: study.optimize chooses its trials by it.

    optuna.create_study(sampler=SwarmSampler(seed=0))

It searches the parameters of the latest trial; the first trial, and whatever is new in a trial, are drawn
at random. Where the parameters change, a new search begins with the trials known by then. One objective.
"""

from __future__ import annotations

from typing import Any

import optuna
from optuna.trial import TrialState

import pyswarmopt as pso


def parameter(distribution: Any) -> Any:
    """Our parameter for optuna's; steps of floats become a list of values."""
    if isinstance(distribution, optuna.distributions.CategoricalDistribution):
        return list(distribution.choices)
    low, high, step = distribution.low, distribution.high, distribution.step
    if isinstance(distribution, optuna.distributions.IntDistribution):
        return pso.integer(low, high, log=distribution.log, step=step)
    if step is not None:
        return pso.ordered(low + i * step for i in range(round((high - low) / step) + 1))
    return pso.log(low, high) if distribution.log else (low, high)


class SwarmSampler(optuna.samplers.RandomSampler):
    def __init__(self, seed: int | None = None) -> None:
        super().__init__(seed)
        self._seed, self._space, self._pending = seed, None, {}

    def infer_relative_search_space(self, study, trial):
        known = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        shared = known[-1].distributions if known else {}
        return {name: each for name, each in shared.items() if not each.single()}

    def sample_relative(self, study, trial, search_space):
        if not search_space:
            return {}
        if (study.study_name, search_space) != self._space:
            self._space = study.study_name, search_space
            maximize = study.direction == optuna.study.StudyDirection.MAXIMIZE
            space = {name: parameter(each) for name, each in search_space.items()}
            self._search = pso.Study(space=space, seed=self._seed, maximize=maximize)
            for old in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
                if all(old.distributions.get(name) == each for name, each in search_space.items()):
                    self._search.tell({name: old.params[name] for name in search_space}, old.value)
        asked = self._search.ask()
        if asked is not None:
            self._pending[trial.number] = asked
        return {} if asked is None else asked.params

    def after_trial(self, study, trial, state, values):
        asked = self._pending.pop(trial.number, None)
        if asked is not None:
            self._search.tell(asked, values[0] if values else None)
