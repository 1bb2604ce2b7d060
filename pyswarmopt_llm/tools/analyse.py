"""Leave one out: which experts matter for a run's result, or which members for a group's."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import digests, refuse_link, write_json
from pyswarmopt_llm.common.interfaces import Patch, Score
from pyswarmopt_llm.common.registry import plugins
from pyswarmopt_llm.common.statistics import compare_paired
from pyswarmopt_llm.report.run import read_run
from pyswarmopt_llm.scores.metrics.named_again import require
from pyswarmopt_llm.searching.prepare import Job, reopen
from pyswarmopt_llm.searching.scoring.result import Result
from pyswarmopt_llm.searching.scoring.run_directory import Run, check_fingerprints


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
        ``leave_one_out``: see `without_experts`; for a group, strategies in place of tasks.
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
    is rescaled to sum to 1, and cannot lose its only expert.

    Args:
        run: a finished run.
        result: content of ``result.json``.
        tell: called with a line before every candidate.

    Returns:
        ``split``; ``all``: task -> score; ``experts``: expert -> its ``coefficient``, its
        ``scores`` as in ``all``, and ``paired``: task -> `Comparison` of all experts against all
        but this one.

    Raises:
        UserError: the base, experts or data changed since the run, its space has no coefficient per
            expert, or it was trained on dev and has no test items.
    """
    job = reopen(replace(run.config, workers="1"))
    now = {**job.fingerprints, "best": digests(run.path / "best")}
    check_fingerprints(run.path, run.about, now)
    split = "test"
    if result.best.test is None:
        split = "dev"
    if not job.plan.kind.averages or (split == "dev" and result.best.trained):
        raise UserError(
            f"{run.path}: no expert can be left out, because its space has no coefficient per expert, "
            "or because its result was trained on dev and has no test examples"
        )
    scorings: Any = {name: result.objectives[name].answer_format for name in job.tasks}
    utilities = job.utilities(split, scorings)
    scored = {}
    for name in ("", *filter(result.coefficients.get, result.coefficients)):
        tell(f"leave one out: {'without ' + name if name else 'all experts'}")
        try:
            job.engine.load(_candidate(job, run, result, name))
        except ValueError:  # no model is left to mix
            continue
        scored[name] = {task: utility(job.engine) for task, utility in utilities.items()}
    return _compared(result, split, scored)


def _compared(
    result: Result, split: str, scored: Mapping[str, Mapping[str, Score]]
) -> dict[str, Any]:
    """The scores with all experts, and without each one that was left out, with the comparison.

    Args:
        result: content of ``result.json``.
        split: dev or test.
        scored: expert left out, "" for none -> task -> score.
    """
    whole = scored[""]
    experts = {}
    for name, coefficient in result.coefficients.items():
        others = scored.get(name, {})
        paired = {}
        for task, score in others.items():
            if score.n > 1:
                one = result.objectives[task]
                pair = (whole[task].per_item, score.per_item)
                found = compare_paired(*pair, one.scale, one.questions.get(split))
                paired[task] = found.record()
        if others:
            scores = {task: score.value for task, score in others.items()}
            experts[name] = {"coefficient": coefficient, "scores": scores, "paired": paired}
    values = {task: score.value for task, score in whole.items()}
    return {"split": split, "all": values, "experts": experts}


def _candidate(job: Job, run: Run, result: Result, without: str) -> Patch:
    """The result without an expert; what was trained stays: mixtures are then linear.

    Raises:
        ValueError: nothing is left to mix.
    """
    space = job.pool.space
    names = space.expert_names
    weights = torch.tensor([result.coefficients[name] for name in names], dtype=torch.float64)
    lost = torch.tensor([name == without for name in names])
    if not result.best.trained:
        kept = weights * ~lost
        if not job.plan.kind.adapters:  # the weights of whole models sum to 1
            if not kept.any():
                raise ValueError("no model is left")
            kept /= kept.sum()
        return space.realise(kept)
    best = space.read(run.path / "best")
    if without:
        return best.with_low_rank(space.realise(-weights * lost).low_rank)
    return best
