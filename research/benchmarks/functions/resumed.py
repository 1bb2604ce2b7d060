"""What the benchmarks of functions share: runs that go on where they were stopped, their table, and
optuna's draws.
"""

from __future__ import annotations

import argparse
import itertools
import json
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd


def arguments(about: str | None, seeds: int) -> argparse.ArgumentParser:
    """The options that all have."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="JSON Lines, continued")
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--table", action="store_true", help="run nothing")
    return parser


def outcomes(
    out: Path,
    names: Sequence[str],
    wanted: Iterable[tuple[Any, ...]],
    outcome: str,
    run: Callable[..., Any],
) -> list[dict[str, Any]]:
    """The rows of a file, with those of the wanted runs that it did not have, each written when it is
    made.

    Args:
        out: JSON Lines.
        names: what tells one run from another, by which `run` is called.
        wanted: values of these, run by run.
        outcome: name of what `run` returns.
        run: makes a run.
    """
    lines = out.read_text(encoding="utf-8").splitlines() if out.exists() else []
    rows = [json.loads(line) for line in lines]
    done = {tuple(row[name] for name in names) for row in rows}
    with warnings.catch_warnings(), out.open("a", encoding="utf-8") as file:
        warnings.simplefilter("ignore")
        for key in [key for key in wanted if key not in done]:
            row = dict(zip(names, key, strict=True))
            row[outcome] = run(**row)
            rows.append(row)
            file.write(json.dumps(row) + "\n")
            file.flush()
    return rows


def medians(rows: Sequence[dict[str, Any]], row: str, columns: Sequence[str], outcome: str) -> str:
    """A table of medians over the seeds; a run that found nothing counts as infinite.

    Args:
        rows: as of `outcomes`.
        row: name of what has a line each.
        columns: names of what has a column each.
        outcome: name of the figure.
    """
    frame = pd.DataFrame(rows)
    frame[outcome] = frame[outcome].astype(float).fillna(float("inf"))
    table = frame.pivot_table(outcome, row, list(columns), aggfunc="median", sort=False)
    return table.to_string(float_format="{:.4g}".format, na_rep="")


def sampled(
    call: Callable[..., tuple[Any, list[float]]],
    space: Mapping[str, Any],
    sampler: Any,
    calls: int,
    objectives: int = 1,
) -> None:
    """Search a space of this package by a sampler of optuna, with `rules` as its constraints. A call
    gives a value, or several, and constraints.
    """
    import optuna

    def objective(trial: Any) -> Any:
        value, broken = call(
            **{name: _suggested(trial, name, kind) for name, kind in space.items()}
        )
        trial.set_user_attr("rules", broken)
        return value

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=["minimize"] * objectives, sampler=sampler)
    study.optimize(objective, n_trials=calls)


def rules(trial: Any) -> Any:
    """The constraints of a trial of `sampled`."""
    return trial.user_attrs["rules"]


def _suggested(trial: Any, name: str, kind: Any) -> Any:
    """What a trial of optuna draws for a parameter."""
    if isinstance(kind, tuple):
        return trial.suggest_float(name, *kind)
    if isinstance(kind, list):
        return trial.suggest_categorical(name, kind)
    if hasattr(kind, "options"):
        return kind.options[trial.suggest_int(name, 0, len(kind.options) - 1)]
    if isinstance(kind.low, int):
        return trial.suggest_int(name, kind.low, kind.high, log=kind.log)
    return trial.suggest_float(name, kind.low, kind.high, log=kind.log)


def compared(
    about: str | None,
    seeds: int,
    tried: Mapping[str, Iterable[Any]],
    outcome: str,
    run: Callable[..., Any],
) -> None:
    """The script of a table: run every combination with every seed, and print the medians.

    Args:
        about: what the script says of itself.
        seeds: how many, if the command does not say.
        tried: name of what has a line each, and of what has a column each, with all of them.
        outcome: name of the figure.
        run: as in `outcomes`.
    """
    args = arguments(about, seeds).parse_args()
    wanted = itertools.product(*tried.values(), range(0 if args.table else args.seeds))
    rows = outcomes(args.out, (*tried, "seed"), wanted, outcome, run)
    row, *columns = tried
    print(medians(rows, row, columns, outcome))
