"""The findings of a search on a terminal, in at most a screen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pyswarmopt_llm.common.events import duration, mixture_text
from pyswarmopt_llm.report.findings import combination
from pyswarmopt_llm.report.phrases import score, score_text

if TYPE_CHECKING:
    from pyswarmopt_llm.report.findings import Findings


def print_findings(console: Console, run: Path, findings: Findings) -> None:
    """Print verdict, scores, the first notes, mixture and cost, file locations and next steps.

    Args:
        console: where to print.
        run: the run directory.
        findings: findings of the run.
    """
    result = findings.result
    table = Table(title=Text(combination(result)), title_justify="left")
    for heading in ("", "dev", "test [95% interval]"):
        table.add_column(heading, overflow="fold")
    for label, model in findings.rows.items():
        table.add_row(label, score_text(model.dev.value), score(model.test))
    cost = f"{result.evaluations:,} evaluations, {duration(result.seconds)}"
    steps = [f"To {purpose}: {command}" for purpose, command in findings.steps.items()]
    for part in (
        findings.verdict.sentence,
        table,
        *findings.verdict.reasons[:1],
        *findings.notes[:2],
        f"Mixture: {mixture_text(result.coefficients)}; {cost}",
        f"Files: {run}/best; report: {run}/report.html",
        *steps,
    ):
        # names from files are never read as markup
        console.print(part, markup=False, highlight=False, soft_wrap=isinstance(part, str))
