"""The default search chooses an optuna study's trials: python examples/optuna_sampler.py"""

import threading

import optuna
from optuna.distributions import CategoricalDistribution, IntDistribution

import pyswarmopt as pso

COMPLETE = (optuna.trial.TrialState.COMPLETE,)
LOCK = threading.RLock()  # optuna calls a sampler from all `n_jobs` threads


class SwarmSampler(optuna.samplers.RandomSampler):
    def __init__(self, seed=None):
        super().__init__(seed)
        self.seed, self.searched, self.pending = seed, None, {}

    def infer_relative_search_space(self, study, trial):
        latest = study.get_trials(False, COMPLETE)[-5:]
        shared = latest[-1].distributions if latest else {}
        alike = [n for n, d in shared.items() if all(t.distributions.get(n) == d for t in latest)]
        return {name: shared[name] for name in alike if not shared[name].single()}

    def sample_relative(self, study, trial, space):
        with LOCK:
            if space and (study.study_name, space) != self.searched:
                self.searched = study.study_name, space
                self.restart(study, {name: parameter(d) for name, d in space.items()})
            asked = self.pending[trial.number] = self.search.ask() if space else None
            return {} if asked is None else asked.params

    def restart(self, study, space):
        larger = study.direction is optuna.study.StudyDirection.MAXIMIZE
        self.search, self.pending = pso.Study(space=space, seed=self.seed, maximize=larger), {}
        for trial in study.get_trials(False, COMPLETE):
            known = {name: trial.params[name] for name in space if name in trial.params}
            if len(known) == len(space) and pso.Space(space).allows(known):
                self.search.tell(known, trial.value)

    def after_trial(self, study, trial, state, values):
        with LOCK:
            if asked := self.pending.pop(trial.number, None):
                self.search.tell(asked, values[0] if values else None)


def parameter(d):
    if isinstance(d, CategoricalDistribution):
        return list(d.choices)
    if isinstance(d, IntDistribution):
        return pso.integer(d.low, d.high, log=d.log, step=d.step)
    if d.step is not None:
        steps = range(round((d.high - d.low) / d.step) + 1)
        return pso.ordered(min(d.low + i * d.step, d.high) for i in steps)
    return pso.log(d.low, d.high) if d.log else (d.low, d.high)


if __name__ == "__main__":
    found = optuna.create_study(sampler=SwarmSampler(seed=0))
    found.optimize(lambda trial: trial.suggest_float("x", -9, 9) ** 2, n_trials=30)
