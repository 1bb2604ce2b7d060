"""The default search of pyswarmopt."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from carps.optimizers.optimizer import Optimizer
from carps.utils.pareto_front import pareto
from carps.utils.trials import StatusType, TrialInfo, TrialValue
from ConfigSpace import Configuration, ConfigurationSpace
from ConfigSpace.conditions import EqualsCondition, InCondition
from ConfigSpace.hyperparameters import (
    CategoricalHyperparameter,
    Constant,
    Hyperparameter,
    OrdinalHyperparameter,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)

import pyswarmopt as pso

if TYPE_CHECKING:
    from carps.loggers.abstract_logger import AbstractLogger
    from carps.utils.task import Task
    from carps.utils.types import Incumbent


def parameter(hp: Hyperparameter) -> Any:
    """A hyperparameter as a parameter of pyswarmopt."""
    if isinstance(hp, Constant):
        return pso.fixed(hp.value)
    if isinstance(hp, UniformIntegerHyperparameter):
        return pso.integer(int(hp.lower), int(hp.upper), log=hp.log)
    if isinstance(hp, UniformFloatHyperparameter):
        return (pso.log if hp.log else pso.Real)(float(hp.lower), float(hp.upper))
    if isinstance(hp, CategoricalHyperparameter):
        return list(hp.choices)
    if isinstance(hp, OrdinalHyperparameter):
        return _ordinal(list(hp.sequence))
    raise NotImplementedError(f"Can't handle hyperparameter {hp}")


def _ordinal(values: list[Any]) -> Any:
    if len(values) == 1:
        return pso.fixed(values[0])
    return pso.ordered(values)


def space_of(configspace: ConfigurationSpace) -> dict[str, Any]:
    """A configuration space as a space of pyswarmopt; a parameter may depend on the value of one other."""
    if any(configspace.forbidden_clauses):
        raise NotImplementedError("Forbidden clauses are not yet supported")
    space: dict[str, Any] = {}
    for hp in configspace.values():  # parents come first
        space[hp.name] = parameter(hp)
        conditions = configspace.parent_conditions_of[hp.name]
        for condition in conditions:
            if len(conditions) > 1 or not isinstance(condition, EqualsCondition | InCondition):
                raise NotImplementedError(f"Can't handle condition {condition}")
            values = (
                [condition.value]
                if isinstance(condition, EqualsCondition)
                else list(condition.values)
            )
            space[hp.name] = pso.when(condition.parent.name, values, space[hp.name])
    return space


class PySwarmOptOptimizer(Optimizer):
    """The default search of pyswarmopt, by ask and tell, for one objective or several."""

    def __init__(
        self,
        task: Task,
        loggers: list[AbstractLogger] | None = None,
        seed: int | None = None,
        expects_multiple_objectives: bool = False,
        expects_fidelities: bool = False,
    ) -> None:
        """Initialize the optimizer.

        Parameters
        ----------
        task : Task
            The task to optimize.
        loggers : list[AbstractLogger] | None
            Loggers, by default None.
        seed : int | None
            The search's seed.
        expects_multiple_objectives : bool, optional
            Metadata, by default False.
        expects_fidelities : bool, optional
            Metadata, by default False.
        """
        super().__init__(
            task,
            loggers,
            expects_fidelities=expects_fidelities,
            expects_multiple_objectives=expects_multiple_objectives,
        )
        self.configspace: ConfigurationSpace = task.objective_function.configspace
        self.seed = seed
        self.history: list[tuple[TrialInfo, TrialValue]] = []
        self._asked: dict[str, pso.Trial] = {}
        self._count = 0

    def _setup_optimizer(self) -> pso.Study:
        resources = self.task.optimization_resources
        return pso.Study(
            space=self.convert_configspace(self.configspace),
            objectives=self.task.output_space.n_objectives,
            max_evals=None if resources.n_trials is None else math.ceil(resources.n_trials),
            seed=self.seed,
        )

    def convert_configspace(self, configspace: ConfigurationSpace) -> dict[str, Any]:
        """Convert ConfigSpace's configuration space to one of pyswarmopt."""
        return space_of(configspace)

    def convert_to_trial(self, params: dict[str, Any], name: str) -> TrialInfo:  # type: ignore[override]
        """Convert parameters to a trial at the full fidelity."""
        fidelity = self.task.input_space.fidelity_space
        config = Configuration(self.configspace, values=params)
        return TrialInfo(config=config, name=name, budget=fidelity.max_fidelity)

    def ask(self) -> TrialInfo:
        """The next trial; a random one once the search has seen all points of its space."""
        asked = self.solver.ask()
        name = f"trial_number={self._count}"
        self._count += 1
        if asked is None:
            return self.convert_to_trial(dict(self.configspace.sample_configuration()), name)
        self._asked[name] = asked
        return self.convert_to_trial(asked.params, name)

    def tell(self, trial_info: TrialInfo, trial_value: TrialValue) -> None:
        """Tell the search a trial's cost; a trial that failed has none."""
        succeeded = trial_value.status == StatusType.SUCCESS
        asked = self._asked.pop(trial_info.name, None)
        if asked is not None:
            self.solver.tell(asked, trial_value.cost if succeeded else None)
        if succeeded:
            self.history.append((trial_info, trial_value))

    def get_current_incumbent(self) -> Incumbent:
        """The best trial, or those of the Pareto front; None before one succeeded."""
        if not self.history:
            return None
        if self.task.output_space.n_objectives == 1:
            return min(self.history, key=lambda pair: pair[1].cost)
        front = pareto(np.array([value.cost for _, value in self.history]))
        return [pair for pair, kept in zip(self.history, front, strict=True) if kept]
