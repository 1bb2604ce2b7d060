"""`swarm-llm blind`: pairs of two models' replies for people to judge; `swarm-llm votes`: the
outcome.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyswarmopt.base.words import counted
from pyswarmopt_llm.cli.evaluate import Shown, evaluated
from pyswarmopt_llm.cli.options import Json, Quiet
from pyswarmopt_llm.cli.running import print_either
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.searching.use.config import EvalConfig, OnItems

if TYPE_CHECKING:
    from pyswarmopt_rivals.blind import Votes


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV file to write.")],
    options: EvalConfig,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Pair the replies of two models, to be judged blind.

    Example: swarm-llm blind pairs.csv --run runs/first --against base --task questions.json
    """
    evaluated(options, partial(_pairs, file), quiet, as_json)


def _pairs(file: Path, config: EvalConfig, on_items: OnItems) -> Shown:
    from pyswarmopt_rivals.blind import key_of, write_pairs

    path = user_path(file)
    written = write_pairs(config, path, on_items)
    pairs = len(written.ours)
    alike = len(written.alike)
    key = key_of(path)
    lines = [
        f"{counted(pairs, 'pair')} of replies in {file}, in random order; vote 1, 2 or tie in "
        "the last column.",
        f"Which is whose: {key} (keep it from those who vote).",
        f"Then: swarm-llm votes {file}",
    ]
    record = {"pairs": pairs, "alike": alike, "file": str(file), "key": str(key)}
    note = f"{counted(alike, 'pair')} of equal replies, half a win for each" if alike else ""
    return lines, record, note


def votes(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="The file, a copy for each voter.")
    ],
    as_json: Json = False,
) -> None:
    """Count the votes on the replies of two models.

    Example: swarm-llm votes pairs.csv pairs-of-ann.csv
    """
    from pyswarmopt_rivals.blind import count_votes

    result = count_votes(files)
    print_either(asdict(result), _lines(result), as_json)


def _lines(votes: Votes) -> list[str]:
    """The verdict, the rate and the test."""
    from pyswarmopt_llm.report.phrases import score_text

    first, second = votes.names
    paired = votes.paired
    rate = score_text(votes.value, votes.interval)
    alike = ""
    if votes.agreement is not None:
        alike = f"; voters agree on {votes.agreement:.0%} of what two of them judged"
    return [
        votes.verdict.sentence,
        *votes.verdict.reasons,
        f"{first} wins {rate} against {second}, a tie being half a win",
        f"Of {counted(paired.n, 'pair')} {paired.gained} won, {paired.lost} lost, {votes.ties} "
        f"tied{alike}.",
    ]
