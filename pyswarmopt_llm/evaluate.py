"""Score one model, a base or an adapter on it, on one task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pyswarmopt_llm.allow import LM_EVAL, metric_of
from pyswarmopt_llm.checks import check_askable
from pyswarmopt_llm.engines.hardware import pick_device
from pyswarmopt_llm.errors import UserError
from pyswarmopt_llm.interfaces import Engine, Score
from pyswarmopt_llm.objectives import scorings_of
from pyswarmopt_llm.opening import holds_several, open_model
from pyswarmopt_llm.run_files import read_about, read_result
from pyswarmopt_llm.tasks import Task, load_task
from pyswarmopt_llm.utilities import interval
from pyswarmopt_llm.utilities.metrics import METRICS, Metric, find_metric
from pyswarmopt_llm.utilities.scoring import beats_chance, possible_scorings, trial_of


@dataclass(frozen=True)
class EvalResult:
    """What `evaluate_model` found.

    Attributes:
        task: the task's name.
        score: value, per item, standard error.
        interval: 95% interval of the value.
        scoring: how it was asked.
        metric: how it was scored.
    """

    task: str
    score: Score
    interval: tuple[float, float]
    scoring: str
    metric: str = "accuracy"

    @property
    def n(self) -> int:
        """Number of items."""
        return self.score.n


def evaluate_model(
    base: str,
    adapter: str | None,
    task: str,
    split: str = "test",
    *,
    scoring: str = "auto",
    dtype: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    limit: int | None = None,
    allow_overlap: bool = False,
    metric: str | None = None,
) -> EvalResult:
    """Score `adapter` (or the bare base) on a split of a task, merged as a search merges its candidates.

    `metric` is a name of `pyswarmopt_llm.utilities.metrics`; None takes the task's own, else accuracy.

    Raises:
        UserError: whatever is wrong with the input, in one line.
    """
    if split not in ("dev", "test"):
        raise UserError(f"--split {split}: unknown; use dev or test")
    possible_scorings(scoring, ())  # a wrong name is found before the model is loaded
    if task.startswith(LM_EVAL):
        if holds_several(base):
            raise UserError(f"--task {task}: the harness asks one model, {base} stands for several; use a task file")
        return _evaluate_harness(open_model(base, adapter, dtype, device, threads), task, split, limit)
    limits = {"dev": None, "test": None, split: limit}
    loaded = load_task(task, dev=limits["dev"], test=limits["test"], allow_overlap=allow_overlap)
    how = find_metric(metric or metric_of(loaded), device=str(pick_device(device)))
    how.check(loaded.split(split), f"{loaded.source}: {split}")
    engine = open_model(base, adapter, dtype, device, threads)
    if scoring == "auto" and metric is None:
        scoring = run_scoring(Path(adapter or base), loaded.name) or scoring
    check_askable(loaded, scoring, engine, (split,), how)
    return score_task(engine, loaded, split, scoring, how)


def run_scoring(best: Path, task: str) -> str | None:
    """How the search that wrote a directory ``RUN/best`` asked a task; None where it is no such directory or task.

    A search tries letters on all experts. The adapter alone may say otherwise by chance, and its score would then not
    be that of ``result.json``.
    """
    run = best.resolve().parent
    if best.name != "best" or not (run / "run.json").is_file():
        return None
    try:
        about, result = read_about(run), read_result(run)
    except UserError:  # not a run of ours, or damaged: the trial decides
        return None
    if result is None or task not in about["fingerprints"].get("tasks", {}):
        return None
    found = result.get("tasks", {}).get(task, result).get("scoring")
    return found if found in ("letter", "likelihood", "generate") else None


def _evaluate_harness(engine: Engine, task: str, split: str, limit: int | None) -> EvalResult:
    from pyswarmopt_llm.utilities.lm_eval_task import LmEvalTask

    asked = LmEvalTask(task.removeprefix(LM_EVAL), limit, limit)
    score = asked(engine, split)
    return EvalResult(asked.name, score, interval(score.per_item), "own", "lm-eval")


def score_task(
    engine: Engine, task: Task, split: str, scoring: str = "auto", metric: Metric = METRICS["accuracy"]
) -> EvalResult:
    """Score what the engine has loaded; ``auto`` asks for letters where this very model beats chance on dev."""
    how, *others = scorings_of(metric, scoring, task)
    if others:
        trial = trial_of(task, engine.chat)
        how = "letter" if beats_chance(trial.items, [trial(engine)]) else "likelihood"
    score = metric.build(task.split(split), how, engine.chat, task.prompt)(engine)
    return EvalResult(task.name, score, interval(score.per_item), how, metric.name)
