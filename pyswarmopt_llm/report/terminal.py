"""The findings of a search on a terminal, in at most a screen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pyswarmopt_llm.common.events import duration, mixture_text
from pyswarmopt_llm.report.findings import combination
from pyswarmopt_llm.report.phrases import score_text

if TYPE_CHECKING:
    from pyswarmopt_llm.report.findings import Findings
    from pyswarmopt_llm.searching.scoring.result import Model

NOTES = 3  # most notes on a terminal; the report has all
WHISKERS = 21  # characters of a score's interval


def say(console: Console, text: str) -> None:
    """Print a line as it is; names from files are never read as markup."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def table_of(title: str, headings: Sequence[str], rows: Iterable[Iterable[str]]) -> Table:
    """A table: texts on the left, then numbers that are not wrapped; headings wrap on a narrow
    terminal.
    """
    cells = [list(row) for row in rows]
    table = Table(title=escape(title) or None, title_justify="left")
    for number, heading in enumerate(headings):
        longest = max((cell_len(row[number]) for row in cells if number), default=0)
        table.add_column(heading, min_width=longest, overflow="fold")
    for row in cells:
        table.add_row(*map(escape, row))
    return table


def print_findings(console: Console, run: Path, findings: Findings) -> None:
    """Print verdict, scores, notes, file locations and next steps.

    Args:
        console: where to print.
        run: the run directory.
        findings: findings of the run.
    """
    say(console, findings.verdict.sentence)
    console.print(score_table(findings))
    for line in _below_scores(run, findings):
        say(console, line)


def score_table(findings: Findings) -> Table:
    """Each model's scores, with the interval on test as whiskers."""
    rows = []
    drawn = whiskers(findings.rows)
    for label, model in findings.rows.items():
        test = None if model.test is None else model.test.value
        rows.append([label, score_text(model.dev.value), score_text(test), drawn[label]])
    headings = ("", "dev", "test", "95% interval")
    return table_of(combination(findings.result), headings, rows)


def whiskers(models: Mapping[str, Model], width: int = WHISKERS) -> dict[str, str]:
    """Label -> the model's interval and score as a line of characters, on one scale; on dev without
    a test split.

    Example:
        >>> from pyswarmopt_llm.searching.scoring.result import Model, Scores
        >>> low = Model({}, Scores(0.2, interval=(0.0, 0.4)))
        >>> whiskers({"a": low, "b": Model({}, Scores(0.8, interval=(0.6, 1.0)))}, width=11)
        {'a': '|-o-|', 'b': '      |-o-|'}
    """
    shown = {label: model.test or model.dev for label, model in models.items()}
    ends = {
        label: scores.interval or (scores.value, scores.value) for label, scores in shown.items()
    }
    least = min((low for low, _ in ends.values()), default=0.0)
    most = max((high for _, high in ends.values()), default=1.0)
    scale = (width - 1) / (most - least) if most > least else 0.0
    lines = {}
    for label, (low, high) in ends.items():
        first, middle, last = (
            round((value - least) * scale) for value in (low, shown[label].value, high)
        )
        line = " " * first + "|" + "-" * max(0, last - first - 1) + "|" * (last > first)
        lines[label] = line[:middle] + "o" + line[middle + 1 :]
    return lines


def _below_scores(run: Path, findings: Findings) -> Iterator[str]:
    """Comparisons, notes, mixture, cost, file locations and next steps."""
    result = findings.result
    yield from findings.verdict.reasons
    yield from findings.notes[:NOTES]
    if len(result.coefficients) > 1:
        yield f"Mixture: {mixture_text(result.coefficients)}"
    yield f"Cost: {result.evaluations:,} evaluations, {duration(result.seconds)}"
    more = len(findings.notes) - NOTES
    notes = f", with {more} more notes" if more > 0 else ""
    yield f"Files: {run}/best; report: {run}/report.html{notes}"
    for purpose, command in findings.steps:
        yield f"To {purpose}: {command}"
