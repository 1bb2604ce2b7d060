"""The closing words and table of a run on a terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pyswarmopt_llm.reporting.findings import Findings
from pyswarmopt_llm.reporting.summary import WEIGHTS, score_text
from pyswarmopt_llm.reporting.terminal.progress import say


def print_findings(console: Console, run: Path, findings: Findings) -> None:
    """Print the verdict, the scores, the mixture, the cost, where the files are, and what to do next.

    Args:
        console: where to.
        run: the run directory.
        findings: of the run.
    """
    for line in (findings.verdict.sentence, *findings.verdict.reasons):
        say(console, line)
    table = Table(title="Scores with 95% intervals", title_justify="left")
    table.add_column("")
    table.add_column("dev", justify="right", no_wrap=True)
    table.add_column("test (held out)", justify="right", no_wrap=True)
    for row in findings.rows:
        table.add_row(escape(row.label), score_text(row.dev, row.dev_interval), score_text(row.test, row.test_interval))
    console.print(table)
    for line in (*findings.about_dev, *findings.remarks):
        say(console, line)
    if findings.several_experts:
        say(console, f"Mixture: {findings.mixture}{', trained on dev' if findings.trained else ''}")
        say(console, WEIGHTS)
    say(console, "Cost: " + "; ".join(f"{name.lower()} {text}" for name, text in findings.costs.items()))
    say(console, f"Files: {run / 'best'}; report: {run / 'report.html'}")
    for purpose, command in findings.steps:
        say(console, f"To {purpose}: {command}")
