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
from pyswarmopt_llm.common.statistics import compare_tasks
from pyswarmopt_llm.experts.adapter import load_factors, read_adapter
from pyswarmopt_llm.report.run import read_run
from pyswarmopt_llm.scores.metrics.external.named_again import require
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.searching.fitting import ALL as WHOLE
from pyswarmopt_llm.searching.fitting import BASE, EXPERT, FOLDER, MIXTURE
from pyswarmopt_llm.searching.prepare import Job, reopen
from pyswarmopt_llm.searching.scoring.result import Objective, Result
from pyswarmopt_llm.searching.scoring.run_directory import Run
from pyswarmopt_llm.searching.scoring.unchanged import check_best, check_fingerprints
from pyswarmopt_llm.searching.written.expert_iteration import START, round_name

LORA = "trained-on-dev"  # stands for the trained LoRA among the experts
Scores = Mapping[str, Mapping[str, Score]]  # task -> split -> score of a candidate


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
    if group is not None:
        left_out = group.without_members(path, tell)
        _make(out, path)
    else:
        run, result = read_run(path)
        require(run.config, allowed, path)
        _make(out, path)
        left_out = without_experts(run, result, tell)
    record = {"leave_one_out": left_out}
    write_json(out / "analysis.json", record)
    return record


def _make(out: Path, run: Path) -> None:
    """Create the output directory; in a run, perhaps a stranger's, it must not be a link."""
    if out == run / "analysis":
        refuse_link(out)
    out.mkdir(parents=True, exist_ok=True)


def without_experts(run: Run, result: Result, tell: Callable[[str], None]) -> dict[str, Any]:
    """Score the result again, and without each of its experts, on dev and test.

    A LoRA trained on dev is left out like an expert, and scored only on test.

    The other coefficients are kept; a mixture of distributions is rescaled to sum to 1. Nothing is
    added to the journal.

    Args:
        run: a finished run.
        result: content of ``result.json``.
        tell: called with a line before every candidate.

    Returns:
        ``all``: task -> split -> score. ``experts``: expert -> its ``coefficient``, its ``scores``
        as of ``all``, and ``paired``: task -> split -> `Comparison` of all experts against all but
        this one.

    Raises:
        UserError: base, experts or data changed since the run, its space has no coefficient per
            expert, or it was trained on dev and has no test items.
    """
    job = reopen(replace(run.config, workers="1"))
    check_fingerprints(run, job.fingerprints)
    check_best(run.path, run.about)
    position = _position(job, run, result)
    utilities = _utilities(job, run, result)
    coefficients = job.weights(position)
    lora = _trained(run, result) if result.best.trained else Patch()
    candidates = _without_one(coefficients, position, lora)
    if result.best.trained:
        coefficients[LORA] = 1.0
        candidates[LORA] = (position, Patch())
    tell("leave one out: all experts")
    everyone = _scored(job, position, lora, utilities)
    experts = {}
    for name, candidate in candidates.items():
        tell(f"leave one out: without {name}")
        if without := _scored(job, *candidate, utilities):
            experts[name] = {
                "coefficient": coefficients[name],
                "scores": _values(without),
                "paired": {
                    task: _paired(result.objectives[task], everyone[task], without[task])
                    for task in everyone
                },
            }
    return {"all": _values(everyone), "experts": experts}


def _position(job: Job, run: Run, result: Result) -> Tensor:
    """The result's position, (D,).

    Raises:
        UserError: the space has no coefficient per expert, or the result has other coefficients.
    """
    if not job.plan.kind.averages:
        raise UserError(
            f"{run.path}: its space has no coefficient per expert that could be set to 0"
        )
    names = job.pool.space.expert_names
    weights = result.coefficients
    if set(weights) != set(names):
        raise UserError(
            f"{run.path / 'result.json'}: its coefficients are not those of this run; restore the "
            "file"
        )
    return torch.tensor([weights[name] for name in names], dtype=torch.float64)


def _without_one(
    names: Collection[str], position: Tensor, lora: Patch
) -> dict[str, tuple[Tensor, Patch]]:
    """Expert in the mixture -> the position without it, and the LoRA."""
    found = {}
    for k, name in enumerate(names):
        if position[k]:
            others = position.clone()
            others[k] = 0.0
            found[name] = (others, lora)
    return found


def _utilities(job: Job, run: Run, result: Result) -> Mapping[str, Mapping[str, Utility]]:
    """Split -> task -> scoring function, for splits that the result was not trained on."""
    scorings: dict[str, Scoring] = {}
    for name in job.tasks:
        scoring = result.objectives[name].answer_format if name in result.objectives else None
        if scoring is None:
            raise UserError(f"{run.path / 'result.json'}: {name} has no scoring; restore the file")
        scorings[name] = scoring
    splits = ["dev", "test"]
    iteration = result.expert_iteration
    if result.best.trained and (iteration is None or not iteration.spare):
        splits = ["test"]
        if result.best.test is None:
            raise UserError(
                f"{run.path}: was trained on its dev examples, and has no others to score"
            )
    return {split: job.utilities(split, scorings) for split in splits}


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


def _scored(
    job: Job, position: Tensor, added: Patch, utilities: Mapping[str, Mapping[str, Utility]]
) -> Scores:
    """The scores of a candidate with a further change; empty if nothing is left to mix."""
    try:
        patch = job.pool.space.realise(position)
    except ValueError:  # a mixture of distributions without positive weights
        return {}
    job.engine.load(patch.with_low_rank(added.low_rank) if added.low_rank else patch)
    scores: dict[str, dict[str, Score]] = {name: {} for name in job.tasks}
    for split, tasks in utilities.items():
        for name, utility in tasks.items():
            scores[name][split] = utility(job.engine)
    return scores


def _paired(
    objective: Objective, everyone: Mapping[str, Score], without: Mapping[str, Score]
) -> dict[str, Any]:
    """Split -> comparison of all experts with all but one, as JSON values."""
    first, second = (
        {split: score.per_item for split, score in scores.items()} for scores in (everyone, without)
    )
    scales = dict.fromkeys(first, objective.scale)
    pairs = compare_tasks(first, second, scales, objective.questions)
    return {split: pair.record() for split, pair in pairs.items()}


def _values(scores: Scores) -> dict[str, dict[str, float]]:
    """Task -> split -> score."""
    values = {}
    for name, splits in scores.items():
        values[name] = {split: score.value for split, score in splits.items()}
    return values
