"""The last step of a search: the mixture that it found is trained further on the dev items (``--train``)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.evaluation.evaluator import Evaluator
from pyswarmopt_llm.evaluation.record import TRAINED, Row
from pyswarmopt_llm.evaluation.run_directory import Run
from pyswarmopt_llm.evaluation.scorer import OnRow, Scorer
from pyswarmopt_llm.jobs.search.cross_fitting import not_worse, read_trained, train_on_dev
from pyswarmopt_llm.jobs.search.prepare import Job
from pyswarmopt_llm.jobs.search.selection import Choice
from pyswarmopt_llm.spaces.cross_fitted import CrossFittedSpace
from pyswarmopt_llm.spaces.delta import DeltaSpace
from pyswarmopt_llm.tasks import Scoring

FOLDER = "trained"  # in the run directory


@dataclass(frozen=True)
class Training:
    """A mixture before and after training, with the rows of their scores on dev."""

    before: Choice
    after: Choice
    rows: tuple[Row, Row]
    items: int  # on dev

    @property
    def chosen(self) -> Choice:
        """What is handed over."""
        return self.after if not_worse(self.after.value, self.before.value, self.items) else self.before


def train_further(
    job: Job,
    run: Run,
    chosen: Choice,
    scorer: Scorer,
    scorings: Mapping[str, Scoring],
    notify: OnEvent,
    on_row: OnRow,
) -> Training:
    """Train what the search found, unless the run directory has the outcome, and score that.

    Args:
        job: the search, in a space of a kind that `trains`.
        run: where the LoRAs are or will be.
        chosen: what is trained further.
        scorer: of the search.
        scorings: of the tasks.
        notify: called with progress.
        on_row: called with the new row.
    """
    utilities, choices = job.training_items(scorings)
    mixtures = cast(DeltaSpace, job.space)
    start, folder = time.monotonic(), run.path / FOLDER
    if not folder.exists():
        from pyswarmopt_llm.reporting.summary import mixture_text

        weights = dict(zip(mixtures.expert_names, mixtures.coefficients(chosen.position).tolist(), strict=True))
        items = counted(len(choices), "dev item")
        notify(Event("note", {"text": f"training on the {items}, on top of {mixture_text(weights)}"}))

    def after_epoch(share: float) -> None:
        notify(Event("training", {"share": share, "seconds": time.monotonic() - start}))

    patch, pattern, seed = mixtures.realise(chosen.position), job.experts[0], job.config.seed
    train_on_dev(job.engine, patch, choices, pattern, folder, seed, after_epoch)
    space = read_trained(mixtures, folder, choices, seed)
    position = space.on_top_of(chosen.position)
    evaluator = Evaluator(space, job.engine, utilities, job.objectives.combine)
    (before,) = scorer.in_full([chosen.position], 0)
    (after,) = Scorer(run, space, evaluator, TRAINED, on_row).in_full([position], 0)
    trained = replace(chosen, position=position, value=after.value, space=space)
    return Training(chosen, trained, (before, after), job.dev_items)


def trained_space(job: Job, run: Run, scorings: Mapping[str, Scoring]) -> CrossFittedSpace:
    """The space of what a run of this search trained, read from its directory.

    Raises:
        UserError: it is not there.
    """
    choices = job.training_items(scorings)[1]
    return read_trained(cast(DeltaSpace, job.space), run.path / FOLDER, choices, job.config.seed)


__all__ = ["FOLDER", "Training", "train_further", "trained_space"]
