"""The live view of a search, drawn from a `SearchState` in the columns and lines that a terminal has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from pyswarmopt.base.words import counted
from pyswarmopt_llm.reporting.summary import duration, score_text
from pyswarmopt_llm.reporting.terminal.state import SearchState

_BLOCKS, _ASCII = "▁▂▃▄▅▆▇█", ".:-=+*#@"  # low to high: a value reads without colour
# Names, not numbers: they follow the terminal's theme, and look alike in 16 colours and in millions.
_COLOURS = ("blue", "blue", "cyan", "cyan", "green", "green", "yellow", "bright_yellow")
_RULES = {
    "max_iter": "iterations",
    "patience": "without a new best",
    "max_evals": "evaluations",
    "proposals": "proposals",
    "budget_items": "items",
    "budget_minutes": "minutes",
}
_HEAT_LINES = 8
_OTHER_LINES = 13  # what is shown beside the heat map, at most


def facts(state: SearchState) -> list[str]:
    """Iteration and best scores, a few words each."""
    limit = f"/{state.limits['max_iter']:g}" if "max_iter" in state.limits else ""
    words = [] if "proposals" in state.limits else [f"iteration {state.iteration}{limit}"]
    if state.proposed:
        words.append(f"{state.proposed} proposed by the item model")
    words.append(f"best dev {score_text(state.best)}")
    if state.single is not None:
        words.append(f"best expert {score_text(state.single[1])} ({state.single[0]})")
    return words


def pace(state: SearchState) -> list[str]:
    """Evaluations done and left, speed, and time left."""
    speed, left = state.items_per_second, state.seconds_left
    words = [f"{state.done} evaluated" + (f", at most {state.left} left" if state.left and not state.over else "")]
    if speed is not None:
        words.append(f"{speed:,.0f} items/s" if speed >= 100 else f"{speed:.3g} items/s")
    if left and not state.over:
        words.append(f"at most {duration(left)} left")
    return words


def stop_words(state: SearchState) -> list[str]:
    """How much of each stop rule is used up.

    Example:
        >>> from pyswarmopt_llm.common.events import Event
        >>> state = SearchState()
        >>> state.limits = {"max_iter": 9, "patience": 3}
        >>> state.add(Event("iteration", {"iteration": 2, "evaluations": 4, "evaluations_left": 8}))
        >>> stop_words(state)
        ['2 of 9 iterations', '2 of 3 without a new best']
    """
    return [f"{_count(used)} of {_count(limit)} {_RULES[name]}" for name, used, limit in state.stops]


def _count(number: float) -> str:
    """A whole number in full, with commas; minutes with three digits.

    Example:
        >>> _count(4000.0), _count(0.12345)
        ('4,000', '0.123')
    """
    return f"{number:,.0f}" if number == int(number) else f"{number:.3g}"


class LiveView:
    """A rich renderable of a state, fitted to its console.

    Args:
        state: read each time it is drawn.
    """

    def __init__(self, state: SearchState) -> None:
        self.state = state

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines."""
        state = self.state
        yield _line(state.run, style="bold")
        about = (counted(len(state.experts), "expert"), counted(state.particles, "particle"), ", ".join(state.tasks))
        yield _line(*about)
        yield _line(*facts(state))
        yield Text()
        if state.values:
            lines = max(1, min(_HEAT_LINES, console.height - _OTHER_LINES))
            yield from _heat(state, options.max_width, lines, options.ascii_only)
            yield Text()
        yield _line(*pace(state))
        yield _stop_rules(state)
        if state.phase:
            yield _line(state.phase, style="bold")


def _line(*parts: str, style: str = "") -> Text:
    """Parts side by side on one line; what does not fit is cut off with an ellipsis."""
    return Text("  ".join(parts), style=style, no_wrap=True, overflow="ellipsis")


def _stop_rules(state: SearchState) -> Progress:
    """A bar for each stop rule."""
    bar = BarColumn(10, complete_style="cyan", finished_style="cyan")
    bars = Progress(bar, TextColumn("{task.description}", markup=False), auto_refresh=False)
    for words, (_, used, limit) in zip(stop_words(state), state.stops, strict=True):
        bars.add_task(words, total=limit, completed=min(used, limit))  # type: ignore[arg-type]
    return bars


def _heat(state: SearchState, width: int, lines: int, plain: bool) -> Iterator[Text]:
    """The latest iterations, one a line, a character for each particle."""
    shown = sorted(state.values)[-lines:]
    label = len("iteration ") + len(str(shown[-1])) + 1
    gap = "" if label + 2 * state.particles > width else " "
    columns = range(min((width - label + len(gap)) // (1 + len(gap)), state.particles))
    seen = [value for row in shown for value in state.values[row].values()]
    low, high = min(seen), max(seen)
    marks, none = (_ASCII, "_") if plain else (_BLOCKS, "·")
    for row in shown:
        proposed = row > 0 and min(state.values[row]) >= state.particles  # their numbers follow those of the swarm
        first = state.particles if proposed else 0
        values = [state.values[row].get(first + column) for column in columns]
        head = "proposed".ljust(label) if proposed else f"iteration {row:>{label - 11}} "
        yield Text(head).append_text(Text(gap).join(_mark(value, low, high, marks, none) for value in values))
    legend = [f"{marks[0]} {score_text(low)}", f"{marks[-1]} {score_text(high)}", f"{none} not evaluated"]
    yield _line(" " * (label - 2), *legend, style="dim")
    if len(columns) < state.particles:
        yield _line(" " * (label - 2), f"particles 1-{len(columns)} of {state.particles}", style="dim")


def _mark(value: float | None, low: float, high: float, marks: Sequence[str], none: str) -> Text:
    if value is None:
        return Text(none, style="dim")
    level = min(len(marks) - 1, int((value - low) / (high - low) * len(marks))) if high > low else len(marks) - 1
    return Text(marks[level], style=_COLOURS[level])
