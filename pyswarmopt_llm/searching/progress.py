"""What a search tells while it runs: its start, its price, and each evaluation."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field

import torch

from pyswarmopt_llm.common.events import Event, OnEvent, note
from pyswarmopt_llm.searching.prepare import Job
from pyswarmopt_llm.searching.scoring.record import Row

_SHOWN = ("phase", "iteration", "particle", "value", "n", "seconds", "coefficients")


@dataclass
class Progress:
    """Reports rows and batches.

    Attributes:
        planned: evaluations if nothing stops the search early.
        tell: called with events.

    Example:
        >>> progress = Progress(4, lambda event: print(event.kind, event.data["best"], event.data["evaluations_left"]))
        >>> progress.on_row(Row("search", 0, 0, "k", [1.0], value=0.5, n=8, seconds=1.0, items={"t": "1"}))
        evaluation 0.5 3
    """

    planned: int
    tell: OnEvent
    _best: float = field(default=-math.inf, init=False)
    _keys: set[str] = field(default_factory=set, init=False)

    def on_row(self, row: Row, known: bool = False) -> None:
        """Report a row of the search, unless it is of another phase and was known before."""
        data = {name: getattr(row, name) for name in _SHOWN}
        if row.phase == "search":
            self._best = max(self._best, row.value)
            self._keys.add(row.key)
            kind = "replayed" if known else "evaluation"
            self.tell(Event(kind, {**data, "best": self._best, **self._so_far()}))
        elif not known:
            self.tell(Event("trial", data))

    def on_iteration(self, iteration: int) -> None:
        """Report an iteration, or a batch of proposals."""
        data = {"iteration": iteration, "best": self._best, **self._so_far()}
        self.tell(Event("iteration", data))

    def _so_far(self) -> dict[str, int]:
        done = len(self._keys)
        return {"evaluations": done, "evaluations_left": self.planned - done}


def tell_start(job: Job, run: str, tell: OnEvent) -> None:
    """Describe the search, with what a user should know about it."""
    plan = job.plan
    start = {
        "run": run,
        "experts": list(job.pool.space.expert_names),
        "tasks": list(job.objectives.names),
        "particles": plan.config.population,
        "settings": asdict(plan.config),
        "given": plan.given,
        "training": plan.training if plan.trains else "",
        "dev_items": plan.distinct("dev"),
        "dtype": str(job.engine.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "evaluations_planned": plan.evaluations,
        "passes": plan.passes,
    }
    tell(Event("start", start))
    for text in (*job.notes.values(), *price_in_requests(job)):
        tell(note(text))


def price_in_requests(job: Job) -> list[str]:
    """A line for each metric that costs money per request."""
    return [
        f"{name}: at most {requests:,} requests, one for each reply that differs"
        for name, requests in job.plan.requests.items()
    ]


def tell_price(job: Job, first: Row, tell: OnEvent) -> None:
    """Report the greatest cost of the search, at the pace of the first evaluation."""
    plan = job.plan
    item = first.seconds / first.n if first.n else 0.0
    on_dev = first.seconds * (plan.items / first.n if first.n else 1)
    taken = plan.seconds(on_dev, item * plan.test_items, item)
    bounded_by = "" if plan.config.budget_minutes else "budget_minutes"
    if plan.trains and not (plan.objectives.written or plan.config.quick):
        bounded_by = "quick"
    passes = sum(plan.passes.values())
    tell(Event("price", {"passes": passes, "seconds": taken, "bounded_by": bounded_by}))
