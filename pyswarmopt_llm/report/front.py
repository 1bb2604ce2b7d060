"""What a front means: the result beside the strongest single knob, a table and a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import ge
from typing import TYPE_CHECKING, Any

from pyswarmopt_llm.common.paired import PairedComparison
from pyswarmopt_llm.common.statistics import LEVEL, score_interval
from pyswarmopt_llm.report.axes import ticks
from pyswarmopt_llm.report.phrases import one_line, tested, turned
from pyswarmopt_llm.run.combined import difference
from pyswarmopt_llm.run.record import FRONT
from pyswarmopt_llm.run.result import KNOB, Model, Objective, RunResult, Scores

if TYPE_CHECKING:
    from rich.table import Table

WIDTH = 480  # of the picture, in viewBox units
HEIGHT = 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 16, 34, 44  # room for the axes
TOKENS = "tokens"  # unit
_NAME = 40  # most characters of an adapter's name
_LABEL = 16  # least width of the names in a terminal


def figure(objective: Objective, value: float | None) -> str:
    """A score as people read it, without its unit.

    Example:
        >>> figure(Objective("generate", lower=True, unit="tokens"), -31.25), figure(Objective("generate"), 0.5)
        ('31.2', '0.500')
    """
    if value is None:
        return "-"
    shown = objective.shown(value)
    if objective.unit == TOKENS:
        return f"{shown:.1f}"
    return f"{shown + 0.0:.3f}"


def heading(name: str, objective: Objective) -> str:
    """The name of a score with its unit and direction.

    Example:
        >>> heading("tokens", Objective("generate", lower=True, unit="tokens"))
        'tokens (lower is better)'
        >>> heading("drift", Objective("likelihood", lower=True, unit="nats"))
        'drift (nats, lower is better)'
    """
    unit = objective.unit if objective.unit != name else ""
    said = ", ".join(filter(None, [unit, "lower is better" if objective.lower else ""]))
    return f"{name} ({said})" if said else name


def cell(name: str, objective: Objective, scores: Scores | None) -> str:
    """A model's score on a split with its interval."""
    if scores is None or name not in scores.tasks:
        return "-"
    outcome = scores.tasks[name]
    text = figure(objective, outcome.value)
    ends = score_interval(outcome, objective.scale)
    if ends is None:
        return text
    if objective.lower:
        ends = (min(ends[1], 0.0), min(ends[0], 0.0))
    low, high = (figure(objective, end) for end in ends)
    return f"{text} [{low}, {high}]"


def score_lines(result: RunResult) -> Iterator[str]:
    """Each of several scores of the result, on test and dev."""
    if result.several_tasks:
        for name, objective in result.objectives.items():
            test, dev = (
                cell(name, objective, scores) for scores in (result.best.test, result.best.dev)
            )
            yield f"{heading(name, objective)}: {test} on test, {dev} on dev"


def front_rows(result: RunResult) -> dict[str, Model]:
    """Label -> model of a front's table: its points, then what it is compared with."""
    rows = {}
    for number in range(1, len(result.front) + 1):
        model = result.models[f"{FRONT}/{number}"]
        knob = next((name for name in _knobs(result) if result.models[name].same(model)), "")
        called = f", {_knob_name(result, knob)}" if knob else ""
        here = number == result.chosen
        mark = " (result)" if here and not result.best.trained else ""
        rows[f"{number}{called}{mark}"] = model
        if here and "trained" in result.models:
            mark = " (result)" if result.best.trained else ""
            rows[f"{number}, fine-tuned{mark}"] = result.models["trained"]
    for name, label in (("base", "base model"), ("best_single", f"expert {result.best_single}")):
        if name in result.models and not any(map(result.models[name].same, rows.values())):
            rows[one_line(label)] = result.models[name]
    name, strongest = strongest_knob(result)
    if not any(map(strongest.same, rows.values())):
        rows[name] = strongest
    return rows


def table(result: RunResult) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of a front: on test, if it was scored, and on dev."""
    splits = ["test", "dev"] if result.best.test is not None else ["dev"]
    headings = ["point"]
    for split in splits:
        headings += [f"{heading(n, o)}, {split}" for n, o in result.objectives.items()]
    rows = []
    for label, model in front_rows(result).items():
        row = [label]
        for split in splits:
            scores: Scores | None = getattr(model, split)
            for name, objective in result.objectives.items():
                text = cell(name, objective, scores)
                row.append(text if split == splits[0] else text.partition(" ")[0])
        rows.append(row)
    return headings, rows


def front_table(result: RunResult, width: int) -> Table:
    """The table for a terminal of this width; if it is narrow, intervals have lines of their own."""
    from rich.table import Table
    from rich.text import Text

    headings, rows = table(result)
    room = width - _LABEL - 3 * len(headings) - 1
    widths = _widths(headings, rows)
    if sum(widths) > room:
        rows = [[text.replace(" [", "\n[") for text in row] for row in rows]
        widths = _widths(headings, rows)
    shown = Table()
    for text, own in zip(headings, (None, *widths), strict=True):
        fixed = own if sum(widths) <= room else None  # many scores are as narrow as need be
        shown.add_column(Text(text), overflow="fold", width=fixed)
    for row in rows:
        shown.add_row(*map(Text, row))
    return shown


def _widths(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """The width of each column but the first, whose heading may have a line for each word."""
    _, *columns = zip(*([text.replace(" ", "\n") for text in headings], *rows), strict=True)
    return [max(len(line) for cell in cells for line in cell.split("\n")) for cells in columns]


def training_lines(result: RunResult) -> Iterator[str]:
    """What training changes, a line for each score; nothing if the point was not trained."""
    before, after = (result.models.get(name) for name in ("mixture", "trained"))
    if before is None or after is None:
        return
    split = "dev" if before.test is None or after.test is None else "test"
    for name, objective in result.objectives.items():
        pair = [getattr(model, split).tasks[name].value for model in (before, after)]
        shown = " -> ".join(figure(objective, value) for value in pair)
        yield f"Fine-tuning, {heading(name, objective)}: {shown} on {split}."


def strongest_knob(result: RunResult) -> tuple[str, Model]:
    """The best expert at one strength that a person would choose beside the result, on dev: of those
    whose first score is no lower than the result's, the one that is no worse than it in most of the
    others, of equals the best in these, one after the other; if there is none, the one with the best
    first score. Where no strength was scored, the best expert.

    Returns:
        Its name in words, and the model.
    """
    knobs = {name: result.models[name] for name in _knobs(result) or ["best_single"]}
    ours = [result.best.dev.tasks[name].value for name in result.objectives]

    def scores(name: str) -> list[float]:
        return [knobs[name].dev.tasks[task].value for task in result.objectives]

    def strength(name: str) -> tuple[int, list[float]]:
        first, *others = scores(name)
        held = sum(map(ge, others, ours[1:]))
        return held, [*others, first]

    level = [name for name in knobs if scores(name)[0] >= ours[0]]
    if level:
        best = max(level, key=strength)
    else:
        best = max(knobs, key=scores)
    return _knob_name(result, best), knobs[best]


def _knobs(result: RunResult) -> list[str]:
    """The names of the best expert's strengths among the models."""
    return [name for name in result.models if name.startswith(f"{KNOB}/")]


def _knob_name(result: RunResult, name: str) -> str:
    """A single knob in words."""
    strength = name.partition("/")[2]
    expert = one_line(result.best_single)[:_NAME]
    if strength == "0":
        return "base model"
    if strength in ("1", ""):
        return f"expert {expert}"
    return f"expert {expert} at strength {strength}"


def compared(result: RunResult, other: Model) -> dict[str, PairedComparison]:
    """Score -> the result minus another model on test, paired; the level is divided by the number of
    scores (Bonferroni).
    """
    ours, theirs = result.best.test, other.test
    if ours is None or theirs is None:
        return {}
    found = {}
    for name, objective in result.objectives.items():
        asked = objective.questions.get("test")
        level = LEVEL / len(result.objectives)
        pair = difference(ours.tasks[name], theirs.tasks[name], objective.scale, asked, level)
        if pair is not None:
            found[name] = pair
    return found


def front_verdict(result: RunResult) -> tuple[str, str, tuple[str, ...]]:
    """Kind, sentence and reasons, see `findings.Verdict`: the result against the strongest single
    knob at the same first score.
    """
    name, knob = strongest_knob(result)
    first, *others = result.objectives
    point = f"Point {result.chosen} of {len(result.front)}: {result.rule}."
    known = (point, *training_lines(result))
    if result.best.test is None:
        return "untested", "Not known: there is no test split to compare the front on.", known
    for own in (*_knobs(result), "best_single"):
        if result.models[own].same(result.best):
            called = _knob_name(result, own)
            return "same", f"No: the chosen point is a single knob, the {called}.", known
    pairs = compared(result, knob)
    reasons = [*known, f"The strongest single knob is the {name}."]
    reasons += [
        f"{task}: {_two(result, task, knob)}, {_tested(result.objectives[task], pair)}."
        for task, pair in pairs.items()
    ]
    signs = {task: pair.sign for task, pair in pairs.items()}
    gained = [task for task in signs if signs[task] > 0]
    lost = [task for task in signs if signs[task] < 0]
    if gained and not lost:
        return "better", f"Yes: {_gain(result, knob, gained, first)}.", tuple(reasons)
    if lost and not gained:
        worse = " and ".join(lost)
        return "worse", f"No: the {name} is significantly better in {worse}.", tuple(reasons)
    if gained:
        both = f"better in {' and '.join(gained)}, worse in {' and '.join(lost)}"
        return "level", f"No: against the {name} the point is {both}.", tuple(reasons)
    told = ", ".join([first, *others])
    return "level", f"No: in {told} it is not significantly better than the {name}.", tuple(reasons)


def _gain(result: RunResult, knob: Model, gained: Sequence[str], first: str) -> str:
    """What is gained over a single knob, in words."""
    name, _ = strongest_knob(result)
    parts = []
    for task in gained:
        objective = result.objectives[task]
        ours, theirs = (objective.shown(value) for value in _values(result, task, knob))
        change = f"{abs(ours - theirs):.3f}"
        if objective.unit and theirs:
            change = f"{100 * abs(ours - theirs) / abs(theirs):.0f}%"
        if objective.unit == TOKENS:
            parts.append(f"replies are {change} shorter")
        else:
            parts.append(f"{task} is {change} {objective.direction}")
    same = "" if first in gained else f"at the same {first} "
    return f"{same}{' and '.join(parts)} than with the {name}"


def _values(result: RunResult, task: str, knob: Model) -> tuple[float, float]:
    """A score of the result and of a knob on test."""
    scored = filter(None, (result.best.test, knob.test))
    ours, theirs = (scores.tasks[task].value for scores in scored)
    return ours, theirs


def _two(result: RunResult, task: str, knob: Model) -> str:
    """Both scores on test."""
    objective = result.objectives[task]
    ours, theirs = (figure(objective, value) for value in _values(result, task, knob))
    return f"{ours} vs. {theirs}"


def _tested(objective: Objective, pair: PairedComparison) -> str:
    """A paired difference, as people read it."""
    shown = turned(pair) if objective.lower else pair
    return tested(shown, 1 if objective.unit == TOKENS else 3)


# The picture


def pictures(result: RunResult) -> list[dict[str, Any]]:
    """A picture of the first score against each other one, on test if it was scored."""
    first, *others = result.objectives
    return [picture(result, other, first) for other in others]


def picture(result: RunResult, across: str, upwards: str) -> dict[str, Any]:
    """Two scores of all models of a front, in viewBox units; the better is to the right and up.

    Returns:
        ``across`` and ``upwards``, the axes: ``name`` and ``ticks``, (place, text); ``points``,
        ``experts``, ``base`` and ``knob``, lists of marks: label, place, ends of both intervals;
        ``split``.
    """
    split = "test" if result.best.test is not None else "dev"
    marks = _marks(result, split, (across, upwards))
    spans = [_span([ends for mark in marks for ends in mark["ends"][axis]]) for axis in (0, 1)]

    def place(axis: int, value: float) -> float:
        low, high = spans[axis]
        share = (value - low) / (high - low)
        if axis == 0:
            return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 1)
        return round(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM), 1)

    for mark in marks:
        mark["x"], mark["y"] = (place(axis, mark["at"][axis]) for axis in (0, 1))
        mark["wide"], mark["tall"] = (
            [place(axis, end) for end in mark["ends"][axis]] for axis in (0, 1)
        )
    axes = {}
    for axis, name in enumerate((across, upwards)):
        objective = result.objectives[name]
        low, high = spans[axis]
        marked = [end for end in ticks(low, high, 5) if low <= end <= high]
        told = [(place(axis, end), f"{objective.shown(end):g}") for end in marked]
        axes[("across", "upwards")[axis]] = {"name": heading(name, objective), "ticks": told}
    kinds = {
        kind: [mark for mark in marks if mark["kind"] == kind] for kind in ("point", "knob", "dev")
    }
    return {**axes, **kinds, "split": split}


def _marks(result: RunResult, split: str, names: tuple[str, str]) -> list[dict[str, Any]]:
    """The models to draw: points of the front, the knob, and the other experts, on dev."""
    marks = []
    for number in range(1, len(result.front) + 1):
        model = result.models[f"{FRONT}/{number}"]
        mark = _mark(result, getattr(model, split), names)
        ring = number == result.chosen and not result.best.trained
        told = {"label": number, "text": f"point {number}", "ring": ring}
        marks.append({**mark, "kind": "point", **told})
    if trained := result.models.get("trained"):
        scores = getattr(trained, split) or trained.dev
        told = {"label": "t", "text": "the point, fine-tuned", "ring": result.best.trained}
        marks.append({**_mark(result, scores, names), "kind": "point", **told})
    for name in _knobs(result):
        scores = getattr(result.models[name], split)
        if scores is not None:
            text = _knob_name(result, name)
            mark = _mark(result, scores, names)
            marks.append({**mark, "kind": "knob", "label": name.partition("/")[2], "text": text})
    for number, (name, model) in enumerate(result.experts.items(), start=1):
        if name != result.best_single:
            mark = _mark(result, model.dev, names)
            text = f"{name}, on dev"
            marks.append({**mark, "kind": "dev", "label": number, "text": text})
    return marks


def _mark(result: RunResult, scores: Scores, names: tuple[str, str]) -> dict[str, Any]:
    """Where a model is, and the ends of its intervals, higher is better."""
    at = [scores.tasks[name].value for name in names]
    ends: list[Sequence[float]] = []
    for name, value in zip(names, at, strict=True):
        outcome = scores.tasks[name]
        scale = result.objectives[name].scale
        own: Sequence[float] = score_interval(outcome, scale) or (value, value)
        if result.objectives[name].lower:
            own = [min(end, 0.0) for end in own]
        ends.append(own)
    return {"at": at, "ends": ends}


def _span(values: Sequence[float]) -> tuple[float, float]:
    """The range of an axis."""
    low, high = min(values), max(values)
    room = 0.04 * (high - low) or 0.5
    return low - room, high + room
