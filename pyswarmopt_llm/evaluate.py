"""Score one model, a base or an adapter on it, on one task."""

from __future__ import annotations

from dataclasses import dataclass

from pyswarmopt_llm.errors import UserError
from pyswarmopt_llm.interfaces import Engine, Score
from pyswarmopt_llm.job import check_askable, open_model
from pyswarmopt_llm.tasks import Scoring, Task, load_task
from pyswarmopt_llm.utilities import Accuracy, interval
from pyswarmopt_llm.utilities.scoring import beats_chance, possible_scorings, trial_of


@dataclass(frozen=True)
class EvalResult:
    """What `evaluate_model` found.

    Attributes:
        task: the task's name.
        score: value, per item, standard error.
        interval: 95% interval of the value.
        scoring: how it was asked.
    """

    task: str
    score: Score
    interval: tuple[float, float]
    scoring: Scoring

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
) -> EvalResult:
    """Score `adapter` (or the bare base) on a split of a task, merged as a search merges its candidates.

    Raises:
        UserError: whatever is wrong with the input, in one line.
    """
    if split not in ("dev", "test"):
        raise UserError(f"--split {split}: unknown; use dev or test")
    possible_scorings(scoring, ())  # a wrong name is found before the model is loaded
    limits = {"dev": None, "test": None, split: limit}
    loaded = load_task(task, dev=limits["dev"], test=limits["test"], allow_overlap=allow_overlap)
    engine = open_model(base, adapter, dtype, device, threads)
    check_askable(loaded, scoring, engine, (split,))
    return score_task(engine, loaded, split, scoring)


def score_task(engine: Engine, task: Task, split: str, scoring: str = "auto") -> EvalResult:
    """Score what the engine has loaded; ``auto`` asks for letters where this very model beats chance on dev."""
    how, *others = possible_scorings(scoring, task.dev)
    if others:
        trial = trial_of(task, engine.chat)
        how = "letter" if beats_chance(trial.items, [trial(engine)]) else "likelihood"
    score = Accuracy(task.split(split), how, engine.chat, task.prompt)(engine)
    return EvalResult(task.name, score, interval(score.per_item), how)
