"""The metrics by name (``--metric``). A new metric is a function and one line here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pyswarmopt_llm.common.config import for_all_tasks
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.extras import need_extra
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.registry import lazy, unknown
from pyswarmopt_llm.scores.metrics.accuracy import MAX_NEW_TOKENS, Accuracy
from pyswarmopt_llm.scores.metrics.external.permission import is_function
from pyswarmopt_llm.scores.metrics.questions.written import (
    CONTINUED_TOKENS,
    JUDGED_TOKENS,
    REWARD_TOKENS,
    Chat,
    InOtherUnits,
    ItemsUtility,
    ScoreTexts,
    Written,
)
from pyswarmopt_llm.scores.tasks import Item, Scoring

if TYPE_CHECKING:
    from pyswarmopt_llm.published.judge.judge import Judge
    from pyswarmopt_llm.scores.metrics.questions.sampling import Sampling

Needs = Literal["nothing", "answer", "choices"]
Compare = Callable[[Sequence[Item], Sequence[str], Sequence[str]], Score]


@dataclass(frozen=True)
class Metric:
    """A metric: how the answers to a task are scored.

    Attributes:
        name: as given by the user.
        make: items, scoring, chat and template -> the utility; of written replies also takes their
            maximum length in tokens and their sampling.
        scoring: its own scoring; None: the one of ``--scoring``.
        needs: what every item must have.
        signed: whether values may be zero or negative, so that a harmonic mean is undefined.
        compare: items and two models' texts -> win rate of the first; None: the two are scored one
            by one.
        usage: what it has spent, for ``result.json``; None if it costs nothing but time.
        module: that it needs of an extra (`common.extras`).
        new_tokens: maximum length of a reply; None: it is not for written replies.
        plain: whether replies continue the plain text, without a chat template.
        sampling: of the replies; None: greedy ones.
        fingerprint: of the user's function that scores, else "".
    """

    name: str
    make: Callable[..., ItemsUtility]
    scoring: Scoring | None = None
    needs: Needs = "nothing"
    signed: bool = False
    compare: Compare | None = None
    usage: Callable[[], dict[str, Any]] | None = None
    module: str | None = None
    new_tokens: int | None = None
    plain: bool = False
    sampling: Sampling | None = None
    fingerprint: str = ""

    @property
    def scale(self) -> tuple[float, float] | None:
        """See `scale_of`."""
        return scale_of(self.name)

    def build(
        self, items: Sequence[Item], scoring: Scoring, chat: Chat, template: str | None
    ) -> ItemsUtility:
        """The utility that scores these items."""
        replies = () if self.new_tokens is None else (self.new_tokens, self.sampling)
        return self.make(items, scoring, chat, template, *replies)

    def up_to(self, tokens: int | None, sampling: Sampling | None = None) -> Metric:
        """The same with replies of at most so many tokens (None: its own), or sampled ones.

        Raises:
            InvalidOption: it does not score written replies.
        """
        if tokens is None and sampling is None:
            return self
        if self.new_tokens is None:
            why = f"is for scores of written replies, not for {self.name}; remove it"
            if sampling is not None:
                raise InvalidOption("temperature", sampling.temperature, why)
            raise InvalidOption("max_new_tokens", tokens, why)
        return replace(self, new_tokens=tokens or self.new_tokens, sampling=sampling)

    def check(self, items: Sequence[Item], where: str) -> None:
        """Refuse items that this metric cannot score.

        Raises:
            UserError: an item lacks choices or an answer.
        """
        for item in items:
            if self.needs == "choices" and item.choices is None:
                raise UserError(
                    f"{where} item {item.id}: no choices, which `metric` {self.name} needs; add "
                    "them"
                )
            if self.needs != "nothing" and not item.references:
                raise UserError(
                    f"{where} item {item.id}: no answer, which `metric` {self.name} needs; add "
                    "answers, or score the "
                    "text itself: `metric` FILE.py:FUNCTION, toxicity, reward:MODEL or judge"
                )


def scale_of(name: str) -> tuple[float, float] | None:
    """The least and the greatest score of an item by a metric of this name; None: not known.

    Example:
        >>> scale_of("judge:rubric.txt"), scale_of("mine.py:short")
        ((1.0, 10.0), None)
    """
    return (1.0, 10.0) if name.partition(":")[0] in ("judge", "local-judge") else None


def written(
    name: str,
    score: ScoreTexts,
    needs: Needs = "answer",
    new: int = MAX_NEW_TOKENS,
    named: InOtherUnits | None = None,
    plain: bool = False,
    **more: Any,
) -> Metric:
    """A metric of written replies.

    Args:
        name: see `Metric`, as for `needs` and what else there is.
        score: see `Written`, as for `named`.
        needs: what every item must have.
        new: maximum length of a reply.
        named: the score in other units.
        plain: see `Metric`.
        **more: further fields of `Metric`.
    """
    return Metric(
        name,
        lambda items, _, chat, template, tokens, sampling: Written(
            items, score, None if plain else chat, template, tokens, named, sampling
        ),
        "generate",
        needs,
        new_tokens=new,
        plain=plain,
        **more,
    )


def continued(name: str, score: ScoreTexts, module: str | None = None) -> Metric:
    """A metric of continuations of plain text."""
    return written(name, score, "nothing", CONTINUED_TOKENS, plain=True, module=module)


def _late(module: str, name: str) -> Callable[..., Any]:
    """A function or class of this package whose module is imported when it is called."""
    return lazy(f"pyswarmopt_llm.{module}:{name}")


_truthfulness, _perplexity = (
    _late("scores.metrics.likelihoods", name) for name in ("Truthfulness", "InversePerplexity")
)

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", Accuracy, None, "answer"),
        Metric(
            "abstain", _late("published.abstention", "Abstention"), None, "choices", signed=True
        ),
        Metric("mc2", lambda items, _, *rest: _truthfulness(items, *rest), "likelihood", "choices"),
        Metric(
            "perplexity", lambda items, _, *rest: _perplexity(items, *rest), "likelihood", "answer"
        ),
        written("exact-match", _late("scores.metrics.text", "exact_match")),
        written("numeric", _late("scores.metrics.text", "numeric"), new=256),
        written("graph", _late("published.nlgraph", "graph_answers")),
        written("f1", _late("scores.metrics.text", "token_f1")),
        written("bleu", _late("scores.metrics.text", "bleu"), module="sacrebleu"),
        written("rouge-l", _late("scores.metrics.text", "rouge_l"), module="rouge_score"),
        written("chrf", _late("scores.metrics.text", "chrf"), module="sacrebleu"),
        continued(
            "toxicity", _late("published.classifiers", "harmlessness"), module="profanity_check"
        ),
    )
}


def _evaluate(spec: str, name: str, cache: Path | None, device: str) -> Metric:
    from pyswarmopt_llm.scores.metrics.external.evaluate import EvaluateMetric

    return written(spec, EvaluateMetric(name), signed=True)


def _toxicity(spec: str, model: str, cache: Path | None, device: str) -> Metric:
    from pyswarmopt_llm.published.classifiers import load_toxicity

    return continued(spec, load_toxicity(model, device).harmlessness)


def _reward(spec: str, model: str, cache: Path | None, device: str) -> Metric:
    from pyswarmopt_llm.published.classifiers import load_reward, preferred

    kind, loaded = spec.partition(":")[0], load_reward(model, device)
    score = {"reward": loaded.scores, "verbose": loaded.verbose, "concise": loaded.concise}[kind]
    raw = kind == "reward"
    named = preferred if raw else None
    return written(spec, score, "nothing", REWARD_TOKENS, named, signed=raw)


def _function(spec: str) -> Metric:
    from pyswarmopt_llm.scores.metrics.external.score_function import FunctionUtility, ScoreFunction

    function = ScoreFunction(spec)

    return Metric(
        spec,
        lambda items, _, *rest: FunctionUtility(function, items, *rest),
        "generate",
        signed=True,
        new_tokens=MAX_NEW_TOKENS,
        fingerprint=function.fingerprint,
    )


def _judge(spec: str, rubric: str, cache: Path | None, device: str) -> Metric:
    from pyswarmopt_llm.published.judge.judge import load_judge

    judge, completions = load_judge(rubric or None, cache)
    return _judged(spec, judge, completions.usage.copy)


def _local_judge(spec: str, model: str, cache: Path | None, device: str) -> Metric:
    from pyswarmopt_llm.published.judge.judge import load_local_judge

    return _judged(spec, load_local_judge(model, device))


def _judged(spec: str, judge: Judge, usage: Callable[[], dict[str, Any]] | None = None) -> Metric:
    return written(
        spec, judge.ratings, "nothing", JUDGED_TOKENS, compare=judge.win_rate, usage=usage
    )


# Metrics with an argument after a colon, loaded when used, since they load models or libraries.
_LOADERS: dict[str, Callable[[str, str, Path | None, str], Metric]] = {
    "evaluate:NAME": _evaluate,
    "toxicity:MODEL": _toxicity,
    "reward:MODEL": _reward,
    "verbose:MODEL": _reward,
    "concise:MODEL": _reward,
    "judge": _judge,
    "judge:RUBRIC.txt": _judge,
    "local-judge:MODEL": _local_judge,
}
# The longest reply to a chat that a family scores.
_LIMITS = {
    "evaluate": MAX_NEW_TOKENS,
    "reward": REWARD_TOKENS,
    "verbose": REWARD_TOKENS,
    "concise": REWARD_TOKENS,
    "judge": JUDGED_TOKENS,
    "local-judge": JUDGED_TOKENS,
}
FAMILIES = (*_LOADERS, "FILE.py:FUNCTION")


def find_metric(spec: str, cache: Path | None = None, device: str = "cpu") -> Metric:
    """The metric of a ``--metric``.

    Args:
        spec: a name of `METRICS`, or one of `FAMILIES`.
        cache: file for a judge's answers; default: in memory.
        device: device of a reward model.

    Raises:
        UserError: unknown, or a model, library or file that it needs is missing.

    Example:
        >>> find_metric("exact-match").needs
        'answer'
    """
    if spec in METRICS:
        need_extra(METRICS[spec].module, f"`metric` {spec}")
        return METRICS[spec]
    family, _, argument = spec.partition(":")
    for registered, load in _LOADERS.items():
        name, _, needed = registered.partition(":")
        if family == name and (argument or not needed):
            return load(spec, argument, cache, device)
    if is_function(spec):
        return _function(spec)
    raise unknown("metric", spec, [*METRICS, *FAMILIES])


def reply_limit(spec: str) -> int | None:
    """Most tokens of a reply to a chat that a metric scores; None: it scores no such replies.

    Example:
        >>> reply_limit("numeric"), reply_limit("reward:a/model"), reply_limit("toxicity")
        (256, 200, None)
    """
    if spec in METRICS:
        return None if METRICS[spec].plain else METRICS[spec].new_tokens
    if is_function(spec):
        return MAX_NEW_TOKENS
    return _LIMITS.get(spec.partition(":")[0])


def longest_reply(specs: Sequence[str]) -> int | None:
    """Most tokens of a reply to a chat that several metrics score, so that it is written once for
    all; None: there are not several.

    Example:
        >>> longest_reply(["mine.py:short", "judge"]), longest_reply(["judge"])
        (512, None)
    """
    limits = [limit for limit in map(reply_limit, specs) if limit is not None]
    return max(limits) if len(limits) > 1 else None


def metric_labels(specs: Sequence[str]) -> dict[str, str]:
    """Label -> metric, of several metrics that are all for one task: a function's name, or the kind
    of metric, with what it loads where two are of a kind.

    Raises:
        InvalidOption: a metric is there twice.

    Example:
        >>> metric_labels(["mine.py:short", "judge", "reward:a/kind", "reward:b/true"])
        {'short': 'mine.py:short', 'judge': 'judge', 'reward-kind': 'reward:a/kind', 'reward-true': 'reward:b/true'}
        >>> list(metric_labels(["a.py:score", "b.py:score"]))
        ['a-score', 'b-score']
    """
    kinds = [_label(spec) for spec in specs]
    labels: dict[str, str] = {}
    for spec, kind in zip(specs, kinds, strict=True):
        label = kind if kinds.count(kind) == 1 else _longer(spec)
        if label in labels:
            raise InvalidOption("metric", spec, f"a second metric that is called {label}")
        labels[label] = spec
    return labels


def _label(spec: str) -> str:
    return spec.rpartition(":")[2] if ".py:" in spec else spec.partition(":")[0]


def _longer(spec: str) -> str:
    """With the name of the file or model."""
    kind, _, argument = spec.partition(":")
    if ".py:" in spec:
        file, _, function = spec.rpartition(":")
        return f"{Path(file).stem}-{function}"
    return f"{kind}-{Path(argument).stem}" if argument else kind


def metric_specs(specs: Sequence[str], tasks: Sequence[str]) -> dict[str, str]:
    """Task name -> metric, from ``NAME`` (for all tasks) and ``TASK=NAME``; several for all tasks
    have a task each, by their labels.

    Raises:
        UserError: an unknown task, or two metrics for one task.

    Example:
        >>> metric_specs(["f1", "math=numeric"], ["math", "quiz"])
        {'math': 'numeric', 'quiz': 'f1'}
        >>> metric_specs(["f1", "mine.py:short"], ["f1", "short"])
        {'f1': 'f1', 'short': 'mine.py:short'}
    """
    general = for_all_tasks(specs)
    if len(general) > 1:
        labels = metric_labels(general)
        if list(labels) == list(tasks):
            return labels
        raise InvalidOption(
            "metric", general[1], f"a second metric for several tasks; write TASK={general[1]}"
        )
    for spec in specs:
        task, equals, _ = spec.partition("=")
        if equals and task not in tasks:
            raise InvalidOption(
                "metric", spec, f"no task is called {task}; there is {', '.join(tasks) or 'none'}"
            )
        if equals and sum(other.startswith(f"{task}=") for other in specs) > 1:
            raise InvalidOption("metric", spec, f"{task} has another one; choose one")
    metrics = {task: metric_given(specs, task) for task in tasks}
    return {task: metric for task, metric in metrics.items() if metric is not None}


def metric_given(specs: Sequence[str], task: str) -> str | None:
    """The metric of one task, as in `metric_specs`; None: the task's own.

    Example:
        >>> [metric_given(["f1", "math=numeric"], task) for task in ("math", "quiz")], metric_given([], "quiz")
        (['numeric', 'f1'], None)
    """
    general = next(iter(for_all_tasks(specs)), None)
    return dict(spec.split("=", 1) for spec in specs if "=" in spec).get(task, general)
