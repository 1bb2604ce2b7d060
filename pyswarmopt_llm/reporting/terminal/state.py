"""The state of a search, built from its events: from the search itself, or from its files."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.events import Event
from pyswarmopt_llm.reporting.summary import duration

# Enough evaluations to smooth their times, few enough to follow a machine that gets slower.
WINDOW = 20

_PHASES = {
    "letter": "trying option letters",
    "confirm": "scoring the leaders again",
    "trained": "scoring what was trained",
    "weights": "optimizing the weights of the models",
}


def phase_words(phase: str) -> str:
    """What a search does in a phase of trials, in words.

    Example:
        >>> phase_words("letter")
        'trying option letters'
    """
    return _PHASES.get(phase, phase)


class SearchState:
    """What is known of a search from its events so far.

    Attributes:
        run: the run directory, as the search was given it.
        tasks, experts: their names.
        particles: population of the swarm.
        limits: what ends the search (see `SearchConfig.limits`).
        phase: current step outside the search loop, in words; "" during the search.
        over: whether the search loop has ended.
        iteration: of the swarm's latest evaluation, 0 for the starting swarm.
        completed: the latest completed iteration, -1 before the first.
        best: best value on dev, None before the first evaluation.
        single: the best expert so far and its value.
        proposed: proposals of a screened search's item model evaluated after the last iteration; the journal
            counts them as one more iteration, with particle numbers after those of the swarm.
        values: iteration -> particle -> value.
        done, left: evaluations so far, and left at most.
        items, seconds: scored and spent so far, including a replayed journal.

    Example:
        >>> state = SearchState()
        >>> state.add(Event("start", {"run": "r", "experts": ["x"], "tasks": ["t"], "particles": 2,
        ...                           "limits": {"max_iter": 1}, "evaluations_planned": 4}))
        >>> state.add(Event("evaluation", {"iteration": 0, "particle": 0, "value": 0.5, "n": 8, "seconds": 2.0,
        ...                                "best": 0.5, "evaluations": 1, "evaluations_left": 3}))
        >>> state.items_per_second, state.seconds_left, state.best
        (4.0, 6.0, 0.5)
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.run = ""
        self.tasks: tuple[str, ...] = ()
        self.experts: tuple[str, ...] = ()
        self.particles = 0
        self.limits: Mapping[str, float] = {}
        self.phase, self.over = "getting ready", False
        self.iteration, self.completed = 0, -1
        self.best: float | None = None
        self.single: tuple[str, float] | None = None
        self.proposed = 0
        self.values: dict[int, dict[int, float]] = {}
        self.done, self.left = 0, 0
        self.items, self.seconds = 0, 0.0
        self._improved = 0  # the iteration of the latest new best
        self._trials: Counter[str] = Counter()
        self._latest: deque[tuple[int, float]] = deque(maxlen=WINDOW)

    def add(self, event: Event) -> None:
        """Update the state by one event."""
        data = event.data
        if event.kind == "start":
            self._begin()  # a grid has one search after the other
            self.run, self.tasks, self.experts = data["run"], tuple(data["tasks"]), tuple(data["experts"])
            self.particles, self.limits, self.left = data["particles"], data["limits"], data["evaluations_planned"]
        elif event.kind in ("evaluation", "replayed"):
            self._evaluated(data)
        elif event.kind == "iteration":
            if not self.proposed:
                self.completed = max(self.completed, data["iteration"])
            self.done, self.left = data["evaluations"], data["evaluations_left"]
        elif event.kind in ("training", "rival"):
            left = data["seconds"] * (1 / data["share"] - 1)
            self.phase = f"{data.get('label', 'training')}: {data['share']:.0%}, about {duration(left)} left"
        elif event.kind == "trial":
            self._trials[data["phase"]] += 1
            of = f" of {counted(len(self.experts), 'expert')}" if data["phase"] == "letter" else ""
            self.phase = f"{phase_words(data['phase'])}: {self._trials[data['phase']]}{of} scored"
        elif event.kind == "closing":
            self.phase, self.over = "scoring the result", True
        elif event.kind == "done":
            self.phase, self.over = "finished", True

    def _evaluated(self, data: Mapping[str, Any]) -> None:
        iteration, particle, value = data["iteration"], data["particle"], data["value"]
        proposed = iteration > 0 and particle >= self.particles
        self.phase = ""
        self.completed = max(self.completed, iteration - 1)
        if proposed:
            self.proposed += 1
        else:
            self.iteration = max(self.iteration, iteration)
        if self.best is None or value > self.best:
            self.best = value
            self._improved = self._improved if proposed else iteration
        if iteration == 0 and particle < len(self.experts) and (self.single is None or value > self.single[1]):
            self.single = self.experts[particle], value
        self.values.setdefault(iteration, {})[particle] = value
        self.done, self.left = data["evaluations"], data["evaluations_left"]
        self.items += data["n"]
        self.seconds += data["seconds"]
        self._latest.append((data["n"], data["seconds"]))

    @property
    def items_per_second(self) -> float | None:
        """Items scored per second over the latest `WINDOW` evaluations; None before the first."""
        seconds = sum(spent for _, spent in self._latest)
        return sum(n for n, _ in self._latest) / seconds if seconds else None

    @property
    def seconds_left(self) -> float | None:
        """Upper bound of the time left, at the pace of the latest evaluations; None before the first.

        The search may end sooner, by patience or because positions repeat.
        """
        if not self._latest:
            return None
        times = [self.left * sum(spent for _, spent in self._latest) / len(self._latest)]
        if "budget_minutes" in self.limits:
            times.append(60 * self.limits["budget_minutes"] - self.seconds)
        if "budget_items" in self.limits and self.items_per_second:
            times.append((self.limits["budget_items"] - self.items) / self.items_per_second)
        return max(0.0, min(times))

    @property
    def stops(self) -> list[tuple[str, float, float]]:
        """Each stop rule: its name, how much of it is used up, and its limit."""
        used: dict[str, float] = {
            "max_iter": max(0, self.completed),
            "patience": max(0, self.completed - self._improved),
            "max_evals": self.done,
            "proposals": self.proposed,
            "budget_items": self.items,
            "budget_minutes": self.seconds / 60,
        }
        return [(name, used[name], limit) for name, limit in self.limits.items()]
