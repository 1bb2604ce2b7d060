"""Simple ways to use a few labels and adapters, beside a search: outcomes of `few_labels.py`.

The expert by its name, the best expert at one strength, eight examples in the base's prompt, LoraHub
with as many evaluations as the search, and Model Swarms with ten times as many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.scores.tasks import AnswerFormat
from pyswarmopt_llm.searching.prepare import Job, prepare
from pyswarmopt_rivals.bench import Bench, load_pool
from pyswarmopt_rivals.comparison import contestants
from pyswarmopt_rivals.methods.ensembles.few_shot import FewShot

STRENGTHS = (0.5, 0.75, 1.0, 1.5, 2.0)  # of the best expert; 1 is the adapter itself
SHOWN = 8  # labelled examples in a prompt
LIKELIHOOD: AnswerFormat = "likelihood"

Outcome = tuple[str, str, float]
"""Method, 1 or 0 for each test item, and score on dev."""


def signs(score: Score) -> str:
    """1 for a right answer, 0 for a wrong one."""
    return "".join(str(int(value)) for value in score.per_item)


@dataclass(frozen=True)
class Finished:
    """A finished search, loaded again.

    Attributes:
        task: name of its task.
        job: its models and items.
        result: its ``result.json``.
    """

    task: str
    job: Job
    result: Mapping[str, Any]

    def single(self) -> Tensor:
        """The position of the best expert."""
        number = self.job.pool.space.expert_names.index(self.result["best_single"])
        return self.job.pool.space.vertices()[number]

    def score(self, position: Tensor, split: str) -> Score:
        """The score of a mixture on a split."""
        utility = self.job.utilities(split, {self.task: LIKELIHOOD})[self.task]
        self.job.engine.load(self.job.pool.space.realise(position))
        return utility(self.job.engine)

    def outcome(self, method: str, position: Tensor) -> Outcome:
        """The outcome of a mixture."""
        dev = self.score(position, "dev")
        return method, signs(self.score(position, "test")), dev.value

    def bench(self) -> Bench:
        """The models and items for methods of the comparison."""
        config = self.job.config
        engine: Any = self.job.engine
        task = self.job.tasks[self.task]
        _, experts = load_pool(config.base, config.experts, "delta")
        return Bench(resolve_base(config.base), engine, experts, task, LIKELIHOOD)


def by_name(found: Finished) -> Iterator[Outcome]:
    """The expert that is called like the task, if there is one."""
    names = list(found.job.pool.space.expert_names)
    name = found.task.rsplit("-", 2)[0]
    if name in names:
        yield found.outcome("by-name", found.job.pool.space.vertices()[names.index(name)])


def one_strength(found: Finished) -> Iterator[Outcome]:
    """The best expert at the strength with the best score on dev; of equals, the one closest to 1."""
    single = found.single()
    known = {factor: found.score(factor * single, "dev").value for factor in STRENGTHS}
    best = max(known, key=lambda factor: (known[factor], -abs(factor - 1)))
    yield found.outcome("one-strength", best * single)


def in_the_prompt(found: Finished) -> Iterator[Outcome]:
    """The base, with the first dev items as earlier turns of the chat; its score on dev is unknown."""
    bench = found.bench()
    shown = FewShot(bench.engine, bench.task.dev[:SHOWN], bench.labelled)
    yield "in-prompt", signs(shown.score(bench, "test")), float("nan")


def by_a_method(method: str, times: int) -> Callable[[Finished], Iterator[Outcome]]:
    """A method of the comparison, with some times the evaluations of the search."""

    def rows(found: Finished) -> Iterator[Outcome]:
        bench = found.bench()
        budget = times * found.result["evaluations"] * bench.dev_items
        seed = found.job.config.seed
        scores = contestants.run(contestants.contestant(method), bench, seed, budget)
        yield method, scores["test"], scores["dev"].count("1") / len(scores["dev"])

    return rows


CONTROLS: dict[str, Callable[[Finished], Iterator[Outcome]]] = {
    "by-name": by_name,
    "one-strength": one_strength,
    "in-prompt": in_the_prompt,
    "lorahub": by_a_method("lorahub", 1),
    "model-swarms": by_a_method("model-swarms", 10),
}


def controls(config: SearchConfig, result: Mapping[str, Any], name: str) -> Iterator[Outcome]:
    """The outcomes of one of these ways, for a finished search."""
    job = prepare(replace(config, out=f"{config.out}-alone"))
    (task,) = job.tasks
    yield from CONTROLS[name](Finished(task, job, result))
