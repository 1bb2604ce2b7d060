"""The search that users run, under the budget of a comparison and with its store."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

import pyswarmopt as pso
from pyswarmopt_llm.common.config import ALONE
from pyswarmopt_llm.common.interfaces import Space
from pyswarmopt_llm.common.optimizers import released
from pyswarmopt_llm.scores.metrics.combine import harmonic
from pyswarmopt_llm.searching.scoring.evaluator import Evaluator, Request, Share
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.run_directory import Journal, position_key
from pyswarmopt_llm.searching.scoring.scorer import Scorer
from pyswarmopt_llm.searching.scoring.search import Budget, Search
from pyswarmopt_llm.searching.surrogate import MOST_COEFFICIENTS, make_surrogate
from pyswarmopt_rivals.comparison.bench import Bench, BudgetedTrial, BudgetSpentError

KIND = "modelled"  # of rows in the store


def can_model(bench: Bench, space: Space) -> bool:
    """Whether a task's items can be predicted: options are scored, right or wrong, by few
    coefficients.
    """
    return (
        "dev" in bench.accuracy and bench.scoring != "generate" and space.size <= MOST_COEFFICIENTS
    )


class StoredEvaluator(Evaluator):
    """Evaluates what the store does not have, and charges it to a trial.

    Rows of the store are found by `kind` and position: a space over other adapters has its own
    kind.
    """

    def __init__(self, trial: BudgetedTrial, space: Space, kind: str = KIND) -> None:
        utilities = {trial.bench.task.name: trial.bench.accuracy["dev"]}
        super().__init__(space, trial.bench.engine, utilities, harmonic, margins=True)
        self._trial, self._kind = trial, kind

    def evaluate(self, request: Request) -> Row:
        """As `Evaluator.evaluate`.

        Raises:
            BudgetSpentError: the trial cannot pay for all dev items.
        """
        return self._trial.pay(lambda: self._stored(request))

    def _stored(self, request: Request) -> tuple[Row, float, int]:
        bench = self._trial.bench
        name = bench.task.name, self._kind, position_key(request.position)
        if name not in bench.store.scores:
            row = super().evaluate(request)
            names = dict(zip(("task", "kind", "key"), name, strict=True))
            bench.store.add_score({**row.to_json(), **names})
        row = Row.from_json(bench.store.scores[name])
        return row, row.seconds, row.n


class BudgetedScorer(Scorer):
    """Scores positions as a search does, as far as a trial's budget goes.

    What the budget does not cover has the value NaN.

    Attributes:
        best: value of the best complete evaluation so far.
    """

    def __init__(self, trial: BudgetedTrial, space: Space, kind: str = KIND) -> None:
        super().__init__(Journal(), StoredEvaluator(trial, space, kind), on_row=self._note)
        self._trial = trial
        self.best = -math.inf

    def score(
        self,
        positions: Sequence[Tensor],
        iteration: int,
        numbers: Sequence[int] | None = None,
        share: Share | None = None,
    ) -> list[Row]:
        """See `Scorer.score`."""
        numbers = numbers or range(len(positions))
        return [
            self._score(position, iteration, number)
            for position, number in zip(positions, numbers, strict=True)
        ]

    def _score(self, position: Tensor, iteration: int, number: int) -> Row:
        try:
            (row,) = super().score([position], iteration, [number])
        except BudgetSpentError:
            task, key = self._trial.bench.task, position_key(position)
            unknown = {task.name: "?" * len(task.dev)}
            return Row("search", iteration, number, key, (), math.nan, 0, 0.0, unknown)
        return row

    def _note(self, row: Row, known: bool) -> None:
        self.best = max(self.best, row.value)
        self._trial.note(self.best)


def modelled_best(
    optimizer: pso.Optimizer,
    trial: BudgetedTrial,
    space: Space,
    *,
    kind: str,
    population: int,
    seed: int,
) -> Tensor:
    """Score the positions that an optimizer begins with, then the item model's proposals.

    Returns:
        What it hands over, (D,).
    """
    bench = trial.bench
    items = bench.dev_items
    search = Search(
        space,
        BudgetedScorer(trial, space, kind),
        optimizer,
        Budget(None, trial.items_left),
        population=population,
        items=items,
        seed=seed,
        surrogate=make_surrogate("items", [bench.task.name], harmonic, ALONE),
    )
    with released(optimizer):
        search.score_experts()
        search.run()
        return search.best().x
