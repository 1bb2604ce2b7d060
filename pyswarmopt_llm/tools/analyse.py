"""Leave one out: which experts matter for a run's result."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import digests
from pyswarmopt_llm.common.interfaces import MixtureSpace, Patch
from pyswarmopt_llm.common.trust import require
from pyswarmopt_llm.report.write import read_run
from pyswarmopt_llm.run.directory import check_fingerprints
from pyswarmopt_llm.run.result import RunResult
from pyswarmopt_llm.searching.finish import load_shipped
from pyswarmopt_llm.searching.prepare import reopen


def analyse(path: Path, allowed: Collection[str]) -> dict[str, dict[str, float]]:
    """Score a result on test again, and without each of its experts.

    The other coefficients and any LoRA trained on dev are kept.

    Args:
        path: a finished run over adapters.
        allowed: parts of the run's configuration that may run code; see `trust.require`.

    Returns:
        Expert -> task -> the result's score minus its score without this expert.

    Raises:
        UserError: the base, experts or data changed since the run, or no expert can be left out.
    """
    run, result = read_run(path)
    require(run.about.config, allowed, path)
    job = reopen(run.about.config)
    check_fingerprints(path, run.about, {**job.fingerprints, "best": digests(path / "best")})
    if not job.kind.adapters or result.best.test is None:
        raise UserError(f"{path}: leaving an expert out needs adapters and test examples")
    formats: Any = {name: task.answer_format for name, task in result.objectives.items()}
    utilities = job.utilities("test", formats)

    def scores(without: str) -> dict[str, float]:
        load_shipped(job, _without(without, job.pool.space, result, path / "best"), formats)
        return {task: utility(job.engine).value for task, utility in utilities.items()}

    whole = scores("")
    used = filter(result.coefficients.get, result.coefficients)
    return {
        name: {task: whole[task] - value for task, value in scores(name).items()} for name in used
    }


def _without(expert: str, space: MixtureSpace, result: RunResult, best: Path) -> Patch:
    """The result in `best` without an expert; mixtures are linear where they were trained."""
    names = space.expert_names
    weights = torch.tensor([result.coefficients[name] for name in names], dtype=torch.float64)
    lost = torch.tensor([name == expert for name in names])
    if result.best.trained:
        return space.read(best).with_low_rank(space.realise(-weights * lost).low_rank)
    return space.realise(weights * ~lost)
