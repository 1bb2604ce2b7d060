"""The state of a search, built from its events: from the search itself, or from its files."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.events import Event
from pyswarmopt_llm.reporting.summary import duration, score_text

# Enough evaluations to smooth their times, few enough to follow a machine that gets slower.
WINDOW = 20

_PHASES = {
    "letter": "trying option letters",
    "confirm": "scoring the leaders again",
    "trained": "scoring what was trained",
    "weights": "optimizing the weights of the models",
}


_RULES = {
    "max_iter": "iterations",
    "patience": "without a new best",
    "max_evals": "evaluations",
    "proposals": "proposals",
    "budget_items": "items",
    "budget_minutes": "minutes",
}


def phase_words(phase: str) -> str:
    """The work of a search in a phase of trials, in words.

    Example:
        >>> phase_words("letter")
        'trying option letters'
    """
    return _PHASES.get(phase, phase)


class SearchState:
    """A search as its events so far describe it.

    Attributes:
        experts: their names.
        particles: population of the swarm.
        limits: what ends the search (see `SearchConfig.limits`).
        phase: current step outside the search loop, in words; "" during the search.
        over: whether the search loop has ended.
        iteration: of the swarm's latest evaluation, 0 for the starting swarm.
        completed: the latest completed iteration, -1 before the first.
        best: best value on dev, None before the first evaluation.
        single: the best expert so far and its value.
        proposed: candidates that a model proposed, evaluated after the last iteration; the journal
            counts them as one more iteration, with particle numbers after those of the swarm.
        done, left: evaluations so far, and left at most.
        items, seconds: scored and spent so far, including a replayed journal.

    Example:
        >>> state = SearchState()
        >>> state.add(Event("start", {"experts": ["x"], "particles": 2, "limits": {"max_iter": 1},
        ...                           "evaluations_planned": 4}))
        >>> state.add(Event("evaluation", {"iteration": 0, "particle": 0, "value": 0.5, "n": 8, "seconds": 2.0,
        ...                                "best": 0.5, "evaluations": 1, "evaluations_left": 3}))
        >>> state.items_per_second, state.seconds_left, state.best, state.stop_words
        (4.0, 6.0, 0.5, ['0 of 1 iterations'])
    """

    def __init__(self) -> None:
        self._begin({"experts": (), "particles": 0, "limits": {}, "evaluations_planned": 0})

    def _begin(self, data: Mapping[str, Any]) -> None:
        self.experts: Sequence[str] = data["experts"]
        self.particles: int = data["particles"]
        self.limits: Mapping[str, float] = data["limits"]
        self.phase, self.over = "getting ready", False
        self.iteration, self.completed = 0, -1
        self.best: float | None = None
        self.single: tuple[str, float] | None = None
        self.proposed = 0
        self.done, self.left = 0, int(data["evaluations_planned"])
        self.items, self.seconds = 0, 0.0
        self._improved = 0  # the iteration of the latest new best
        self._trials: Counter[str] = Counter()
        self._latest: deque[tuple[int, float]] = deque(maxlen=WINDOW)

    def add(self, event: Event) -> None:
        """Update the state by one event."""
        data = event.data
        if event.kind == "start":
            self._begin(data)  # a grid has one search after the other
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

    @property
    def stop_words(self) -> list[str]:
        """The used part of each stop rule, in words."""
        return [f"{_count(used)} of {_count(limit)} {_RULES[name]}" for name, used, limit in self.stops]

    @property
    def facts(self) -> list[str]:
        """Iteration and best scores, a few words each."""
        limit = f"/{self.limits['max_iter']:g}" if "max_iter" in self.limits else ""
        words = [] if "proposals" in self.limits else [f"iteration {self.iteration}{limit}"]
        if self.proposed:
            words.append(f"{self.proposed} proposed by a model")
        words.append(f"best dev {score_text(self.best)}")
        if self.single is not None:
            words.append(f"best expert {score_text(self.single[1])} ({self.single[0]})")
        return words

    @property
    def pace(self) -> list[str]:
        """Evaluations done and left, and speed."""
        speed = self.items_per_second
        words = [f"{self.done} evaluated" + (f", at most {self.left} left" if self.left and not self.over else "")]
        if speed is not None:
            words.append(f"{speed:,.0f} items/s" if speed >= 100 else f"{speed:.3g} items/s")
        return words

    @property
    def time_left(self) -> list[str]:
        """The upper bound of the time left, where there is one."""
        left = self.seconds_left
        return [f"at most {duration(left)} left"] if left and not self.over else []


def _count(number: float) -> str:
    """A whole number in full, with commas; minutes with three digits.

    Example:
        >>> _count(4000.0), _count(0.12345)
        ('4,000', '0.123')
    """
    return f"{number:,.0f}" if number == int(number) else f"{number:.3g}"
