"""A sampler for optuna: ``optuna.create_study(sampler=SwarmSampler(seed=0))``."""

from __future__ import annotations

import threading
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
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
from pyswarmopt.driver.problem.parameters import Real, fixed, integer, ordered
from pyswarmopt.driver.problem.space import Space

LATEST = 5  # trials that must agree on a parameter before it is searched
RANDOM = 10  # first trials in a space with branches
STRAYS = 10  # draws of a parameter outside the searched space before a warning
TURN = 5  # every fifth trial there tries another branch, every tenth draws one at random
COMPLETE = (TrialState.COMPLETE,)
# optuna calls a sampler from all `n_jobs` threads; a lock inside it could not be pickled
_ONE_AT_A_TIME = threading.RLock()

Distributions = dict[str, BaseDistribution]
Branch = frozenset[str]  # the parameters of a trial that have several values
Branches = dict[Branch, list[FrozenTrial]]


@dataclass
class _Search:
    """The search of one branch.

    Attributes:
        distributions: what it searches.
        space: the same as our parameters.
        study: proposes points.
        told: numbers of the trials that it knows.
    """

    distributions: Distributions
    space: Space
    study: ours.Study
    told: set[int] = field(default_factory=set)

    def tell(self, trial: FrozenTrial) -> None:
        """Report a complete trial, unless it is known or outside the space."""
        if trial.number in self.told or not self.distributions.keys() <= trial.params.keys():
            return
        self.told.add(trial.number)
        params = {name: trial.params[name] for name in self.distributions}
        if self.space.allows(params):
            self.study.tell(params, trial.value)


class SwarmSampler(BaseSampler):
    """An optuna sampler that runs the default search of `minimize`, for one objective.

    It searches the parameters that the latest five trials share, with their latest ranges. The
    first trial is drawn at random, and so are parameters whose range keeps changing, with a
    warning. If the space or the study changes, a new search starts from the earlier trials in its
    space. Failed and pruned trials count as failed evaluations.

    If parameters exist only under some choices, trials with the same parameters are a branch, which
    has a search of its own. A parameter that keeps appearing in trials of a branch without it is drawn
    at random, with a warning. After ten random trials, four of five trials are in the branch of the
    best one; the others are in the branch with the fewest trials or drawn at random.

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
        self._study_name = ""
        self._searches: dict[Branch, _Search] = {}
        self._pending: dict[int, tuple[Branch, _Search, ours.Trial]] = {}
        self._strays: Counter[Branch] = Counter()  # trials in a row that left their branch
        self._outside: Counter[str] = Counter()  # draws of a parameter outside the searched space
        self._spaces: dict[int, Distributions] = {}  # searched space of each running trial
        self._warned: set[str] = set()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> Distributions:
        """The parameters of one branch whose ranges its latest trials share."""
        if len(study.directions) != 1:
            raise ValueError(
                "SwarmSampler supports only one objective; use another sampler for several"
            )
        with _ONE_AT_A_TIME:
            branches = self._branches(study)
            branch = _chosen(branches, trial.number, study.direction)
            if branch is None:
                return {}
            self._warn_of_ranges(branches[branch])
            self._spaces[trial.number] = _shared(branches[branch])
            return self._spaces[trial.number]

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: Distributions
    ) -> dict[str, Any]:
        """The search's next point; empty while it waits for pending trials."""
        if not search_space:
            return {}
        with _ONE_AT_A_TIME:
            branches = self._branches(study)
            branch = _branch_of(branches, search_space)
            distributions = _narrowed(search_space, branches, branch)
            if _is_one_point(distributions):
                return {}
            search = self._search(study, branches, branch, distributions)
            asked = search.study.ask()
            if asked is None or asked.params is None:
                return {}
            self._pending[trial.number] = branch, search, asked
        return asked.params

    def _branches(self, study: Study) -> Branches:
        """The complete trials of each branch, without branches that no longer exist."""
        if study.study_name != self._study_name:
            self._study_name = study.study_name
            self._searches = {}
            self._strays.clear()
            self._outside.clear()
        branches: Branches = {}
        for trial in study.get_trials(deepcopy=False, states=COMPLETE):
            branches.setdefault(_branch(trial), []).append(trial)
        if len(branches) > 1:
            for branch, strays in self._strays.items():
                if strays >= LATEST:
                    branches.pop(branch, None)
        return branches

    def _search(
        self, study: Study, branches: Branches, branch: Branch, distributions: Distributions
    ) -> _Search:
        """The branch's search, which knows all its trials."""
        search = self._searches.get(branch)
        if search is None or search.distributions != distributions:
            search = self._started(study, distributions)
            self._searches[branch] = search
        mine = [number for number, (_, asking, _) in self._pending.items() if asking is search]
        elsewhere = branches.keys() - {branch}
        for trial in study.get_trials(deepcopy=False, states=COMPLETE):
            if trial.number not in mine and _branch(trial) not in elsewhere:
                search.tell(trial)
        return search

    def _started(self, study: Study, distributions: Distributions) -> _Search:
        parameters = {name: _parameter(d) for name, d in distributions.items()}
        maximize = study.direction is StudyDirection.MAXIMIZE
        started = ours.Study(space=parameters, seed=self._seed, maximize=maximize)
        return _Search(distributions, Space(parameters), started)

    def _warn_of_ranges(self, trials: list[FrozenTrial]) -> None:
        """Warn of parameters that have a new range in every trial."""
        latest = trials[-LATEST:]
        for name, distribution in latest[-1].distributions.items():
            ranges = {t.distributions.get(name, distribution) for t in latest}
            if len(ranges) > 2:
                self._warn(
                    name,
                    "its range changes from trial to trial; suggest it in a fixed range, such as a "
                    "share from 0 to 1, and scale it in the objective",
                )

    def _warn_outside(self, number: int, name: str) -> None:
        """Warn of a parameter that is often drawn beside the searched ones of its trial."""
        space = self._spaces.get(number)
        if space and name not in space:
            self._outside[name] += 1
        if self._outside[name] >= STRAYS:
            self._warn(
                name,
                "it appears in trials of a branch that did not have it; let an integer or a "
                "categorical parameter decide alone whether it exists",
            )

    def _warn(self, name: str, reason: str) -> None:
        """Warn once of a parameter that is drawn at random."""
        if name not in self._warned:
            self._warned.add(name)
            warnings.warn(
                f"SwarmSampler draws {name!r} at random, because {reason}",
                UserWarning,
                stacklevel=2,
            )

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, distribution: Any
    ) -> Any:
        """Draw the parameter at random; warn if that is common."""
        if not distribution.single():
            with _ONE_AT_A_TIME:
                self._warn_outside(trial.number, param_name)
        return self._random.sample_independent(study, trial, param_name, distribution)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Tell the search the trial's value."""
        with _ONE_AT_A_TIME:
            self._spaces.pop(trial.number, None)
            complete = state in COMPLETE
            if complete:
                self._strays[_branch(trial)] = 0
            if trial.number not in self._pending:
                return
            branch, search, asked = self._pending.pop(trial.number)
            if complete and _branch(trial) != branch:
                self._strays[branch] += 1
                complete = False
            if complete:
                search.told.add(trial.number)
            # a pruned trial may have an intermediate value
            value = values[0] if values and complete else None
            search.study.tell(asked, value)


# ---- branches ----


def _branch(trial: FrozenTrial) -> Branch:
    return frozenset(
        n for n, distribution in trial.distributions.items() if not distribution.single()
    )


def _branch_of(branches: Branches, space: Distributions) -> Branch:
    """The branch that has this space."""
    return next((b for b, trials in branches.items() if _shared(trials) == space), frozenset(space))


def _chosen(branches: Branches, number: int, direction: StudyDirection) -> Branch | None:
    """The branch of a trial; None: at random."""
    if len(branches) < 2:
        return next(iter(branches), None)
    known = sum(map(len, branches.values()))
    if known < RANDOM or number % (2 * TURN) == 2 * TURN - 1:
        return None
    sign = -1.0 if direction is StudyDirection.MAXIMIZE else 1.0
    bests = {b: min(sign * t.value for t in trials) for b, trials in branches.items()}
    searched = [
        branch
        for branch in sorted(bests, key=bests.__getitem__)
        if not _is_one_point(_narrowed(_shared(branches[branch]), branches, branch))
    ]
    if number % TURN < TURN - 1:
        return next(iter(searched), None)
    return min(searched[1:], key=lambda b: len(branches[b]), default=None)


def _is_one_point(distributions: Distributions) -> bool:
    return all(distribution.single() for distribution in distributions.values())


def _shared(trials: list[FrozenTrial]) -> Distributions:
    """The parameters on whose range the latest trials agree."""
    latest = trials[-LATEST:]
    return {
        name: distribution
        for name, distribution in latest[-1].distributions.items()
        if not distribution.single()
        and all(trial.distributions.get(name) == distribution for trial in latest)
    }


def _narrowed(space: Distributions, branches: Branches, branch: Branch) -> Distributions:
    """The space without the values that lead to another branch."""
    narrowed = dict(space)
    mine = branches.get(branch, [])
    for other, trials in branches.items():
        if other == branch:
            continue
        name = _decider(space, mine, trials)
        if name is not None:
            latest = mine[-1].distributions[name].to_internal_repr(mine[-1].params[name])
            narrowed[name] = _without(narrowed[name], _values(trials, name), latest)
    return narrowed


def _decider(
    space: Distributions, mine: list[FrozenTrial], others: list[FrozenTrial]
) -> str | None:
    """The parameter whose value decides between two branches: it has no value in both, and most
    repeated ones.
    """
    best = None
    most = 0
    for name, distribution in space.items():
        if isinstance(distribution, FloatDistribution) or name not in others[-1].params:
            continue
        values = _values(mine, name)
        theirs = _values(others, name)
        repeated = len(mine) + len(others) - len(values) - len(theirs)
        if values.isdisjoint(theirs) and repeated > most:
            best = name
            most = repeated
    return best


def _values(trials: list[FrozenTrial], name: str) -> set[float]:
    """The values of a parameter, as optuna's numbers."""
    return {t.distributions[name].to_internal_repr(t.params[name]) for t in trials}


def _without(distribution: BaseDistribution, taken: set[float], value: float) -> BaseDistribution:
    """A distribution without the taken values; of integers, those between the taken ones next to
    this value.
    """
    if isinstance(distribution, CategoricalDistribution):
        choices = enumerate(distribution.choices)
        return CategoricalDistribution([c for i, c in choices if i not in taken])
    if not isinstance(distribution, IntDistribution):
        return distribution
    step = distribution.step
    low = max([distribution.low, *(int(t) + step for t in taken if t < value)])
    high = min([distribution.high, *(int(t) - step for t in taken if t > value)])
    return IntDistribution(low, high, distribution.log, step)


def _parameter(distribution: BaseDistribution) -> Any:
    """Our parameter for optuna's."""
    if distribution.single():
        return fixed(_only_value(distribution))
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


def _only_value(distribution: Any) -> Any:
    """The value of a distribution with one."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[0]
    return distribution.low


__all__ = ["SwarmSampler"]

__dir__ = __all__.copy
