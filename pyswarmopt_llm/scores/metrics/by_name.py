"""The metrics by name (``--metric``). A new metric is a function and one line here."""

from __future__ import annotations

import shlex
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.extras import need_extra
from pyswarmopt_llm.common.own import fingerprint, is_function, own
from pyswarmopt_llm.common.registry import unknown
from pyswarmopt_llm.scores.metrics import text
from pyswarmopt_llm.scores.metrics.metric import (
    ACCURACY,
    REWARD_TOKENS,
    Metric,
    OfModel,
    ReplyMetric,
)
from pyswarmopt_llm.scores.tasks import Task

JUDGED_TOKENS = 512  # most tokens of a reply for a judge, as in the Model Swarms reference
CONTINUED_TOKENS = 20  # of RealToxicityPrompts' continuations, as in its paper and the reference
FUNCTION = "FILE.py:FUNCTION"


def _fields(form: str, spec: str, cache: Path | None, device: str) -> dict[str, Any]:
    """The fields that a metric takes from its model, its file or a module; `form`: its name in `METRICS`."""
    kind = form.partition(":")[0]
    argument = spec.partition(":")[2]
    match kind:
        case "abstain":
            from pyswarmopt_llm.published.abstention import Abstention

            return {"question": Abstention}
        case "graph":
            from pyswarmopt_llm.published.nlgraph import graph_answers

            return {"rate": graph_answers}
        case "toxicity" | "reward" | "verbose" | "concise":
            from pyswarmopt_llm.external import classifiers

            if kind == "toxicity":
                return {"rate": classifiers.harmlessness}
            return classifiers.reward_metric(kind, argument, device)
        case "judge" | "local-judge":
            from pyswarmopt_llm.external import judge

            if kind == "judge":
                return judge.judge_metric(argument, cache)
            return judge.local_judge_metric(argument, device)
        case "drift":
            from pyswarmopt_llm.scores.metrics.drift import Drift

            return {"question": Drift}
        case "tokens":
            from pyswarmopt_llm.scores.metrics.several import ReplyLength

            return {"written": ReplyLength}
        case "evaluate":
            from pyswarmopt_llm.scores.metrics.external import evaluate_metric

            return {"prompted": True, "rate": evaluate_metric(argument).rated}
        case "FILE.py":
            from pyswarmopt_llm.scores.metrics.external import ScoreFunction

            spec, _, entry = spec.partition("#")
            function = ScoreFunction(spec, own("metric", spec))
            rate: Any = function.rated
            if entry:
                from pyswarmopt_llm.scores.metrics.several import entry_of

                rate = partial(entry_of, rate, spec, entry)
            fields: dict[str, Any] = {"prompted": True, "rate": rate}
            if not function.reads_replies:
                fields |= {"question": partial(OfModel, rate=rate), "new_tokens": None}
            return {**fields, "alone": not function.reads_model, "depends": fingerprint(spec)}
    return {}


# by which a model rates replies
_modelled = partial(ReplyMetric, needs="nothing", new_tokens=REWARD_TOKENS, gamed=True)
_judged = partial(_modelled, new_tokens=JUDGED_TOKENS, scale=(1.0, 10.0))
_METRICS = (
    ACCURACY,
    Metric("abstain", needs="choices", signed=True, scale=(-1.0, 1.0)),
    Metric(
        "perplexity", question=text.InversePerplexity, answer_format="likelihood", needs="answer"
    ),
    ReplyMetric("exact-match", text.exact_match),
    ReplyMetric("numeric", text.numeric, needs="number", new_tokens=256),
    ReplyMetric("graph"),
    ReplyMetric("f1", text.token_f1),
    ReplyMetric("bleu", text.bleu, module="sacrebleu"),
    ReplyMetric("chrf", text.chrf, module="sacrebleu"),
    ReplyMetric("rouge", text.rouge, module="rouge_score"),
    Metric("drift", answer_format="likelihood", signed=True, lower=True, unit="nats"),
    ReplyMetric("tokens", needs="nothing", signed=True, lower=True, unit="tokens"),
    ReplyMetric(
        "toxicity",
        needs="nothing",
        new_tokens=CONTINUED_TOKENS,
        plain=True,
        module="profanity_check",
    ),
    _judged("judge"),
    # with an argument after a colon
    ReplyMetric("evaluate:NAME", signed=True),
    _modelled("reward:MODEL", signed=True),
    _modelled("verbose:MODEL"),
    _modelled("concise:MODEL"),
    _judged("judge:RUBRIC.txt"),
    _judged("local-judge:MODEL"),
    ReplyMetric(FUNCTION, needs="nothing", signed=True),
)
METRICS: dict[str, Metric] = {metric.name: metric for metric in _METRICS}


def find_metric(
    spec: str, cache: Path | None = None, device: str = "cpu", new_tokens: int | None = None
) -> Metric:
    """The metric for a value of ``--metric``; its model or library is loaded.

    Args:
        spec: a name of `METRICS`, optionally with an argument after a colon.
        cache: file for a judge's answers; None: memory only.
        device: device of a reward model.
        new_tokens: most tokens of a reply; None: the metric's default.

    Raises:
        UserError: the metric is unknown or scores no written replies, or its model, library or file is
            missing.

    Example:
        >>> find_metric("exact-match").needs
        'answer'
    """
    kind, _, argument = spec.partition(":")
    forms = [name for name in METRICS if name == spec or (argument and name.startswith(f"{kind}:"))]
    if is_function(spec):
        forms.append(FUNCTION)
    if not forms:
        raise unknown("metric", spec, [*METRICS])
    metric = METRICS[forms[0]]
    need_extra(metric.module, f"`metric` {spec}")
    if new_tokens is not None:
        if metric.new_tokens is None:
            why = f"applies only to free-form replies, not to {spec}; remove it"
            raise InvalidOption("max_new_tokens", new_tokens, why)
        metric = replace(metric, new_tokens=new_tokens)
    return replace(metric, name=spec, **_fields(forms[0], spec, cache, device))


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
            f"{task.source}: the metric {task.metric!r} calls a server or loads code, which needs "
            f"your consent; if you trust the file, add `metric` {shlex.quote(task.metric)}"
        )
    return task.metric
