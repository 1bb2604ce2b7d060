"""The last stage of a search for a file of few bits (`quantize`): its result is scored as the format holds
it, at several strengths, and the best strength is kept.

Candidates are compared before rounding. On a base that lies on the format's grid every expert alone
rounds to about the base, so rounded candidates would all score alike, and a search could learn nothing
from them. Times two or three, the same mixture crosses the steps of the format and most of it is kept.
No gradient shows this, since rounding is flat almost everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from pyswarmopt_llm.common.events import note
from pyswarmopt_llm.run.directory import RunDirectory
from pyswarmopt_llm.run.record import Row
from pyswarmopt_llm.searching.find import Explored, Trained
from pyswarmopt_llm.searching.plan import STRENGTHS
from pyswarmopt_llm.searching.prepare import Contestant, Job
from pyswarmopt_llm.searching.scorer import CandidateEvaluator, Scorer

PHASE = "rounded"  # of the rows
_ON_STRENGTHS = (
    f"the strength is the best of {len(STRENGTHS)} on the dev examples themselves, so the dev score is "
    "optimistic; the test score is not"
)


def choose_rounded(
    job: Job, run: RunDirectory, found: Explored, trained: Trained
) -> tuple[Explored, Trained]:
    """Score the result as the format holds it at each strength, and keep the best.

    Args:
        job: the search, with a format.
        run: run directory.
        found: outcome of exploring, before rounding.
        trained: outcome of training, before rounding.

    Returns:
        The same with rounded models, and scores of these.
    """
    job.tell(note(f"the result is scored as {job.config.quantize} holds it, at several strengths"))
    evaluator = job.evaluator("dev", found.answer_formats, rounded=True)
    stage = _Stage(job, evaluator, Scorer(run, evaluator, PHASE, job.tell), trained)
    vertices = [job.pool.space.vertices()[number] for number in found.experts]
    rows = stage.scorer.score(vertices, 0)
    experts = dict(zip(found.experts, rows, strict=True))
    alone = [Contestant(p, dev=row, strength=1.0) for p, row in zip(vertices, rows, strict=True)]
    mixture = _best([*stage.mixtures(found.chosen.position), *alone])
    models = stage.models()
    best = mixture
    if trained.best.trained:
        models["trained"] = _best(stage.strengths("trained"))
        best = _best([models["trained"], mixture])
    if trained.models:
        models["mixture"] = mixture
    single = _best_single(experts, found.single)
    if single != found.single:
        models.pop("expert_tuned", None)  # made from another expert
    job.tell(note(_ON_STRENGTHS))
    rounded = replace(
        found,
        chosen=mixture,
        experts=experts,
        single=single,
        scorer=stage.scorer,
        remarks=[*found.remarks, _ON_STRENGTHS],
        searched=len(found.scorer.rows),
    )
    return rounded, replace(trained, best=best, models=models)


def _best_single(experts: Mapping[int, Row], before: int) -> int:
    """The number of the best rounded expert; of equal ones the best before rounding, then the first."""
    return max(experts, key=lambda number: (experts[number].value, number == before))


def _best(contestants: list[Contestant]) -> Contestant:
    """The contestant with the best score on dev; of equal ones the first."""
    return max(contestants, key=lambda one: one.dev.value if one.dev else 0.0)


@dataclass(frozen=True)
class _Stage:
    """What scores rounded models.

    Attributes:
        job: the search.
        evaluator: of rounded models on dev.
        scorer: keeps their rows.
        trained: outcome of training.
    """

    job: Job
    evaluator: CandidateEvaluator
    scorer: Scorer
    trained: Trained

    def mixtures(self, position: Tensor) -> list[Contestant]:
        """The mixture at each strength."""
        stronger = [position * strength for strength in STRENGTHS]
        rows = self.scorer.score(stronger, 0)
        return [
            Contestant(position, dev=row, strength=strength)
            for position, row, strength in zip(stronger, rows, STRENGTHS, strict=True)
        ]

    def strengths(self, name: str) -> list[Contestant]:
        """A trained model at each strength."""
        return [self._at(name, strength) for strength in STRENGTHS]

    def models(self) -> dict[str, Contestant]:
        """The trained models at their own strength, each once."""
        made: dict[str, Contestant] = {}
        for name, contestant in self.trained.models.items():
            alike = (other for other in made if self.trained.models[other] is contestant)
            first = next(alike, "")
            if contestant.trained:
                made[name] = made[first] if first else self._at(name, 1.0)
        return made

    def _at(self, name: str, strength: float) -> Contestant:
        """A trained model at a strength, with its cross-fitted row."""
        from pyswarmopt_llm.searching.train_on_labels import by_folds

        before = self.trained.models[name]
        position = before.position * strength
        fitting = self.trained.fittings[name]
        items = self.job.objectives.items
        compute = partial(by_folds, fitting, self.evaluator, items, strength)
        row = self.scorer.trained(position, compute, strength)
        patch = before.patch and before.patch.scaled(strength)
        return Contestant(position, patch, True, row, strength)
