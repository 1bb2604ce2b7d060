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
from pyswarmopt_llm.scores.metrics.external import evaluate_metric, function_metric
from pyswarmopt_llm.scores.metrics.metric import (
    ACCURACY,
    REWARD_TOKENS,
    Load,
    Metric,
    ReplyMetric,
    Sampling,
)
from pyswarmopt_llm.scores.tasks import Task

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


def _published(spec: str, cache: Path | None, device: str) -> Mapping[str, Any]:
    """The fields of a metric of `pyswarmopt_llm.published`; see `Metric.load`."""
    from pyswarmopt_llm.published import abstention, classifiers, judge, nlgraph

    if spec == "toxicity":
        return {"rate": classifiers.harmlessness}
    loads: dict[str, Load] = {
        "toxicity": classifiers.toxicity_metric,
        "reward": classifiers.reward_metric,
        "verbose": classifiers.reward_metric,
        "concise": classifiers.reward_metric,
        "judge": judge.judge_metric,
        "local-judge": judge.local_judge_metric,
    }
    kind = spec.partition(":")[0]
    if kind in loads:
        return loads[kind](spec, cache, device)
    if kind == "graph":
        return {"rate": nlgraph.graph_answers}
    return {"question": abstention.Abstention}


_METRICS = (
    ACCURACY,
    Metric("abstain", load=_published, needs="choices", signed=True, scale=(-1.0, 1.0)),
    Metric("mc2", question=text.truthfulness, scoring="likelihood", needs="choices"),
    Metric("perplexity", question=text.inverse_perplexity, scoring="likelihood", needs="answer"),
    ReplyMetric("exact-match", text.exact_match),
    ReplyMetric("numeric", text.numeric, needs="number", new_tokens=256),
    ReplyMetric("graph", load=_published),
    ReplyMetric("f1", text.token_f1),
    ReplyMetric("bleu", text.bleu, module="sacrebleu"),
    ReplyMetric("rouge-l", text.rouge_l, module="rouge_score"),
    ReplyMetric("chrf", text.chrf, module="sacrebleu"),
    ReplyMetric("toxicity", load=_published, module="profanity_check", **_continued),
)
METRICS: dict[str, Metric] = {metric.name: metric for metric in _METRICS}
# Metrics with an argument after a colon, by their form.
FUNCTION = "FILE.py:FUNCTION"
_FAMILIES = (
    ReplyMetric("evaluate:NAME", signed=True, load=evaluate_metric),
    ReplyMetric("toxicity:MODEL", load=_published, **_continued),
    ReplyMetric("reward:MODEL", signed=True, load=_published, **_rewarded),
    ReplyMetric("verbose:MODEL", load=_published, **_rewarded),
    ReplyMetric("concise:MODEL", load=_published, **_rewarded),
    ReplyMetric("judge", load=_published, **_judged),
    ReplyMetric("judge:RUBRIC.txt", load=_published, **_judged),
    ReplyMetric("local-judge:MODEL", load=_published, **_judged),
    ReplyMetric(FUNCTION, needs="nothing", signed=True, load=function_metric),
)
FAMILIES: dict[str, ReplyMetric] = {metric.name: metric for metric in _FAMILIES}


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
    if metric.load is None:
        return metric
    return replace(metric, name=spec, **metric.load(spec, cache, str(pick_device(device))))


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
        why = f"a second metric for several tasks; write TASK={general[1]}"
        raise InvalidOption("metric", general[1], why)
    chosen = {task: general[0] for task in tasks if general}
    own = set()
    for spec in specs:
        task, equals, metric = spec.partition("=")
        if equals and task not in tasks:
            why = f"no task is called {task}; there is {', '.join(tasks) or 'none'}"
            raise InvalidOption("metric", spec, why)
        if task in own:
            raise InvalidOption("metric", spec, f"{task} has another one; choose one")
        if equals:
            own.add(task)
            chosen[task] = metric
    return chosen


def metric_labels(specs: Sequence[str]) -> dict[str, str]:
    """Label -> metric, for several metrics of one task: a function's name, or the metric's kind,
    extended by its file or model if not unique.

    Raises:
        InvalidOption: a metric is given twice.

    Example:
        >>> metric_labels(["mine.py:short", "judge", "reward:a/kind", "reward:b/true"])
        {'short': 'mine.py:short', 'judge': 'judge', 'reward-kind': 'reward:a/kind', 'reward-true': 'reward:b/true'}
        >>> list(metric_labels(["a.py:score", "b.py:score"]))
        ['a-score', 'b-score']
    """
    kinds = list(map(_label, specs))
    labels: dict[str, str] = {}
    for spec, kind in zip(specs, kinds, strict=True):
        label = _label(spec, whole=kinds.count(kind) > 1)
        if label in labels:
            raise InvalidOption("metric", spec, f"a second metric that is called {label}")
        labels[label] = spec
    return labels


def _label(spec: str, whole: bool = False) -> str:
    """A function's name or the metric's kind; `whole`: with its file or model."""
    if ".py:" in spec:
        file, _, function = spec.rpartition(":")
        return f"{Path(file).stem}-{function}" if whole else function
    kind, _, argument = spec.partition(":")
    return f"{kind}-{Path(argument).stem}" if whole and argument else kind


def metric_given(specs: Sequence[str], task: str) -> str | None:
    """The metric of one task, as in `metric_specs`; None: the task's own.

    Example:
        >>> [metric_given(["f1", "math=numeric"], task) for task in ("math", "quiz")], metric_given([], "quiz")
        (['numeric', 'f1'], None)
    """
    own = dict(spec.split("=", 1) for spec in specs if "=" in spec)
    return own.get(task, next(iter(for_all_tasks(specs)), None))


def longest_reply(specs: Sequence[str]) -> int | None:
    """The longest chat reply of several metrics, so that each reply is written once for all; None
    unless there are several.

    Example:
        >>> longest_reply(["mine.py:short", "judge"]), longest_reply(["judge"])
        (512, None)
    """
    limits = [limit for limit in map(_reply_limit, specs) if limit is not None]
    return max(limits) if len(limits) > 1 else None


def _reply_limit(spec: str) -> int | None:
    """Most tokens of a chat reply for a metric; None: the metric does not score chat replies."""
    metric = _known(spec)
    return metric.new_tokens if isinstance(metric, ReplyMetric) and not metric.plain else None


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


def named_metrics(
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
        tokens = new_tokens or (together if _reply_limit(spec) else None)
        metrics[spec] = up_to(find_metric(spec, cache, device), tokens, sampling)
    return {name: metrics[spec] for name, spec in names.items()}
