"""The metrics by name (``--metric``). A new metric is a function and one line here."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.config import for_all_tasks
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.extras import need_extra
from pyswarmopt_llm.common.hardware import pick_device
from pyswarmopt_llm.common.own import is_own
from pyswarmopt_llm.common.registry import unknown
from pyswarmopt_llm.scores.metrics import text
from pyswarmopt_llm.scores.metrics.external.evaluate import evaluate_metric
from pyswarmopt_llm.scores.metrics.external.score_function import function_metric
from pyswarmopt_llm.scores.metrics.metric import ACCURACY, Chat, ItemsUtility, Metric, OptionMetric
from pyswarmopt_llm.scores.metrics.several import metric_labels
from pyswarmopt_llm.scores.metrics.written import REWARD_TOKENS, Load, ReplyMetric, Sampling
from pyswarmopt_llm.scores.tasks import Item, Scoring, Task

JUDGED_TOKENS = 512  # most tokens of a reply for a judge, as in the Model Swarms reference
CONTINUED_TOKENS = 20  # of RealToxicityPrompts' continuations, as in its paper and the reference

_continued: dict[str, Any] = {
    "needs": "nothing",
    "new_tokens": CONTINUED_TOKENS,
    "plain": True,
}
_rewarded: dict[str, Any] = {
    "needs": "nothing",
    "new_tokens": REWARD_TOKENS,
    "gamed": True,
}
_judged: dict[str, Any] = {
    "needs": "nothing",
    "new_tokens": JUDGED_TOKENS,
    "scale": (1.0, 10.0),
    "gamed": True,
}


# A metric's model or library is loaded when the metric is used.


def _abstention(
    items: Sequence[Item], scoring: Scoring, chat: Chat, template: str | None
) -> ItemsUtility:
    from pyswarmopt_llm.published.abstention import Abstention

    return Abstention(items, scoring, chat, template)


def _graph_answers(items: Sequence[Item], texts: Sequence[str]) -> list[float]:
    from pyswarmopt_llm.published.nlgraph import graph_answers

    return graph_answers(items, texts)


def _harmlessness(items: Sequence[Item], texts: Sequence[str]) -> list[float]:
    from pyswarmopt_llm.published.classifiers import harmlessness

    return harmlessness(items, texts)


def _rating_model(spec: str, cache: Path | None, device: str) -> Mapping[str, Any]:
    from pyswarmopt_llm.published import classifiers, judge

    loads: dict[str, Load] = {
        "toxicity": classifiers.toxicity_metric,
        "reward": classifiers.reward_metric,
        "verbose": classifiers.reward_metric,
        "concise": classifiers.reward_metric,
        "judge": judge.judge_metric,
        "local-judge": judge.local_judge_metric,
    }
    return loads[spec.partition(":")[0]](spec, cache, device)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        ACCURACY,
        OptionMetric(
            "abstain",
            _abstention,
            needs="choices",
            signed=True,
            scale=(-1.0, 1.0),
        ),
        OptionMetric("mc2", text.truthfulness, scoring="likelihood", needs="choices"),
        OptionMetric("perplexity", text.inverse_perplexity, scoring="likelihood", needs="answer"),
        ReplyMetric("exact-match", text.exact_match),
        ReplyMetric("numeric", text.numeric, needs="number", new_tokens=256),
        ReplyMetric("graph", _graph_answers),
        ReplyMetric("f1", text.token_f1),
        ReplyMetric("bleu", text.bleu, module="sacrebleu"),
        ReplyMetric("rouge-l", text.rouge_l, module="rouge_score"),
        ReplyMetric("chrf", text.chrf, module="sacrebleu"),
        ReplyMetric(
            "toxicity",
            _harmlessness,
            module="profanity_check",
            **_continued,
        ),
    )
}
# Metrics with an argument after a colon, by their form.
FUNCTION = "FILE.py:FUNCTION"
FAMILIES: dict[str, ReplyMetric] = {
    metric.name: metric
    for metric in (
        ReplyMetric("evaluate:NAME", signed=True, load=evaluate_metric),
        ReplyMetric(
            "toxicity:MODEL",
            load=_rating_model,
            **_continued,
        ),
        ReplyMetric("reward:MODEL", signed=True, load=_rating_model, **_rewarded),
        ReplyMetric("verbose:MODEL", load=_rating_model, **_rewarded),
        ReplyMetric("concise:MODEL", load=_rating_model, **_rewarded),
        ReplyMetric("judge", load=_rating_model, **_judged),
        ReplyMetric("judge:RUBRIC.txt", load=_rating_model, **_judged),
        ReplyMetric(
            "local-judge:MODEL",
            load=_rating_model,
            **_judged,
        ),
        ReplyMetric(
            FUNCTION,
            needs="nothing",
            signed=True,
            load=function_metric,
        ),
    )
}


def find_metric(spec: str, cache: Path | None = None, device: str = "cpu") -> Metric:
    """The metric for a value of ``--metric``.

    Args:
        spec: a name of `METRICS`, or one of `FAMILIES`.
        cache: file for a judge's answers; None: memory only.
        device: device of a reward model.

    Raises:
        UserError: the metric is unknown, or its model, library or file is missing.

    Example:
        >>> find_metric("exact-match").needs
        'answer'
    """
    metric = _known(spec)
    if metric is None:
        raise unknown("metric", spec, [*METRICS, *FAMILIES])
    if metric.module is not None:
        need_extra(metric.module, f"`metric` {spec}")
    if not isinstance(metric, ReplyMetric) or metric.load is None:
        return metric
    return replace(metric, name=spec, **metric.load(spec, cache, device))


def _known(spec: str) -> Metric | None:
    """The metric with this name, or its family, not loaded; None if unknown."""
    kind, _, argument = spec.partition(":")
    for name, metric in {**METRICS, **FAMILIES}.items():
        family, _, needed = name.partition(":")
        if name == spec or (needed and argument and family == kind):
            return metric
    return FAMILIES[FUNCTION] if is_own("metric", spec) else None


def metric_of(task: Task) -> str:
    """The task's own metric, else accuracy. A file may give a plain name only.

    Raises:
        UserError: the metric is a module, a path, a model, or a judge, which gets the rows.

    Example:
        >>> metric_of(Task("quiz", (), (), metric="numeric"))
        'numeric'
    """
    if task.metric is None:
        return "accuracy"
    if ":" in task.metric or task.metric == "judge":
        raise UserError(
            f"{task.source}: its metric {task.metric!r} asks a server or loads code, which a file "
            f"may not; if you trust it, add `metric` {shlex.quote(task.metric)}"
        )
    return task.metric


def reply_limit(spec: str) -> int | None:
    """Most tokens of a chat reply for a metric; None: the metric does not score chat replies.

    Example:
        >>> reply_limit("numeric"), reply_limit("reward:a/model"), reply_limit("toxicity")
        (256, 200, None)
    """
    metric = _known(spec)
    if not isinstance(metric, ReplyMetric) or metric.plain:
        return None
    return metric.new_tokens


def metric_specs(specs: Sequence[str], tasks: Sequence[str]) -> dict[str, str]:
    """Task name -> metric, from ``NAME`` (for all tasks) and ``TASK=NAME``; several metrics for all
    tasks become tasks of their own, named by label.

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
    own = [spec for spec in specs if spec not in general]
    of_tasks = [spec.partition("=")[0] for spec in own]
    for task, spec in zip(of_tasks, own, strict=True):
        if task not in tasks:
            why = f"no task is called {task}; there is {', '.join(tasks) or 'none'}"
            raise InvalidOption("metric", spec, why)
        if of_tasks.count(task) > 1:
            raise InvalidOption("metric", spec, f"{task} has another one; choose one")
    metrics = {task: metric_given(specs, task) for task in tasks}
    return {task: metric for task, metric in metrics.items() if metric is not None}


def metric_given(specs: Sequence[str], task: str) -> str | None:
    """The metrics of one task, as in `metric_specs`; None: the task's own.

    Example:
        >>> [metric_given(["f1", "math=numeric"], task) for task in ("math", "quiz")], metric_given([], "quiz")
        (['numeric', 'f1'], None)
    """
    general = next(iter(for_all_tasks(specs)), None)
    return dict(spec.split("=", 1) for spec in specs if "=" in spec).get(task, general)


def longest_reply(specs: Sequence[str]) -> int | None:
    """The longest reply limit of several metrics, so that each reply is written once for all; None
    unless there are several.

    Example:
        >>> longest_reply(["mine.py:short", "judge"]), longest_reply(["judge"])
        (512, None)
    """
    limits = [limit for limit in map(reply_limit, specs) if limit is not None]
    return max(limits) if len(limits) > 1 else None


def up_to(metric: Metric, tokens: int | None, sampling: Sampling | None = None) -> Metric:
    """The metric with at most `tokens` per reply (None: its default), or with sampled replies.

    Raises:
        InvalidOption: the metric does not score written replies.
    """
    if tokens is None and sampling is None:
        return metric
    if not isinstance(metric, ReplyMetric):
        why = (
            f"is for scores of written replies, not for {metric.name}; remove it, or set `metrics` "
            "exact-match, f1 or numeric"
        )
        if sampling is not None:
            raise InvalidOption("temperature", sampling.temperature, why)
        raise InvalidOption("max_new_tokens", tokens, why)
    return replace(metric, new_tokens=tokens or metric.new_tokens, sampling=sampling)


def find_metrics(
    tasks: Mapping[str, Task],
    specs: Sequence[str],
    cache: Path | None,
    device: str,
    new_tokens: int | None,
    sampling: Sampling | None,
) -> dict[str, Metric]:
    """The named metrics; `objectives.find_metrics` checks their items."""
    chosen = metric_specs(specs, list(tasks))
    names = {name: chosen.get(name) or metric_of(task) for name, task in tasks.items()}
    together = longest_reply(for_all_tasks(specs))
    metrics = {}
    for spec in dict.fromkeys(names.values()):  # two tasks share a reward model
        tokens = new_tokens or (None if reply_limit(spec) is None else together)
        metric = find_metric(spec, cache, str(pick_device(device)))
        metrics[spec] = up_to(metric, tokens, sampling)
    return {name: metrics[spec] for name, spec in names.items()}
