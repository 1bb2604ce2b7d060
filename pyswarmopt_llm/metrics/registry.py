"""What a task's answers are scored by: the names behind ``--metric``. A new one is a function and a line here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.registry import unknown
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.metrics.accuracy import MAX_NEW_TOKENS, Accuracy
from pyswarmopt_llm.metrics.questions.written import Asked, Chat, ScoreTexts, Written
from pyswarmopt_llm.tasks import Item, Scoring

if TYPE_CHECKING:
    from pyswarmopt_llm.metrics.judge.judge import Judge

CONTINUED_TOKENS = 20  # of RealToxicityPrompts' continuations, as in its paper and the Model Swarms reference

Needs = Literal["nothing", "answer", "choices"]
Compare = Callable[[Sequence[Item], Sequence[str], Sequence[str]], Score]
Build = Callable[[Sequence[Item], Scoring, Chat, str | None], Asked]


@dataclass(frozen=True)
class Metric:
    """A way to score the answers to a task.

    Attributes:
        name: as the user wrote it.
        build: items, scoring, chat and template -> the utility.
        scoring: how it asks; None: as ``--scoring`` says, by letters, by the options' text, or by writing.
        needs: what every item must have.
        signed: whether a value may be zero or negative, so that a harmonic mean makes no sense.
        compare: items and two models' texts -> how often the first is better; None where no texts are written.
        usage: what it has spent, for ``result.json``; None where it costs nothing but time.
    """

    name: str
    build: Build
    scoring: Scoring | None = None
    needs: Needs = "nothing"
    signed: bool = False
    compare: Compare | None = None
    usage: Callable[[], dict[str, Any]] | None = None

    def check(self, items: Sequence[Item], where: str) -> None:
        """Refuse items that this metric cannot score.

        Raises:
            UserError: names the item.
        """
        for item in items:
            if self.needs == "choices" and item.choices is None:
                raise UserError(f"{where} item {item.id}: no choices, which --metric {self.name} needs; add them")
            if self.needs != "nothing" and not item.references:
                raise UserError(
                    f"{where} item {item.id}: no answer, which --metric {self.name} needs; add answers, or score what "
                    "is written: --metric toxicity, reward:MODEL or judge"
                )


def written(
    name: str,
    score: ScoreTexts,
    needs: Needs = "answer",
    new: int = MAX_NEW_TOKENS,
    signed: bool = False,
    compare: Compare | None = None,
) -> Metric:
    """A metric of written answers to questions put through the chat template; by default the higher score wins."""

    def build(items: Sequence[Item], scoring: Scoring, chat: Chat, template: str | None) -> Asked:
        return Written(items, score, chat, template, new)

    def by_score(items: Sequence[Item], ours: Sequence[str], theirs: Sequence[str]) -> Score:
        pairs = zip(score(items, ours), score(items, theirs), strict=True)
        return score_of([1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs])

    return Metric(name, build, "generate", needs, signed, compare or by_score)


def continued(name: str, score: ScoreTexts) -> Metric:
    """A metric of beginnings of sentences, which are continued, not answered: no chat template."""

    def build(items: Sequence[Item], scoring: Scoring, chat: Chat, template: str | None) -> Asked:
        return Written(items, score, None, template, CONTINUED_TOKENS)

    return Metric(name, build, "generate")


def _late(module: str, name: str) -> Callable[..., Any]:
    """A function or class of this package whose module is imported when it is called."""

    def call(*arguments: Any) -> Any:
        return getattr(import_module(f"pyswarmopt_llm.metrics.{module}"), name)(*arguments)

    return call


_truthfulness, _perplexity = _late("likelihoods", "Truthfulness"), _late("likelihoods", "InversePerplexity")

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", Accuracy, None, "answer"),
        Metric("abstain", _late("abstention", "Abstention"), None, "choices", signed=True),
        Metric("mc2", lambda items, _, chat, template: _truthfulness(items, chat, template), "likelihood", "choices"),
        Metric("perplexity", lambda items, _, chat, text: _perplexity(items, chat, text), "likelihood", "answer"),
        written("exact-match", _late("text", "exact_match")),
        written("numeric", _late("text", "numeric"), new=256),
        written("graph", _late("nlgraph", "graph_answers")),
        written("f1", _late("text", "token_f1")),
        written("bleu", _late("text", "bleu")),
        written("rouge-l", _late("text", "rouge_l")),
        written("chrf", _late("text", "chrf")),
        continued("toxicity", _late("classifiers.toxicity", "harmlessness")),
    )
}

# Metrics with an argument behind a colon: imported when used, since they load models or libraries.
FAMILIES = (
    "evaluate:NAME",
    "toxicity:MODEL",
    "reward:MODEL",
    "verbose:MODEL",
    "concise:MODEL",
    "judge",
    "judge:RUBRIC.txt",
    "local-judge:MODEL",
)


def find_metric(spec: str, cache: Path | None = None, device: str = "cpu") -> Metric:
    """The metric that a user's ``--metric`` names.

    Args:
        spec: a name of `METRICS`, or one of `FAMILIES`.
        cache: where a judge keeps its answers; None: in memory.
        device: where a reward model goes.

    Raises:
        UserError: unknown, or what it needs is not there.

    Example:
        >>> find_metric("exact-match").needs
        'answer'
    """
    if spec in METRICS:
        return METRICS[spec]
    family, _, argument = spec.partition(":")
    if family == "evaluate" and argument:
        from pyswarmopt_llm.metrics.external.evaluate import EvaluateMetric

        return written(spec, EvaluateMetric(argument), signed=True)
    if family == "toxicity" and argument:
        from pyswarmopt_llm.metrics.classifiers.toxicity import load_toxicity

        return continued(spec, load_toxicity(argument, device).harmlessness)
    if family in ("reward", "verbose", "concise") and argument:
        from pyswarmopt_llm.metrics.classifiers.reward import REWARD_TOKENS, load_reward

        model = load_reward(argument, device)
        score = {"reward": model.scores, "verbose": model.verbose, "concise": model.concise}[family]
        return written(spec, score, "nothing", REWARD_TOKENS, signed=family == "reward")
    if family == "judge":
        from pyswarmopt_llm.metrics.judge.judge import load_judge

        judge, completions = load_judge(argument or None, cache)
        return _judged(spec, judge, completions.spent)
    if family == "local-judge" and argument:
        from pyswarmopt_llm.metrics.judge.local import load_local_judge

        return _judged(spec, load_local_judge(argument, device))
    raise unknown("--metric", spec, [*METRICS, *FAMILIES])


def _judged(spec: str, judge: Judge, usage: Callable[[], dict[str, Any]] | None = None) -> Metric:
    from pyswarmopt_llm.metrics.judge.judge import JUDGED_TOKENS

    metric = written(spec, judge.ratings, "nothing", JUDGED_TOKENS, compare=judge.win_rate)
    return replace(metric, usage=usage)


def metric_specs(wanted: Sequence[str], tasks: Sequence[str]) -> dict[str, str]:
    """Task name -> metric, from ``NAME`` (for all tasks) and ``TASK=NAME``.

    Raises:
        UserError: a task that is not there, or two metrics for one.

    Example:
        >>> metric_specs(["f1", "math=numeric"], ["math", "quiz"])
        {'math': 'numeric', 'quiz': 'f1'}
    """
    general = [spec for spec in wanted if "=" not in spec]
    if len(general) > 1:
        raise UserError(f"--metric {general[1]}: a second metric for all tasks; write TASK={general[1]}")
    found = dict.fromkeys(tasks, general[0]) if general else {}
    for spec in wanted:
        task, equals, name = spec.partition("=")
        if equals:
            if task not in tasks:
                raise UserError(f"--metric {spec}: no task is called {task}; there is {', '.join(tasks) or 'none'}")
            found[task] = name
    return found


__all__ = ["FAMILIES", "METRICS", "Metric", "find_metric", "metric_specs", "written"]
