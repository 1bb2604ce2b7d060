"""Leave one out: which experts matter for a run's result, or which members for a group's."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import refuse_link, write_json
from pyswarmopt_llm.common.interfaces import Patch, Score, Utility
from pyswarmopt_llm.common.registry import plugins
from pyswarmopt_llm.common.statistics import compare_paired
from pyswarmopt_llm.report.run import read_run
from pyswarmopt_llm.scores.metrics.named_again import require
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.searching.prepare import Job, reopen
from pyswarmopt_llm.searching.scoring.result import Result
from pyswarmopt_llm.searching.scoring.run_directory import Run, check_best, check_fingerprints


def analyse(
    path: Path, out: Path, *, tell: Callable[[str], None], allowed: Collection[str]
) -> dict[str, Any]:
    """Evaluate a run without each expert, or a group without each member; write ``analysis.json``.

    Args:
        path: a run directory, or a directory of `ensemble` or `negotiate`.
        out: output directory.
        tell: called with a line before every candidate.
        allowed: parts of the run's configuration that may run code; see `named_again.require`.

    Returns:
        ``leave_one_out``: see `without_experts`; of a group, strategies in place of tasks.
    """
    analyses = (point.load() for point in plugins("analyses").values())
    group = next((analysis for analysis in analyses if analysis.holds(path)), None)
    if out == path / "analysis":
        refuse_link(out)  # in a run, perhaps a stranger's
    if group is not None:
        left_out = group.without_members(path, tell)
    else:
        run, result = read_run(path)
        require(run.config, allowed, path)
        left_out = without_experts(run, result, tell)
    record = {"leave_one_out": left_out}
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "analysis.json", record)
    return record


def without_experts(run: Run, result: Result, tell: Callable[[str], None]) -> dict[str, Any]:
    """Score the result again, and without each of its experts, on test (on dev without test items).

    The other coefficients are kept, and so is what was trained on dev; a mixture of distributions
    is rescaled to sum to 1. Nothing is added to the journal.

    Args:
        run: a finished run.
        result: content of ``result.json``.
        tell: called with a line before every candidate.

    Returns:
        ``split``; ``all``: task -> score; ``experts``: expert -> its ``coefficient``, its
        ``scores`` as of ``all``, and ``paired``: task -> `Comparison` of all experts against all
        but this one.

    Raises:
        UserError: base, experts or data changed since the run, its space has no coefficient per
            expert, or it was trained on dev and has no test items.
    """
    job = reopen(replace(run.config, workers="1"))
    check_fingerprints(run, job.fingerprints)
    check_best(run.path, run.about)
    if not job.plan.kind.averages:
        raise UserError(
            f"{run.path}: its space has no coefficient per expert that could be set to 0"
        )
    names = job.pool.space.expert_names
    if set(result.coefficients) != set(names):
        raise UserError(
            f"{run.path / 'result.json'}: its coefficients are not those of this run; restore it"
        )
    split = "dev" if result.best.test is None else "test"
    if split == "dev" and result.best.trained:
        raise UserError(f"{run.path}: was trained on its dev examples, and has no others to score")
    utilities = job.utilities(split, _scorings(job, run, result))
    tell("leave one out: all experts")
    whole = _scored(job, utilities, _candidate(job, run, result))
    experts = {}
    for name in names:
        if not result.coefficients[name]:
            continue
        tell(f"leave one out: without {name}")
        try:
            others = _scored(job, utilities, _candidate(job, run, result, without=name))
        except ValueError:  # a mixture of distributions without positive weights
            continue
        paired = {}
        for task, score in whole.items():
            objective = result.objectives[task]
            asked = objective.questions.get(split)
            if score.n > 1:
                per_item = others[task].per_item
                pair = compare_paired(score.per_item, per_item, objective.scale, asked)
                paired[task] = pair.record()
        experts[name] = {
            "coefficient": result.coefficients[name],
            "scores": {task: score.value for task, score in others.items()},
            "paired": paired,
        }
    values = {task: score.value for task, score in whole.items()}
    return {"split": split, "all": values, "experts": experts}


def _scorings(job: Job, run: Run, result: Result) -> dict[str, Scoring]:
    """Task -> answer format of the search."""
    scorings: dict[str, Scoring] = {}
    for name in job.tasks:
        scoring = result.objectives[name].answer_format if name in result.objectives else None
        if scoring is None:
            raise UserError(f"{run.path / 'result.json'}: {name} has no scoring; restore the file")
        scorings[name] = scoring
    return scorings


def _candidate(job: Job, run: Run, result: Result, without: str = "") -> Patch:
    """The result, on request without an expert; what was trained stays: mixtures are then linear.

    Raises:
        ValueError: nothing is left to mix.
    """
    space = job.pool.space
    weights = {
        name: 0.0 if name == without else result.coefficients[name] for name in space.expert_names
    }
    if not result.best.trained:
        return space.realise(torch.tensor([*weights.values()], dtype=torch.float64))
    best = space.read(run.path / "best")
    minus = [-result.coefficients[name] * (name == without) for name in weights]
    removed = space.realise(torch.tensor(minus, dtype=torch.float64))
    return best.with_low_rank(removed.low_rank) if without else best


def _scored(job: Job, utilities: Mapping[str, Utility], patch: Patch) -> dict[str, Score]:
    """Task -> the score of a candidate."""
    job.engine.load(patch)
    return {name: utility(job.engine) for name, utility in utilities.items()}
