"""The findings of a search on a terminal, in at most a screen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pyswarmopt_llm.common.events import duration, mixture_text
from pyswarmopt_llm.report.findings import combination, spans
from pyswarmopt_llm.report.phrases import score_text

if TYPE_CHECKING:
    from pyswarmopt_llm.report.findings import Findings

WHISKERS = 21  # characters of a score's interval


def say(console: Console, text: str) -> None:
    """Print a line as it is; names from files are never read as markup."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def table_of(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table: texts on the left, then numbers that are not wrapped."""
    cells = [*rows]
    table = Table(title=escape(title) or None, title_justify="left")
    for number, heading in enumerate(headings):
        longest = max((cell_len(row[number]) for row in cells if number), default=0)
        table.add_column(heading, min_width=longest, overflow="fold")
    for row in cells:
        table.add_row(*map(escape, row))
    return table


def print_findings(console: Console, run: Path, findings: Findings) -> None:
    """Print verdict, scores, the first notes, mixture and cost, file locations and next steps.

    Args:
        console: where to print.
        run: the run directory.
        findings: findings of the run.
    """
    result = findings.result
    say(console, findings.verdict.sentence)
    console.print(score_table(findings))
    for line in (*findings.verdict.reasons[:1], *findings.notes[:2]):
        say(console, line)
    cost = f"{result.evaluations:,} evaluations, {duration(result.seconds)}"
    say(console, f"Mixture: {mixture_text(result.coefficients)}; {cost}")
    more = f", with {len(findings.notes)} notes" if len(findings.notes) > 2 else ""
    say(console, f"Files: {run}/best; report: {run}/report.html{more}")
    for purpose, command in findings.steps.items():
        say(console, f"To {purpose}: {command}")


def score_table(findings: Findings) -> Table:
    """Each model's scores, with the interval on test as whiskers."""
    places = spans(findings.rows)
    rows = []
    for label, model in findings.rows.items():
        test = None if model.test is None else model.test.value
        drawn = whiskers(places[label]) if label in places else ""
        rows.append([label, score_text(model.dev.value), score_text(test), drawn])
    return table_of(combination(findings.result), ("", "dev", "test", "95% interval"), rows)


def whiskers(span: tuple[float, float, float], width: int = WHISKERS) -> str:
    """An interval, of numbers from 0 to 1, as a line of characters.

    Example:
        >>> whiskers((0.2, 0.5, 1.0), width=11)
        '  ---o-----'
    """
    low, value, high = (round(end * (width - 1)) for end in span)
    line = " " * low + "-" * (high - low + 1)
    return line[:value] + "o" + line[value + 1 :]
