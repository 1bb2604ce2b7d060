"""A search on a terminal: what `SearchState` knows, in as many columns and lines as there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from pyswarmopt.cli.words import counted
from pyswarmopt_llm.reporting.terminal.state import SearchState

_BLOCKS, _ASCII = "▁▂▃▄▅▆▇█", ".:-=+*#@"  # low to high: a value reads without colour
# Names, not numbers: they follow the terminal's theme, and look alike in 16 colours and in millions.
_COLOURS = ("blue", "blue", "cyan", "cyan", "green", "green", "yellow", "bright_yellow")
_RULES = {
    "max_iter": "iterations",
    "patience": "without a new best",
    "max_evals": "evaluations",
    "budget_items": "items",
    "budget_minutes": "minutes",
}
_HEAT_LINES = 8
_OTHER_LINES = 12  # what is shown beside the heat map, at most


def duration(seconds: float) -> str:
    """Seconds as a clock shows them.

    Example:
        >>> duration(75.2), duration(3 * 3600 + 62)
        ('1:15', '3:01:02')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def facts(state: SearchState) -> list[str]:
    """What a person wants to know first, each as a few words."""
    limit = f"/{state.limits['max_iter']:g}" if "max_iter" in state.limits else ""
    words = [f"iteration {state.iteration}{limit}"]
    if state.proposed:
        words.append(f"{state.proposed} proposed by the item model")
    if state.best is None:
        return [*words, "best dev -"]
    words.append(f"best dev {state.best:.4f}")
    if state.single is not None:
        words.append(f"best expert {state.single[1]:.4f} ({state.single[0]})")
    return words


def pace(state: SearchState) -> list[str]:
    """What is done, how fast, and how long it may take."""
    speed, left = state.items_per_second, state.seconds_left
    words = [f"{state.done} evaluated" + (f", at most {state.left} left" if state.left and not state.over else "")]
    if speed is not None:
        words.append(f"{speed:,.0f} items/s" if speed >= 100 else f"{speed:.3g} items/s")
    if left and not state.over:
        words.append(f"at most {duration(left)} left")
    return words


def stop_words(state: SearchState) -> list[str]:
    """How close each stop rule is.

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
    """Draws a state; a rich renderable that fits the console it is drawn on.

    Args:
        state: read each time it is drawn.
    """

    def __init__(self, state: SearchState) -> None:
        self.state = state

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines."""
        state, width = self.state, options.max_width
        plain = options.ascii_only
        about = (", ".join(state.tasks), counted(len(state.experts), "expert"), counted(state.particles, "particle"))
        yield from _flow([Text(state.run, style="bold"), *about], width)
        yield from _flow([Text(word, "bold" if word.startswith("best dev") else "") for word in facts(state)], width)
        yield Text()
        if state.values:
            yield from _heat(state, width, max(1, min(_HEAT_LINES, console.height - _OTHER_LINES)), plain)
            yield Text()
        yield from _flow(pace(state), width)
        for words, (_, used, limit) in zip(stop_words(state), state.stops, strict=True):
            yield _fit(Text.assemble((_bar(used / limit if limit else 1.0, plain), "cyan"), f" {words}"), width)
        if state.phase:
            yield _fit(Text(state.phase, style="bold"), width)


def _flow(parts: Iterable[str | Text], width: int) -> list[Text]:
    """Parts side by side, on as many lines as they need."""
    lines: list[Text] = []
    for part in parts:
        text = part if isinstance(part, Text) else Text(part)
        if lines and lines[-1].cell_len + 2 + text.cell_len <= width:
            lines[-1] = Text.assemble(lines[-1], "  ", text)
        else:
            lines.append(_fit(text, width))
    return lines


def _fit(text: Text, width: int) -> Text:
    """One line of at most `width` columns; what does not fit is cut off with an ellipsis."""
    text.no_wrap, text.overflow = True, "ellipsis"
    text.truncate(width, overflow="ellipsis")
    return text


def _bar(share: float, plain: bool, cells: int = 10) -> str:
    full = min(cells, int(share * cells))
    return "#" * full + "." * (cells - full) if plain else "█" * full + "░" * (cells - full)


def _heat(state: SearchState, width: int, lines: int, plain: bool) -> list[Text]:
    """The latest iterations, one a line, a character for each particle."""
    shown = sorted(state.values)[-lines:]
    digits = len(str(shown[-1]))
    label = len("iteration ") + digits + 1
    gap = "" if label + 2 * state.particles > width else " "
    room = (width - label + len(gap)) // (1 + len(gap))
    columns = range(min(room, state.particles))
    seen = [value for row in shown for value in state.values[row].values()]
    low, high = min(seen), max(seen)
    marks = _ASCII if plain else _BLOCKS
    found = []
    for row in shown:
        proposed = row > 0 and min(state.values[row]) >= state.particles  # their numbers follow those of the swarm
        line = Text("proposed".ljust(label) if proposed else f"iteration {row:>{digits}} ")
        first = state.particles if proposed else 0
        for column in columns:
            line.append_text(_cell(state.values[row].get(first + column), low, high, marks))
            line.append(gap)
        found.append(_fit(line, width))
    legend = f"{marks[0]} {low:.3f}  {marks[-1]} {high:.3f}  {'_' if plain else '·'} not evaluated"
    some = f"  particles 1-{len(columns)} of {state.particles}" if len(columns) < state.particles else ""
    return [*found, *_flow([Text(" " * (label - 2)), Text(legend + some, style="dim")], width)]


def _cell(value: float | None, low: float, high: float, marks: Sequence[str]) -> Text:
    if value is None:
        return Text("_" if marks == _ASCII else "·", style="dim")
    level = min(len(marks) - 1, int((value - low) / (high - low) * len(marks))) if high > low else len(marks) - 1
    return Text(marks[level], style=_COLOURS[level])


__all__ = ["LiveView", "duration", "facts", "pace", "stop_words"]
