"""Several scores of one reply: ``--metric`` repeated for a task, `tokens`, and entries of a function's
dict by name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pyswarmopt_llm.common.config import DRIFT, LM_EVAL, PROMPTS, SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.interfaces import Engine
from pyswarmopt_llm.common.own import is_function
from pyswarmopt_llm.scores.metrics.metric import Metric, Named, Parts, Written
from pyswarmopt_llm.scores.tasks import Task
from pyswarmopt_llm.scores.tasks.load import load_task
from pyswarmopt_llm.scores.tasks.types import per_task

FindMetrics = Callable[..., dict[str, Metric]]  # see `objectives.find_metrics`


class ReplyLength(Written):
    """A `Utility`: the tokens of each reply, thoughts included, with a negative sign; by the tokenizer of
    the model that wrote it, of several models the mean.
    """

    def _rated(
        self,
        answers: Sequence[str],
        indices: Sequence[int] | None = None,
        engine: Engine | None = None,
    ) -> Parts:
        """See `Written`."""
        if engine is None:
            raise TypeError("the length of a reply depends on the engine; pass it")
        models = max(len(engine.members), 1)
        nothing = engine.count_tokens("")
        return [{"": (nothing - engine.count_tokens(text)) / models} for text in answers]


def entry_of(
    rate: Callable[..., Parts | Named], spec: str, entry: str, *arguments: Any
) -> Parts | Named:
    """One entry of the named numbers that a user's function gives each reply, or all together.

    Raises:
        InvalidOption: the function gives no such entry.
    """
    found = rate(*arguments)
    parts = [found] if isinstance(found, dict) else found
    for row in parts:
        if entry not in row:
            names = ", ".join(filter(None, row)) or "a single number"
            raise InvalidOption("metric", f"{spec}#{entry}", f": the function returns {names}")
    if isinstance(found, dict):
        return {"": found[entry]}
    return [{"": row[entry]} for row in parts]


def by_score(
    config: SearchConfig, tasks: Mapping[str, Task], found: FindMetrics
) -> tuple[dict[str, Task], dict[str, Metric]]:
    """The tasks and metrics by the names of the scores: those of the tasks, of the metrics if there is
    one task, and both of several scores of one of several tasks. `drift` has the task of its own prompts.

    Replies are written once for all metrics of a task, and are as long as the longest needs.

    Raises:
        InvalidOption: a metric is given twice, or has no task.
    """
    scored: dict[str, Task] = {}
    specs = []
    given = specs_of([spec for spec in config.metrics if spec != DRIFT], tasks)
    for name, task in tasks.items():
        own = given[name]
        labels = [name]
        if own and len(tasks) == 1:
            labels = list(map(label_of, own))
        elif len(own) > 1:
            labels = [f"{name} {label_of(spec)}" for spec in own]
        for label, spec in zip(labels, own or [""], strict=True):
            if label in scored:
                raise InvalidOption("metric", spec, f": there are two scores {label}; remove one")
            scored[label] = task
            specs += [f"{label}={spec}"] * bool(spec)
    if config.keep is not None or DRIFT in config.metrics:
        if DRIFT in scored:
            raise InvalidOption("task", DRIFT, "has the name of a metric; rename its file")
        scored[DRIFT] = kept_prompts(config)
        specs.append(f"{DRIFT}={DRIFT}")
    metrics = found(scored, specs, new_tokens=None)
    lengths = {name: metric.new_tokens for name, metric in metrics.items() if metric.new_tokens}
    if config.max_new_tokens is not None:
        if not lengths:
            why = "applies only to free-form replies; remove it"
            raise InvalidOption("max_new_tokens", config.max_new_tokens, why)
        lengths = dict.fromkeys(lengths, config.max_new_tokens)
    for name in lengths:
        beside = [length for other, length in lengths.items() if scored[other] is scored[name]]
        metrics[name] = replace(metrics[name], new_tokens=max(beside))
    return scored, metrics


def kept_prompts(config: SearchConfig) -> Task:
    """The prompts of ``--keep``, as the task of `drift`.

    Raises:
        InvalidOption: the file or the metric is missing, or the harness scores another task.
    """
    if config.keep is None:
        raise InvalidOption("metric", DRIFT, "needs prompts; set `keep` to a file of them")
    if DRIFT not in config.metrics:
        raise InvalidOption("keep", config.keep, "is read by one metric only; add `metric` drift")
    if any(spec.startswith(LM_EVAL) for spec in config.tasks):
        raise InvalidOption("keep", config.keep, "does not go with a harness task; remove it")
    task = load_task(
        f"{PROMPTS}{config.keep}",
        dev=config.dev,
        test=config.test or None,
        allow_overlap=config.allow_overlap,
    )
    if config.test == 0:
        task = replace(task, test=())
    return replace(task, name=DRIFT, spare=())


def specs_of(metrics: Sequence[str], tasks: Collection[str]) -> dict[str, list[str]]:
    """Task name -> its metrics, none if its file decides.

    ``METRIC`` is one of a single task's, or the one of all tasks; ``TASK=METRIC`` is one of a
    task's.

    Raises:
        InvalidOption: a task is unknown, or one of several tasks has two metrics without its name.

    Example:
        >>> specs_of(["f1", "tokens"], ["quiz"])
        {'quiz': ['f1', 'tokens']}
        >>> specs_of(["math=numeric", "math=tokens", "f1"], ["math", "quiz"])
        {'math': ['numeric', 'tokens'], 'quiz': ['f1']}
    """
    own: dict[str, list[str]] = {name: [] for name in tasks}
    general = []
    for spec in metrics:
        name, equals, metric = spec.partition("=")
        if equals and name in tasks:
            own[name].append(metric)
        else:
            general.append(spec)
    if len(tasks) == 1:
        for spec in general:
            per_task("metric", [spec], tasks)  # refuses the name of another task
        return {name: [*given, *general] for name, given in own.items()}
    rest = per_task("metric", general, tasks)
    return {name: given or [*filter(None, [rest.get(name)])] for name, given in own.items()}


def label_of(spec: str) -> str:
    """The name of a metric's score, from its spec.

    Example:
        >>> label_of("mine.py:both#correct"), label_of("mine.py:short"), label_of("judge:rules.txt")
        ('correct', 'short', 'judge')
    """
    whole, _, entry = spec.partition("#")
    if entry:
        return entry
    if is_function(whole):
        return whole.rpartition(":")[2]
    return whole.partition(":")[0]
