"""A warning if scores of written replies cannot tell candidates apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyswarmopt_llm.common.events import OnEvent, note
from pyswarmopt_llm.common.interfaces import Patch, Score
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.searching.prepare import Job


def warn_of_equal_scores(
    job: Job, name: str, scores: Sequence[Score], scorings: Mapping[str, Scoring], tell: OnEvent
) -> None:
    """Warn if all experts and the base have the same score on every dev prompt.

    Args:
        job: the search.
        name: name of the task.
        scores: scores of the experts on the task.
        scorings: how each task is scored.
        tell: called with the warning.
    """
    if len({score.per_item for score in scores}) > 1:
        return
    who = "every expert"
    if not job.plan.kind.several_models:
        job.engine.load(Patch())
        base = job.utilities("dev", scorings)[name](job.engine)
        if base.per_item != scores[0].per_item:
            return
        who += " and the base"
    tell(
        note(
            f"{name}: the score of {who} is {scores[0].value:.3f}, the same on each of the "
            f"{len(job.tasks[name].dev)} dev prompts; a search cannot tell candidates apart by it"
        )
    )
