"""Experts that answer a task worse than their bare base does: harm that weights need not show."""

from __future__ import annotations

from dataclasses import replace

from pyswarmopt_llm.common.commands import command
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.common.paired import compare_paired
from pyswarmopt_llm.common.statistics import LEVEL
from pyswarmopt_llm.experts.adapter import load_factors
from pyswarmopt_llm.experts.compatibility import PreflightReport, Problem
from pyswarmopt_llm.mix.load import open_model
from pyswarmopt_llm.searching.use.config import EvalConfig
from pyswarmopt_llm.searching.use.model import Exam

SPLIT = "dev"


def inspect_behaviour(
    report: PreflightReport, base: str, task: str, columns: tuple[str, ...] = ()
) -> PreflightReport:
    """The report with each expert's score on dev, and a warning for those worse than the base.

    Worse by the paired permutation test at 5%, divided by the number of experts (Bonferroni).
    Experts with an error in the report are not scored.

    Args:
        report: of `inspect_experts` with this base.
        base: that all experts are adapters of.
        task: file, or another spec of `load_task`.
        columns: of the file, see `load_task`.

    Raises:
        UserError: the task or the base cannot be used.
    """
    exam = Exam.of(EvalConfig(base=base, task=task, split=SPLIT, columns=columns))
    wrong = {problem.expert for problem in report.errors("delta")}
    experts = [info for info in report.experts if info.name not in wrong]
    engine = open_model(base, None, "auto", "auto", None)
    plain = exam.score(engine)
    problems, scores = list(report.problems), {}
    for info in experts:
        engine.load(Patch(low_rank=load_factors(info)))
        scored = exam.score(engine, plain.scoring).score
        paired = compare_paired(scored.per_item, plain.score.per_item)
        scores[info.name] = scored.value
        if paired.difference < 0 and paired.p_value * len(experts) < LEVEL:
            see = {"base": base, "adapter": info.path, "against": "base", "task": task}
            text = (
                f"scores {scored.value:.3f} on {exam.task.name} {SPLIT}, the bare base "
                f"{plain.score.value:.3f} (p = {paired.p_value:.2g}, paired): worse than no "
                f"adapter; see its answers ({command('eval', **see, columns=columns)}), or remove it"
            )
            problems.append(Problem(info.name, text, "warning"))
    return replace(report, problems=tuple(problems), scores=scores)
