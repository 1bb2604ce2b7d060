"""Advice from a small trial: is it worth merging, training or searching, or is the best expert enough?

The trial is a search without iterations (``--start trial``): every expert on the dev items, the plain average, sums of
all that depend on no item, and the best of these trained on the items and scored on what it has not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.events import OnEvent
from pyswarmopt_llm.common.files.paths import user_path
from pyswarmopt_llm.evaluation.record import TRAINED, Row
from pyswarmopt_llm.evaluation.run_directory import Run
from pyswarmopt_llm.jobs.search.loop import resume, search
from pyswarmopt_llm.jobs.search.preset import with_policy, with_space
from pyswarmopt_llm.metrics.objectives import load_objectives
from pyswarmopt_llm.reporting.advice import WAYS, Candidates, Floats, Gain, advice, gain, trained
from pyswarmopt_llm.reporting.commands import advised_steps
from pyswarmopt_llm.reporting.verdict import Verdict
from pyswarmopt_llm.spaces import space_kind

LEAST = 8  # dev items from which on anything can be said
MORE = 8  # particles of the trial beside two for each expert
# Settings that say where a trial runs, not what it is, and what a run says of itself.
HERE = ("out", "dtype", "device", "threads", "batch_tokens", "compat")


@dataclass(frozen=True)
class Advised:
    """What `advise` found.

    Attributes:
        verdict: in words.
        expert: the best single one on dev.
        items: dev items.
        gains: way -> expected gain over that expert on new items.
        steps: (purpose, command) to go on with.
        run: directory of the trial.
    """

    verdict: Verdict
    expert: str
    items: int
    gains: dict[str, Gain]
    steps: tuple[tuple[str, str], ...]
    run: Path

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "advice": self.verdict.kind,
            "sentence": self.verdict.sentence,
            "expert": self.expert,
            "items": self.items,
            "gains": {
                way: {"difference": found.difference, "interval": [found.low, found.high]}
                for way, found in self.gains.items()
            },
            "next": [{"purpose": purpose, "command": command} for purpose, command in self.steps],
            "run": str(self.run),
        }


def advise(config: SearchConfig, on_event: OnEvent | None = None) -> Advised:
    """Run the trial, or finish or read the one that `config.out` holds, and judge it; test items are not looked at.

    Args:
        config: the search that one thinks of.
        on_event: called with progress.

    Raises:
        UserError: bad input, before anything is written, or `config.out` holds another run.
    """
    path = user_path(config.out)
    if (path / "run.json").exists():
        _check_same(Run.open(path), trial(config))
        found = resume(path, on_event)
    else:
        found = search(trial(config), on_event)
    names = list(found.result["coefficients"])
    rows = Run.open(found.run).rows
    outcomes, coefficients = _table([row for row in rows if row.phase == "search" and row.complete])
    candidates, (count, items) = Candidates.of(coefficients), outcomes.shape
    ways = dict(candidates.ways)
    if after := [row for row in rows if row.phase == TRAINED]:
        (scores,), (weights,) = _table(after)
        before = int(np.abs(coefficients - weights[:-1]).sum(axis=1).argmin())
        outcomes = np.vstack([outcomes, trained(outcomes, before, scores)])
        ways["train"] = range(count, 2 * count)
    gains = {way: gain(outcomes, ways[way], candidates.singles, config.seed) for way in WAYS if way in ways}
    best = max(candidates.singles, key=lambda row: float(outcomes[row].mean()))
    number = int(coefficients[best].argmax())
    verdict = advice(gains, items, names[number])
    steps = advised_steps(verdict.kind, config.experts[number], asdict(config))
    return Advised(verdict, names[number], items, gains, tuple(steps), found.run)


def trial(config: SearchConfig) -> SearchConfig:
    """The search that is the trial.

    Raises:
        UserError: experts of no common base, or too few items.
    """
    plain = with_space(config)
    if not space_kind(plain.space).adapters:
        raise InvalidOption("base", config.base, "the advice is about LoRA experts of one base; name it")
    objectives = load_objectives(plain)
    items = sum(len(task.dev) for task in objectives.tasks.values())
    if items < LEAST:
        raise UserError(f"{', '.join(config.tasks)}: {items} dev items tell nothing; give at least {LEAST}")
    # Decides whether anything can be trained on dev; without iterations there is no budget to set.
    settled = with_policy(replace(plain, max_iter=0), objectives)
    particles = 2 * len(config.experts) + MORE
    return replace(settled, preset="none", screen=None, start="trial", particles=particles, test=0)


def _check_same(run: Run, wanted: SearchConfig) -> None:
    """Refuse a directory that holds something else.

    Raises:
        UserError: names the setting that differs.
    """
    stored = asdict(run.config)
    differs = [name for name, value in asdict(wanted).items() if name not in HERE and stored[name] != value]
    if differs:
        raise UserError(f"{run.path}: holds another run ({differs[0]} differs); give another --out")


def _table(rows: Sequence[Row]) -> tuple[Floats, Floats]:
    """Outcomes (rows, items) and coefficients (rows, experts)."""
    outcomes = [[value for name in row.items for value in row.item_values(name)] for row in rows]
    return np.array(outcomes), np.array([row.coefficients for row in rows])
