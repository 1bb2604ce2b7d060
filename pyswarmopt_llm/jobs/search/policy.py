"""How much a search may spend, and on what: early stops, races, screening, dropped evaluations, budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

import pyswarmopt as pso
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.optimizers import is_swarm
from pyswarmopt_llm.evaluation.partial import Bounded, Race, Rule
from pyswarmopt_llm.evaluation.scorer import Objective
from pyswarmopt_llm.evaluation.screening import MOST_COEFFICIENTS, Screening
from pyswarmopt_llm.evaluation.successive_sizes import DevSizes, parse_sizes
from pyswarmopt_llm.metrics.objectives import Objectives
from pyswarmopt_llm.spaces import SEVERAL

EARLY_STOPS = ("exact", "bound", "off")


def check_effort(config: SearchConfig) -> None:
    """Refuse settings of this file that are out of range, unknown, or too much for the optimizer.

    Raises:
        UserError: names the option.
    """
    if config.early_stop not in EARLY_STOPS:
        raise UserError(f"--early-stop {config.early_stop}: unknown; use {', '.join(EARLY_STOPS)}")
    if config.racing is not None and not 0 < config.racing < 0.5:
        raise UserError(f"--racing {config.racing:g}: the level of a test; give a number above 0 and below 0.5")
    for option, share in (("--drop-k", config.drop_k), ("--drop-n", config.drop_n)):
        if not 0 <= share < 1:
            raise UserError(f"{option} {share:g}: a probability; give a number from 0 to below 1")
    if (config.racing or config.drop_k or config.drop_n) and not is_swarm(config.optimizer):
        raise UserError(f"--optimizer {config.optimizer}: needs every value; leave out --racing, --drop-k and --drop-n")
    if config.one_by_one and not is_swarm(config.optimizer):
        raise UserError(f"--async: the points of --optimizer {config.optimizer} come in rounds; leave it out")
    if config.one_by_one and (config.drop_k or config.drop_n):
        raise UserError("--async: has no rounds to leave evaluations out of; leave out --drop-k and --drop-n")
    _check_items(config)
    for option, budget in (("--budget-minutes", config.budget_minutes), ("--budget-items", config.budget_items)):
        if budget is not None and not budget > 0:
            raise UserError(f"{option} {budget:g}: a budget has to be above 0")


def _check_items(config: SearchConfig) -> None:
    """Refuse what does not go together with asking items one by one.

    Raises:
        UserError: names the option.
    """
    if config.screen is not None and not 0 < config.screen < 0.5:
        raise UserError(f"--screen {config.screen:g}: a probability; give a number above 0 and below 0.5, such as 0.05")
    if config.dev_sizes:
        parse_sizes(config.dev_sizes)
        if not is_swarm(config.optimizer):
            raise UserError(f"--dev-sizes: --optimizer {config.optimizer} cannot score its points again; leave it out")
        if config.budget_items is not None or config.budget_minutes is not None:
            raise UserError("--dev-sizes: its stages are shares of --max-iter; leave out --budget-items and -minutes")
    option = _option(config)
    others = {
        "--screen": config.screen is not None and option != "--screen",
        "--racing": config.racing is not None,
        "--early-stop bound": config.early_stop == "bound",
        "--async": config.one_by_one,
    }
    for other, given in others.items():
        if option and given:
            raise UserError(f"{option}: says itself which items are asked; leave out {other}")


def check_items_alone(config: SearchConfig, objectives: Objectives, size: int) -> None:
    """Refuse tasks and spaces with which items cannot be asked one by one, or not be foretold.

    Args:
        config: what was asked.
        objectives: what is maximised.
        size: number of coordinates of a position.

    Raises:
        UserError: says which.
    """
    option = _option(config)
    if not option:
        return
    if config.space in SEVERAL or config.engine != "transformers":
        where = f"--space {config.space}" if config.space in SEVERAL else f"--engine {config.engine}"
        raise UserError(f"{option}: {where} asks all items at once; leave it out")
    metrics = {name: metric.name for name, metric in objectives.metrics.items()}
    for name, metric in {**metrics, **dict.fromkeys(objectives.externals, "its own score")}.items():
        if metric != "accuracy":
            raise UserError(f"{option}: goes with accuracy, {name} is scored by {metric}; leave it out")
        if config.screen is not None and "generate" in objectives.scorings(name, config.scoring):
            raise UserError(f"--screen: learns from the scores of options, {name} is answered by writing; leave it out")
    if config.screen is not None and size > MOST_COEFFICIENTS:
        raise UserError(
            f"--screen: learns from at most {MOST_COEFFICIENTS} coefficients, here a candidate has {size}; "
            "use --granularity model, or leave it out"
        )


def _option(config: SearchConfig) -> str:
    """The option that says which items are asked, if there is one."""
    return "--dev-sizes" if config.dev_sizes else "" if config.screen is None else "--screen"


class Effort:
    """What decides, round by round, which evaluations are left out and what may end the others early.

    Args:
        config: what was asked.
        items: task name -> number of dev items.

    Attributes:
        screening: what foretells items; None without ``--screen``.
    """

    def __init__(self, config: SearchConfig, items: Mapping[str, int]) -> None:
        self._config, self._drops = config, Drops(config)
        self.screening = None if config.screen is None else Screening(config.screen, items)
        self._sizes = None
        if config.dev_sizes:
            self._sizes = DevSizes(parse_sizes(config.dev_sizes), items, config.max_iter + 1, config.seed)

    def in_full(self, positions: Tensor) -> list[list[Rule]]:
        """Rules for positions that are asked in full, before or after the search, and can be learnt from."""
        if self.screening is None:
            return [[] for _ in positions]
        return [[screen] for screen in self.screening.in_full(len(positions))]

    def begin(self, optimizer: pso.Optimizer, objective: Objective, iteration: int) -> None:
        """Where more items count than in the iteration before, score the personal bests on these."""
        if self._sizes is not None and self._sizes.grows_at(iteration):
            self._revalue(self._sizes, optimizer, objective, iteration)

    def end(self, optimizer: pso.Optimizer, objective: Objective, iteration: int) -> None:
        """A search that ended before all items counted: score the personal bests on all."""
        if self._sizes is not None and self._sizes.at(iteration) is not self._sizes.last:
            self._revalue(self._sizes, optimizer, objective, self._config.max_iter)

    def rules(
        self, optimizer: pso.Optimizer, objective: Objective, positions: Tensor, iteration: int
    ) -> list[list[Rule] | None]:
        """The rules of each evaluation of a round; None leaves it out."""
        found: list[list[Rule]]
        if self.screening is not None:
            best = optimizer.best.value if iteration else self.screening.best
            found = [[screen] for screen in self.screening.screens(positions, best)]
        elif self._sizes is not None:
            found = [[self._sizes.at(iteration)] for _ in positions]
        else:
            found = [rules_for(self._config, optimizer, objective, i) for i in range(len(positions))]
        dropped = self._drops(iteration, len(positions))
        return [None if out else rules for out, rules in zip(dropped, found, strict=True)]

    def learn(self, objective: Objective, positions: Tensor, rules: Sequence[Sequence[Rule] | None]) -> None:
        """Take in what a round has found."""
        if self.screening is not None:
            for x, own in zip(positions, rules, strict=True):
                if own is not None:
                    self.screening.learn(x, objective.known(x))

    def _revalue(self, sizes: DevSizes, optimizer: pso.Optimizer, objective: Objective, iteration: int) -> None:
        if isinstance(optimizer, pso.Swarm):
            bests = list(optimizer.personal_bests.clone())
            optimizer.revalue(objective.round(bests, iteration, [[sizes.at(iteration)] for _ in bests]))


def rules_for(config: SearchConfig, optimizer: pso.Optimizer, objective: Objective, particle: int) -> list[Rule]:
    """What may end the evaluation of a particle's new position early.

    Only a `pyswarmopt.Swarm` says what it does with a value; any other optimizer is told exact ones.
    """
    if not isinstance(optimizer, pso.Swarm):
        return []
    rules: list[Rule] = []
    best = float(optimizer.personal_best_values[particle])
    if config.early_stop != "off":
        rules.append(Bounded(best, optimizer.worst.value if config.early_stop == "exact" else -np.inf))
    if config.racing is not None and np.isfinite(best):
        rival = objective.values(optimizer.personal_bests[particle])
        if rival is not None:
            rules.append(Race(rival, config.racing))
    return rules


class Drops:
    """Which evaluations are left out: Drop-K and Drop-N of Feng et al. 2024 (arXiv 2410.11163).

    Drop-K leaves out a whole iteration with probability `drop_k`, Drop-N a single particle's evaluation with
    probability `drop_n`. The particles move on all the same. The starting swarm is always evaluated. Draws are the
    drops' own, so that the same seed moves the swarm by the same random numbers with and without them.

    Example:
        >>> config = SearchConfig("b", ("x", "y"), ("t",), "r", drop_n=0.5)
        >>> drops = Drops(config)
        >>> drops(0, 4).tolist(), drops(1, 4).tolist()
        ([False, False, False, False], [False, False, False, True])
    """

    def __init__(self, config: SearchConfig) -> None:
        self._whole, self._single = config.drop_k, config.drop_n
        self._random = np.random.default_rng([config.seed, 1])

    def __call__(self, iteration: int, particles: int) -> npt.NDArray[np.bool_]:
        """(N,) mask of the particles whose evaluation is left out."""
        if iteration == 0:
            return np.zeros(particles, dtype=np.bool_)
        whole = self._random.random() < self._whole
        return (self._random.random(particles) < self._single) | whole


@dataclass(frozen=True)
class Budget:
    """When a search has to end so that it keeps within its budget.

    Seconds are those that the journal has of every evaluation, so that a resumed run ends where the stopped one
    would have. What the closing evaluations take (best, best single expert and average, on dev and test) is set
    aside at the pace so far.

    Attributes:
        seconds: for all evaluations; None: no limit.
        items: item evaluations of the search; None: no limit.
        closing_items: items of the closing evaluations, which count in `seconds` only.
        kept_items: set aside for what is asked when the search has ended (see `promised`).
    """

    seconds: float | None
    items: int | None
    closing_items: int = 0
    kept_items: int = 0

    def spent(self, item_evaluations: Sequence[int], seconds: float) -> dict[str, float]:
        """Reasons to stop: another iteration like the latest would go beyond the budget.

        Args:
            item_evaluations: running total at the end of each iteration so far.
            seconds: spent on them.

        Example:
            >>> Budget(None, 1000).spent([400, 700], 9.0), Budget(None, 999).spent([400, 700], 9.0)
            ({}, {'budget_items': 700})
            >>> Budget(15.0, None, closing_items=400).spent([400, 700], 9.0)
            {'budget_minutes': 0.15}
        """
        total = item_evaluations[-1]
        latest = total - item_evaluations[-2] if len(item_evaluations) > 1 else total
        found: dict[str, float] = {}
        if self.items is not None and total + latest + self.kept_items > self.items:
            found["budget_items"] = total
        if not self._time(total, seconds, latest + self.kept_items):
            found["budget_minutes"] = round(seconds / 60, 3)
        return found

    def pays(self, total: int, seconds: float, more: int) -> bool:
        """Whether so many more items are within the budget, which nothing more is set aside of.

        Example:
            >>> Budget(None, 1000, kept_items=300).spent([400, 700], 9.0), Budget(None, 1000).pays(700, 9.0, 300)
            ({'budget_items': 700}, True)
        """
        return (self.items is None or total + more <= self.items) and self._time(total, seconds, more)

    def _time(self, total: int, seconds: float, more: int) -> bool:
        """Whether there is time for so many more items and the closing ones, at the pace so far."""
        pace = seconds / total if total else 0.0
        return self.seconds is None or seconds + pace * (more + self.closing_items) <= self.seconds
