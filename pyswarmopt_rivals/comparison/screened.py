"""A screened swarm under a budget: items whose outcome is predicted are skipped, so the budget lasts longer."""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, fields

from torch import Tensor

import pyswarmopt as pso
from pyswarmopt_llm.common.interfaces import Space
from pyswarmopt_llm.common.optimizers import released
from pyswarmopt_llm.evaluation.evaluator import Evaluation, Evaluator, Request
from pyswarmopt_llm.evaluation.plan import Screen
from pyswarmopt_llm.evaluation.run_directory import position_key
from pyswarmopt_llm.evaluation.surrogate.proposals import proposal_count, proposals, widest
from pyswarmopt_llm.evaluation.surrogate.screening import MOST_COEFFICIENTS, Screening
from pyswarmopt_llm.metrics.combine import harmonic
from pyswarmopt_rivals.comparison.bench import Bench, BudgetedTrial

LEVEL = 0.05  # as `--screen` recommends
KIND = "screened"  # of rows in the store


def can_screen(bench: Bench, space: Space) -> bool:
    """Whether a task's items can be predicted: options are scored, right or wrong, by few coefficients."""
    return "dev" in bench.accuracy and bench.scoring != "generate" and space.size <= MOST_COEFFICIENTS


class ScreenedTrial:
    """The dev scores of positions, evaluated as in a screened search; `best` is the best full evaluation so far.

    Rows of the store are found by `kind` and position, so a space over other adapters has its own kind.
    """

    def __init__(self, trial: BudgetedTrial, space: Space, kind: str = KIND) -> None:
        bench = trial.bench
        self.trial, self.space, self._store, self._task, self._kind = trial, space, bench.store, bench.task.name, kind
        self._known: dict[str, Evaluation] = {}
        self._evaluator = Evaluator(space, bench.engine, {self._task: bench.accuracy["dev"]}, harmonic)
        self._items = bench.dev_items
        self._screening = Screening(LEVEL, {self._task: self._items})
        self.best = -math.inf

    def values(self, positions: Tensor, in_full: bool = False) -> list[float]:
        """The values of these positions, (N, D); NaN once the budget is spent. The screen learns from them afterwards.

        `in_full` skips no item.
        """
        values = []
        learnt: list[tuple[Tensor, Evaluation]] = []
        best = self.best if math.isfinite(self.best) else math.inf
        screening = self._screening
        screens = [screening.everything()] * len(positions) if in_full else screening.screens(positions, best)
        for x, screen in zip(positions, screens, strict=True):
            key = position_key(x)
            if key not in self._known and self.trial.left < 1:
                values.append(math.nan)
                continue
            if key not in self._known:
                learnt.append((x, self._score(x, screen)))
            values.append(self._known[key].value)
        for x, evaluation in learnt:
            screening.learn(position_key(x), x, evaluation)
        return values

    def chosen(self, seed: int, count: int) -> Tensor | None:
        """Evaluate so many of the item model's proposals; see `widest`."""
        for proposal in proposals(self._screening, seed, count):
            if self.trial.left:
                self.values(proposal[None], in_full=True)
        return widest(self._screening)

    def _score(self, position: Tensor, screen: Screen) -> Evaluation:
        def evaluate() -> tuple[Evaluation, float, int]:
            found = self._evaluation(position, screen)
            return found, found.seconds, found.n

        evaluation = self.trial.pay(evaluate)
        if evaluation.n == self._items:
            self.best = max(self.best, evaluation.value)
        self.trial.note(self.best)
        self._known[position_key(position)] = evaluation
        return evaluation

    def _evaluation(self, position: Tensor, screen: Screen) -> Evaluation:
        """The evaluation of a position; from the store if an earlier search has made it."""
        key = _key(position, screen)
        row = self._store.scores.get((self._task, self._kind, key))
        if row is not None:
            return Evaluation(**{field.name: row[field.name] for field in fields(Evaluation)})
        found = self._evaluator.evaluate(Request(position, screen))
        if found.n:
            self._store.add_score({"task": self._task, "kind": self._kind, "key": key, **asdict(found)})
        return found


def _key(position: Tensor, screen: Screen) -> str:
    """The key of an evaluation: the position, and what is predicted, if anything."""
    digest = hashlib.blake2b(digest_size=16)
    for name, right in screen.right.items():
        if len(screen.first[name]) < len(right):
            digest.update(repr((sorted(screen.first[name]), (right > 0.5).tolist(), screen.best)).encode())
    return f"{position_key(position)}:{digest.hexdigest()}"


def screened_best(swarm: pso.Optimizer, screened: ScreenedTrial, candidates: int, seed: int, proposed: int) -> Tensor:
    """Let a swarm that begins with the experts search, then evaluate so many proposals of the item model.

    The experts are evaluated in full, the rest of the starting swarm in parts of as many candidates, so that the later
    parts are screened by the earlier ones. The swarm ends when another round like its latest would leave too little
    for the proposals. `candidates` is what the budget pays for in full, the experts included.

    Returns:
        What it hands over, (D,).
    """
    trial, space, items = screened.trial, screened.space, screened.trial.bench.dev_items
    kept = proposal_count(candidates) * items
    with released(swarm):
        vertices, positions = space.vertices(), swarm.ask()
        values = screened.values(vertices, in_full=True)
        before, size = trial.spent, len(vertices)
        for start in range(size, len(positions), size):
            values += screened.values(positions[start : start + size])
        swarm.tell(positions, values)
        # A swarm of experts alone does not tell what the next round costs.
        latest = trial.spent - before or len(positions) * items
        while trial.left and trial.items_left - latest >= kept and not swarm.stop():
            before, positions = trial.spent, swarm.ask()
            swarm.tell(positions, screened.values(positions))
            latest = trial.spent - before
        best = swarm.best.x
    chosen = screened.chosen(seed, proposed)
    return best if chosen is None else chosen
