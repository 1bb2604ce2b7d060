"""Leave one out: which experts carry a run's result, or which members that of a group."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import refuse_link, write_json
from pyswarmopt_llm.common.interfaces import Patch, Score, Utility
from pyswarmopt_llm.common.paired import compare_tasks
from pyswarmopt_llm.common.registry import plugins
from pyswarmopt_llm.experts.adapter import load_factors, read_adapter
from pyswarmopt_llm.report.reading import read_run
from pyswarmopt_llm.scores.metrics.external.named_again import require
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.searching.cross_fitting import ALL as WHOLE
from pyswarmopt_llm.searching.prepare import Job, prepare
from pyswarmopt_llm.searching.scoring.result import Result
from pyswarmopt_llm.searching.scoring.run_directory import Run
from pyswarmopt_llm.searching.train import FOLDER, start_name

ALL = "all"  # the contestant whose coefficients are the result's
LORA = "trained-on-dev"  # the name of what was trained, among the experts
Scores = Mapping[str, Mapping[str, Score]]  # split -> task -> score of a candidate


class GroupAnalysis(Protocol):
    """The functions of `pyswarmopt_groups` on the directories of its groups."""

    def holds(self, path: Path) -> bool:
        """Whether a directory holds a group."""

    def without_members(self, path: Path, tell: Callable[[str], None]) -> dict[str, Any]:
        """The decisions of the group without each member."""


def analyse(
    path: Path,
    out: Path,
    *,
    tell: Callable[[str], None] = lambda text: None,
    allowed: Collection[str] = (),
) -> dict[str, Any]:
    """Decide without each expert of a run, or each member of a group; write ``analysis.json``.

    Args:
        path: a run directory, or one of `ensemble` or `negotiate`.
        out: directory to write to.
        tell: called with a line before every candidate.
        allowed: what of the run's configuration may run code; see `named_again.require`.

    Returns:
        ``leave_one_out``: see `without_experts` and `GroupAnalysis`.
    """
    analyses: list[GroupAnalysis] = [point.load() for point in plugins("analyses").values()]
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
    """Create the output directory; in the run, which may be a stranger's, it is no link."""
    try:
        if out == run / "analysis":
            refuse_link(out)
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{out}: cannot be created ({error.strerror}); choose another `out`"
        ) from error


def without_experts(run: Run, result: Result, tell: Callable[[str], None]) -> dict[str, Any]:
    """Score the result again, and without each expert that it contains, on dev and test.

    What was trained on dev is left out as an expert is, and scored on test alone.

    The other coefficients stay as they are; a mixture of distributions is scaled to sum to 1 again.
    The journal is not written to.

    Args:
        run: a finished run.
        result: its ``result.json``.
        tell: called with a line before every candidate.

    Returns:
        ``all``: task -> split -> score. ``experts``: expert -> its ``coefficient``, its ``scores``
        as of ``all``, and ``paired``: task -> split -> `Comparison` of all experts against all but
        this one.

    Raises:
        UserError: base, experts or data changed since the run, its space has no coefficient per
            expert, or it was trained on dev and has no test items.
    """
    job, scorings = _opened(run, result)
    position = _position(job, run.path, result)
    names, lora = job.space.expert_names, _trained(run, result) if result.best.trained else Patch()
    coefficients = dict(zip(names, job.space.coefficients(position).tolist(), strict=True))
    candidates = {ALL: (position, lora)}
    candidates |= {name: (x, lora) for name, x in _candidates(position, names)}
    if result.best.trained:
        coefficients[LORA] = 1.0
        candidates[LORA] = (position, Patch())
    utilities = {split: job.utilities(split, scorings) for split in _splits(run, result)}
    scores = {}
    for name, candidate in candidates.items():
        tell(f"leave one out: {'all experts' if name == ALL else f'without {name}'}")
        if scored := _scored(job, *candidate, utilities):
            scores[name] = scored
    return {
        ALL: _values(scores[ALL]),
        "experts": {
            name: {
                "coefficient": coefficients[name],
                "scores": _values(without),
                "paired": _paired(scores[ALL], without),
            }
            for name, without in scores.items()
            if name != ALL
        },
    }


def _opened(run: Run, result: Result) -> tuple[Job, dict[str, Scoring]]:
    """The search's components, in this process, and the scoring of each task."""
    config = run.config
    job = prepare(replace(config, out=str(run.path), preset="none", workers="1"))
    run.check_fingerprints(job.fingerprints)
    if not job.kind.averages:
        raise UserError(
            f"{run.path}: its space has no coefficient per expert that could be set to 0"
        )
    scorings: dict[str, Scoring] = {}
    for name in job.tasks:
        scoring = result.objectives[name].answer_format if name in result.objectives else None
        if scoring is None:
            raise UserError(f"{run.path / 'result.json'}: {name} has no scoring; restore the file")
        scorings[name] = scoring
    return job, scorings


def _position(job: Job, run: Path, result: Result) -> Tensor:
    """The position of the result, (n,) float64: one coefficient per expert."""
    names, weights = job.space.expert_names, result.coefficients
    try:
        position = torch.tensor([weights[name] for name in names], dtype=torch.float64)
    except KeyError as error:
        raise UserError(
            f"{run / 'result.json'}: has no coefficient of {error}; restore the file"
        ) from error
    if len(position) != job.space.size or not all(map(math.isfinite, position.tolist())):
        raise UserError(
            f"{run / 'result.json'}: its coefficients are not those of this run; restore the file"
        )
    return position


def _splits(run: Run, result: Result) -> tuple[str, ...]:
    """The splits on which the result, as it is, was not trained."""
    iteration = result.expert_iteration
    if not result.best.trained or (iteration is not None and iteration.spare):
        return ("dev", "test")
    if result.best.test is None:
        raise UserError(f"{run.path}: was trained on its dev items, and has no others to score")
    return ("test",)


def _trained(run: Run, result: Result) -> Patch:
    """What a finished run trained, without the mixture that it was trained on top of."""
    name = start_name(result.coefficients, result.best_single)
    if result.expert_iteration is not None:
        name = f"round-{result.expert_iteration.round}"
    return Patch(low_rank=load_factors(read_adapter(run.path / FOLDER / name / WHOLE)))


def _candidates(position: Tensor, names: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
    """Without each expert that has a coefficient other than 0."""
    for k, name in enumerate(names):
        if position[k] != 0:
            without = position.clone()
            without[k] = 0.0
            yield name, without


def _scored(
    job: Job, position: Tensor, added: Patch, utilities: Mapping[str, Mapping[str, Utility]]
) -> Scores:
    """The scores of a candidate with a change; empty where nothing is left to mix."""
    try:
        patch = job.space.realise(position)
    except ValueError:  # a mixture of distributions without positive weights
        return {}
    job.engine.load(patch.with_low_rank(added.low_rank) if added.low_rank else patch)
    return {
        split: {name: utility(job.engine) for name, utility in tasks.items()}
        for split, tasks in utilities.items()
    }


def _paired(everyone: Scores, without: Scores) -> dict[str, dict[str, dict[str, Any]]]:
    """Task -> split -> all experts compared with all but one, as JSON values."""
    compared: dict[str, dict[str, dict[str, Any]]] = {}
    for split, tasks in everyone.items():
        first = {task: score.per_item for task, score in tasks.items()}
        second = {task: score.per_item for task, score in without[split].items()}
        for task, pair in compare_tasks(first, second).items():
            compared.setdefault(task, {})[split] = pair.record()
    return compared


def _values(scores: Scores) -> dict[str, dict[str, float]]:
    """Task -> split -> score."""
    values: dict[str, dict[str, float]] = {}
    for split, tasks in scores.items():
        for task, score in tasks.items():
            values.setdefault(task, {})[split] = score.value
    return values
