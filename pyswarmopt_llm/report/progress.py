"""The progress of a search (planned, started, running) in words."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.events import PART_PLAIN, Event, duration
from pyswarmopt_llm.report.phrases import few, one_line, score_text

if TYPE_CHECKING:
    from pyswarmopt_llm.searching.dry_run import PlannedCost, Timed

# Enough evaluations to average their times, few enough to follow a machine that slows down.
WINDOW = 20
_TRIALS = {"letter": "trying option letters", "trained": "scoring what was trained"}
_PRICE_REMEDIES = {
    "quick": " (--quick fine-tunes the best start and no more)",
    "budget_minutes": " (--budget-minutes M bounds the search)",
}


class SearchState:
    """The state of a search according to its events, in numbers and words.

    Attributes:
        experts: names of the experts.
        particles: population of the swarm.
        settings: settings of the search.
        phase: current step outside the search loop, in words; "" during the loop.
        over: whether the search loop has ended.
        iteration: iteration of the swarm's latest evaluation; 0 for the starting swarm.
        best: best value on dev; None before the first evaluation.
        single: best expert so far, and its value.
        proposed: surrogate candidates evaluated after the last iteration; the journal counts them
            as one more iteration, with particle numbers after the swarm's.
        done, left: evaluations so far, and the most still to come.
        items, seconds: items scored and seconds spent so far, including a replayed journal.
        trials: number of trials so far in each phase beside the search.

    Example:
        >>> state = SearchState()
        >>> settings = {"max_iter": 1, "budget_minutes": None, "budget_items": None}
        >>> state.add(Event("start", {"experts": ["x"], "particles": 2, "settings": settings,
        ...                           "evaluations_planned": 4}))
        >>> state.add(Event("evaluation", {"iteration": 0, "particle": 0, "value": 0.5, "n": 8, "seconds": 2.0,
        ...                                "best": 0.5, "evaluations": 1, "evaluations_left": 3}))
        >>> state.items_per_second, state.seconds_left, state.best
        (4.0, 6.0, 0.5)
    """

    def __init__(self) -> None:
        self._start({"experts": (), "particles": 0, "settings": {}, "evaluations_planned": 0})

    def add(self, event: Event) -> None:
        """Update the state with an event."""
        if (change := getattr(self, f"_{event.kind}", None)) is not None:
            change(event.data)

    def _start(self, data: Mapping[str, Any]) -> None:  # a grid runs several searches in turn
        self.experts: Sequence[str] = data["experts"]
        self.particles: int = data["particles"]
        self.settings: Mapping[str, Any] = data["settings"]
        self.phase = "getting ready"
        self.over = False
        self.iteration = self.proposed = self.done = self.items = 0
        self.left = int(data["evaluations_planned"])
        self.seconds = 0.0
        self.best: float | None = None
        self.single: tuple[str, float] | None = None
        self.trials: Counter[str] = Counter()
        self._passes: Mapping[str, int] = data.get("passes", {})
        self._recent: deque[tuple[int, float]] = deque(maxlen=WINDOW)

    def _evaluation(self, data: Mapping[str, Any]) -> None:
        iteration = data["iteration"]
        particle = data["particle"]
        value = data["value"]
        self.phase = ""
        self.best = data["best"]
        if iteration > 0 and particle >= self.particles:
            self.proposed += 1
        else:
            self.iteration = max(self.iteration, iteration)
        first = iteration == 0 and particle < len(self.experts)
        if first and (self.single is None or value > self.single[1]):
            self.single = self.experts[particle], value
        self.done = data["evaluations"]
        self.left = data["evaluations_left"]
        self.items += data["n"]
        self.seconds += data["seconds"]
        self._recent.append((data["n"], data["seconds"]))

    _replayed = _evaluation

    def _training(self, data: Mapping[str, Any]) -> None:
        left = data["seconds"] * (1 / data["share"] - 1) + self._after("rivals", "result")
        self.phase = f"training: {data['share']:.0%}, about {duration(left)} left"

    def _trial(self, data: Mapping[str, Any]) -> None:
        self.trials[data["phase"]] += 1
        self.phase = trial(data["phase"], self.trials[data["phase"]], len(self.experts))

    def _closing(self, _data: Mapping[str, Any]) -> None:
        self.phase = "scoring the result"
        self.over = True

    def _done(self, _data: Mapping[str, Any]) -> None:
        self.phase = "finished"
        self.over = True

    @property
    def items_per_second(self) -> float | None:
        """Items per second over the latest `WINDOW` evaluations; None before the first."""
        seconds = sum(spent for _, spent in self._recent)
        return sum(n for n, _ in self._recent) / seconds if seconds else None

    @property
    def seconds_left(self) -> float | None:
        """Upper bound of the time left, at the latest pace; None before the first evaluation.

        Training, baselines and the result's scores are included from the start. The search may end
        sooner, by patience or because positions repeat.
        """
        if not self._recent:
            return None
        times = [self.left * sum(spent for _, spent in self._recent) / len(self._recent)]
        if self.settings["budget_minutes"] is not None:
            times.append(60 * self.settings["budget_minutes"] - self.seconds)
        if self.settings["budget_items"] is not None and self.items_per_second:
            times.append((self.settings["budget_items"] - self.items) / self.items_per_second)
        return max(0.0, min(times)) + self._after("training", PART_PLAIN, "rivals", "result")

    def _after(self, *parts: str) -> float:
        """Seconds for the parts after the search, at the latest pace."""
        pace = self.items_per_second
        return sum(self._passes.get(part, 0) for part in parts) / pace if pace else 0.0

    @property
    def words(self) -> str:
        """Iteration, best scores, evaluations done and left, and speed."""
        return ", ".join(so_far(self))

    @property
    def time_left(self) -> str:
        """The upper bound of the time left; "" if unknown."""
        left = self.seconds_left
        return f"at most {duration(left)} left" if left and not self.over else ""


# Messages while a search runs


def so_far(state: SearchState) -> Iterator[str]:
    """The search so far: iteration, best scores, evaluations done and left, and speed."""
    if state.settings.get("max_iter"):
        yield f"iteration {state.iteration}/{state.settings['max_iter']}"
    if state.proposed:
        yield f"{state.proposed} suggested by a model"
    yield f"best dev {score_text(state.best)}"
    if state.single is not None:
        name, value = state.single
        yield f"best expert {score_text(value)} ({one_line(name)})"
    left = f", at most {state.left:,} left" if state.left and not state.over else ""
    yield f"{state.done:,} evaluated{left}"
    if state.items_per_second is not None:
        yield f"{pace(state.items_per_second)} examples/s"


def pace(number: float) -> str:
    """A number with three digits, or with all digits before the point.

    Example:
        >>> pace(1234.5), pace(1.23456)
        ('1,234', '1.23')
    """
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def trial(phase: str, scored: int, experts: int) -> str:
    """A message about an evaluation beside the search.

    Args:
        phase: phase of the evaluation.
        scored: evaluations in that phase so far.
        experts: number of experts.

    Example:
        >>> trial("letter", 2, 5), trial("trained", 1, 5)
        ('trying option letters: 2 of 5 experts scored', 'scoring what was trained: 1 scored')
    """
    of = f" of {counted(experts, 'expert')}" if phase == "letter" else ""
    return f"{_TRIALS.get(phase, phase)}: {scored}{of} scored"


def logged(event: Event, state: SearchState, new: bool) -> str:
    """The line of a log after an event; "" for most events.

    Args:
        event: the latest event.
        state: state after the event.
        new: whether there was an evaluation since the last line.
    """
    match event.kind:
        case "iteration" if new:
            return ", ".join(filter(None, [state.words, state.time_left]))
        case "trial" if state.trials[event.data["phase"]] == 1:
            return first_trial(event.data["phase"], event.data["n"])
        case "closing":
            return state.phase
    return ""


def first_trial(phase: str, n: int) -> str:
    """A message about the first of several evaluations beside the search, on n examples.

    Example:
        >>> first_trial("letter", 20)
        'trying option letters, on 20 examples'
    """
    on = f", on {counted(n, 'example')}" if phase == "letter" else ""
    return f"{_TRIALS.get(phase, phase)}{on}"


# Messages when a search starts


def headline(start: Mapping[str, Any]) -> str:
    """A line about a search that starts, without details not yet known.

    Args:
        start: data of the ``start`` event, see `Event`.
    """
    settings = start["settings"]
    tasks = ", ".join(start["tasks"])
    particles = counted(start["particles"], "particle")
    of = f" of {counted(start['dev_items'], 'dev example')}" if start["dev_items"] else ""
    details = ", ".join(_details(start, settings))
    warning = few(start["dev_items"])
    return (
        f"{start['run']}: {counted(len(start['experts']), 'expert')} on {tasks}; {particles}, "
        f"at most {counted(start['evaluations_planned'], 'evaluation')}{of}"
        + (f" ({details})" if details else "")
        + (f"\n{warning}" if warning else "")
    )


def _details(start: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[str]:
    if settings["scoring"] != "auto":
        yield f"{settings['scoring']} scoring"
    if start["dtype"] != "auto":
        yield start["dtype"]
    if start["threads"]:
        yield counted(start["threads"], "thread")
    if settings["workers"] != "1":
        yield f"{settings['workers']} workers"


def decided(start: Mapping[str, Any]) -> str:
    """The settings that the procedure chose, and the given ones.

    Args:
        start: see `headline`.
    """
    settings = start["settings"]
    given = start["given"]
    chosen = ", ".join(_chosen(start, settings))
    typed = ", ".join(
        f"{name.replace('_', '-')} {_written(value)}"
        for name, value in given.items()
        if name not in ("paper", "reference")
    )
    line = f"{_procedure(settings)}: {chosen}" + (f"; given: {typed}" if typed else "")
    asked = settings["particles"]
    particles = start["particles"]
    if asked is None or particles <= asked:
        return line
    also = ", the base, their average and their sum" if settings["start"] == "even" else ""
    return (
        f"{line}\n--particles {asked}: raised to {particles}, since the search begins at all "
        f"{len(start['experts'])} experts{also}"
    )


def _procedure(settings: Mapping[str, Any]) -> str:
    if settings["paper"]:
        return "the paper's procedure"
    if settings["reference"]:
        return "the procedure of the authors' scripts"
    return "this search"


def _chosen(start: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[str]:
    yield f"space {settings['space']}"
    if settings["quick"]:
        yield "quick: a race finds the best of base and experts"
    if settings["max_iter"]:
        if settings["optimizer"] != "model-swarms":
            yield settings["optimizer"]
        yield counted(start["particles"], "particle")
        yield f"at most {counted(settings['max_iter'], 'iteration')}"
        if settings["budget_items"] is not None:
            yield f"at most {settings['budget_items']:,} examples"
    elif settings["proposals"]:
        yield (
            f"up to {counted(settings['proposals'], 'mixture')} suggested by statistics on the first scores "
            "(--max-iter N: a swarm's iterations instead)"
        )
    if start["training"]:
        yield f"then {start['training']}"


def _written(value: object) -> str:
    """A setting as typed on the command line."""
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def price(found: Mapping[str, Any]) -> str:
    """The most that a search costs in total.

    Args:
        found: data of the event, see `Event`.

    Example:
        >>> price({"passes": 1200, "seconds": {"search": 60, "rivals": 15}, "bounded_by": ""})
        'at most 1,200 passes of an example, about 1:15 at the pace of the first: search 1:00, baselines 0:15'
    """
    most = f"at most {found['passes']:,} passes of an example, " if found["passes"] else ""
    parts = ", ".join(
        f"{name.replace('rivals', 'baselines')} {duration(spent)}"
        for name, spent in found["seconds"].items()
        if spent
    )
    whole = sum(found["seconds"].values())
    remedy = _PRICE_REMEDIES.get(found["bounded_by"], "")
    return f"{most}about {duration(whole)} at the pace of the first: {parts}{remedy}"


# Messages of a dry run


def planned(plan: PlannedCost) -> Iterator[str]:
    """The cost of a search: examples to score, time and memory for them here, files to write."""
    yield from map(_timed, plan.tasks)
    yield (
        f"at most {plan.evaluations:,} evaluations: {plan.passes:,} forward passes of an example"
    )
    machine = f"{plan.device}, {plan.dtype}, {counted(plan.threads, 'thread')}"
    yield f"at most {duration(plan.seconds)} on this machine ({machine}), from one timed batch"
    free = "" if plan.free_bytes is None else f"; {gib(plan.free_bytes)} are free beside it"
    yield f"memory: {gib(plan.memory_bytes)}{free}"
    yield from map(one_line, plan.notes)
    yield f"would write {one_line(plan.out)}: {', '.join(plan.writes)}; nothing was written"


def _timed(task: Timed) -> str:
    spent = ""
    if task.seconds_per_item is not None:
        load = f"{task.seconds_per_load:.2g} s to load a candidate"
        spent = f", {task.seconds_per_item:.2g} s per example, {load}"
    return (
        f"{one_line(task.name)}: {counted(task.dev, 'dev example')}, "
        f"{counted(task.test, 'test example')}, {task.scoring} scoring{spent}"
    )


def gib(number: int) -> str:
    """Bytes as GiB.

    Example:
        >>> gib(3 * 2**29)
        '1.5 GiB'
    """
    return f"{number / 2**30:.1f} GiB"
