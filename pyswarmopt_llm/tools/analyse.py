"""Leave one out: which experts matter for a run's result, or which members for a group's."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import refuse_link, write_json
from pyswarmopt_llm.common.interfaces import Patch, Score, Utility
from pyswarmopt_llm.common.registry import plugins
from pyswarmopt_llm.common.statistics import compare_paired
from pyswarmopt_llm.experts.adapter import load_factors, read_adapter
from pyswarmopt_llm.report.run import read_run
from pyswarmopt_llm.scores.metrics.named_again import require
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.searching.fitting import ALL as WHOLE
from pyswarmopt_llm.searching.fitting import BASE, EXPERT, FOLDER, MIXTURE
from pyswarmopt_llm.searching.prepare import Job, reopen
from pyswarmopt_llm.searching.scoring.result import Result
from pyswarmopt_llm.searching.scoring.run_directory import Run, check_best, check_fingerprints
from pyswarmopt_llm.searching.written.expert_iteration import START, round_name

Scores = Mapping[str, Score]  # task -> score of a candidate


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
        ``leave_one_out``: see `without_experts`, or the analysis of the group's package.
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

    The other coefficients are kept, and so is a LoRA trained on dev; a mixture of distributions is
    rescaled to sum to 1. Nothing is added to the journal.

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
    names = job.pool.space.expert_names
    if not job.plan.kind.averages:
        raise UserError(
            f"{run.path}: its space has no coefficient per expert that could be set to 0"
        )
    if set(result.coefficients) != set(names):
        raise UserError(
            f"{run.path / 'result.json'}: its coefficients are not those of this run; restore it"
        )
    split = "dev" if result.best.test is None else "test"
    if split == "dev" and result.best.trained:
        raise UserError(f"{run.path}: was trained on its dev examples, and has no others to score")
    position = torch.tensor([result.coefficients[name] for name in names], dtype=torch.float64)
    utilities = job.utilities(split, _scorings(job, run, result))
    lora = _trained(run, result) if result.best.trained else Patch()
    tell("leave one out: all experts")
    whole = _scored(job, position, lora, utilities)
    experts = {}
    for k, name in enumerate(names):
        if not position[k]:
            continue
        tell(f"leave one out: without {name}")
        others = position.clone()
        others[k] = 0.0
        if without := _scored(job, others, lora, utilities):
            experts[name] = {
                "coefficient": result.coefficients[name],
                "scores": _values(without),
                "paired": _paired(result, split, whole, without),
            }
    return {"split": split, "all": _values(whole), "experts": experts}


def _scorings(job: Job, run: Run, result: Result) -> dict[str, Scoring]:
    """Task -> answer format of the search."""
    scorings: dict[str, Scoring] = {}
    for name in job.tasks:
        scoring = result.objectives[name].answer_format if name in result.objectives else None
        if scoring is None:
            raise UserError(f"{run.path / 'result.json'}: {name} has no scoring; restore the file")
        scorings[name] = scoring
    return scorings


def start_name(coefficients: Mapping[str, float], best_single: str) -> str:
    """Folder name of a trained model with these coefficients, by its start.

    Example:
        >>> start_name({"x": 0.0}, "x"), start_name({"x": 1.0}, "x"), start_name({"x": 0.5}, "x")
        ('base', 'expert', 'mixture')
    """
    used = {name: weight for name, weight in coefficients.items() if weight}
    if not used:
        return BASE
    return EXPERT if used == {best_single: 1.0} else MIXTURE


def _trained(run: Run, result: Result) -> Patch:
    """The LoRA that a finished run trained, without its start."""
    name = start_name(result.coefficients, result.best_single)
    if result.expert_iteration is not None:
        start = BASE if name == BASE else START
        name = round_name(start, result.expert_iteration.round)
    return Patch(low_rank=load_factors(read_adapter(run.path / FOLDER / name / WHOLE)))


def _scored(job: Job, position: Tensor, added: Patch, utilities: Mapping[str, Utility]) -> Scores:
    """The scores of a candidate with a further change; empty if nothing is left to mix."""
    try:
        patch = job.pool.space.realise(position)
    except ValueError:  # a mixture of distributions without positive weights
        return {}
    job.engine.load(patch.with_low_rank(added.low_rank) if added.low_rank else patch)
    return {name: utility(job.engine) for name, utility in utilities.items()}


def _paired(result: Result, split: str, whole: Scores, without: Scores) -> dict[str, Any]:
    """Task -> comparison of all experts with all but one, as JSON values."""
    found = {}
    for task, score in whole.items():
        objective = result.objectives[task]
        asked = objective.questions.get(split)
        if score.n > 1:
            others = without[task].per_item
            pair = compare_paired(score.per_item, others, objective.scale, asked)
            found[task] = pair.record()
    return found


def _values(scores: Scores) -> dict[str, float]:
    return {name: score.value for name, score in scores.items()}
