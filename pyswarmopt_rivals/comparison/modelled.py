"""The search that users run, under the budget of a comparison and with its store."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, fields

from torch import Tensor

import pyswarmopt as pso
from pyswarmopt_llm.common.config import ALONE
from pyswarmopt_llm.common.interfaces import Space
from pyswarmopt_llm.common.optimizers import released
from pyswarmopt_llm.scores.metrics.combine import harmonic
from pyswarmopt_llm.searching.scoring.evaluator import Evaluation, Evaluator, Request
from pyswarmopt_llm.searching.scoring.plan import Items, Plan, Screen
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.run_directory import Journal, position_key
from pyswarmopt_llm.searching.scoring.scorer import Scorer
from pyswarmopt_llm.searching.scoring.search import Budget, Search
from pyswarmopt_llm.searching.surrogate import MOST_COEFFICIENTS
from pyswarmopt_llm.searching.surrogate.items import ItemSurrogate
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
        bench = trial.bench
        super().__init__(space, bench.engine, {bench.task.name: bench.accuracy["dev"]}, harmonic)
        self._trial, self._kind = trial, kind

    def evaluate(self, request: Request) -> Evaluation:
        """As `Evaluator.evaluate`.

        Raises:
            BudgetSpentError: the trial cannot pay for all dev items.
        """
        return self._trial.pay(lambda: self._stored(request))

    def _stored(self, request: Request) -> tuple[Evaluation, float, int]:
        bench, key = self._trial.bench, _key(request)
        row = bench.store.scores.get((bench.task.name, self._kind, key))
        if row is not None:
            evaluation = Evaluation(**{field.name: row[field.name] for field in fields(Evaluation)})
        else:
            evaluation = super().evaluate(request)
            if evaluation.n:
                row = {
                    "task": bench.task.name,
                    "kind": self._kind,
                    "key": key,
                    **asdict(evaluation),
                }
                bench.store.add_score(row)
        return evaluation, evaluation.seconds, evaluation.n


def _key(request: Request) -> str:
    """The key of an evaluation: the position, what is predicted, if anything, and what was
    known.
    """
    digest = hashlib.blake2b(digest_size=16)
    # nothing races in a comparison
    screen = request.screen if isinstance(request.screen, Screen) else Screen({}, 0.0, 0.0)
    for name, right in screen.right.items():
        if len(screen.first[name]) < len(right):
            digest.update(
                repr((sorted(screen.first[name]), (right > 0.5).tolist(), screen.best)).encode()
            )
    for name, values in (request.known or {}).items():
        digest.update(repr((name, list(values))).encode())
    return f"{position_key(request.position)}:{digest.hexdigest()}"


class BudgetedScorer(Scorer):
    """Scores positions as a search does, as far as a trial's budget goes.

    What the budget does not cover has the value NaN.

    Attributes:
        best: value of the best complete evaluation so far.
    """

    def __init__(self, trial: BudgetedTrial, space: Space, kind: str = KIND) -> None:
        super().__init__(Journal(), space, StoredEvaluator(trial, space, kind), on_row=self._note)
        self._trial = trial
        self.best = -math.inf

    def score(
        self,
        positions: Sequence[Tensor],
        iteration: int,
        plans: Sequence[Plan] | None = None,
        first: int = 0,
    ) -> list[Row | None]:
        """See `Scorer.score`."""
        plans = plans or [Items.ALL] * len(positions)
        pairs = zip(positions, plans, strict=True)
        return [
            self._score(x, iteration, plan, number)
            for number, (x, plan) in enumerate(pairs, start=first)
        ]

    def _score(self, position: Tensor, iteration: int, plan: Plan, number: int) -> Row | None:
        try:
            (row,) = super().score([position], iteration, [plan], number)
        except BudgetSpentError:
            return Row(
                "search", iteration, number, position_key(position), (), math.nan, 0, 0.0, {}
            )
        return row

    def _note(self, row: Row, known: bool) -> None:
        if row.complete:
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
        surrogate=ItemSurrogate({bench.task.name: items}, ALONE),
    )
    with released(optimizer):
        search.score_experts()
        search.run()
        return search.best().x
