"""The metrics by name (``--metric``), and the objectives of a search: tasks with metrics, Python functions,
harness tasks; combined. A new metric is a function and one line here.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pyswarmopt_llm.common.config import LM_EVAL, SearchConfig, for_all_tasks, is_function
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.regular import digest, user_path
from pyswarmopt_llm.common.hardware import pick_device
from pyswarmopt_llm.common.interfaces import Engine, Score, Utility
from pyswarmopt_llm.common.registry import lazy, unknown
from pyswarmopt_llm.scores.metrics.accuracy import MAX_NEW_TOKENS, Accuracy, possible_scorings
from pyswarmopt_llm.scores.metrics.combine import Combine, find_combine
from pyswarmopt_llm.scores.tasks import Item, Scoring, Task
from pyswarmopt_llm.scores.tasks.load import load_task_of, with_templates

if TYPE_CHECKING:
    from pyswarmopt_llm.scores.metrics.written import Chat, InOtherUnits, Sampling, ScoreTexts


# Most tokens of a reply that a reward model or a judge scores, as in the Model Swarms reference, and
# of RealToxicityPrompts' continuations, as in its paper and the reference.
REWARD_TOKENS, JUDGED_TOKENS, CONTINUED_TOKENS = 200, 512, 20

Needs = Literal["nothing", "answer", "choices"]
Compare = Callable[[Sequence[Item], Sequence[str], Sequence[str]], Score]
# what the user gave, a file for answers of a judge, a device -> fields of the metric
Load = Callable[[str, Path | None, str], Mapping[str, Any]]


class ItemsUtility(Utility, Protocol):
    """A `Utility` over items that knows in advance which texts have to fit the context window."""

    items: tuple[Item, ...]

    def texts(self) -> Iterator[tuple[Item, str, int]]:
        """Item, text, and the maximum number of tokens that the model adds to it."""


@dataclass(frozen=True)
class Metric:
    """A metric: how the answers to a task are scored.

    Attributes:
        name: as given by the user.
        make: items, scoring, chat and template -> the utility; of written replies as `Written`.
        scoring: its own scoring; None: the one of ``--scoring``.
        needs: what every item must have.
        signed: whether values may be zero or negative, so that a harmonic mean is undefined.
        module: that it needs of an extra (`common.extras`).
        scale: the least and the greatest score of an item; None: not known.
        new_tokens: maximum length of a reply; None: it is not for written replies.
        score: of written replies, see `Written`, as for `named`.
        plain: whether replies continue the plain text, without a chat template.
        sampling: of the replies; None: greedy ones.
        load: of a metric with an argument behind a colon, what it brings; see `find_metric`.
        compare: items and two models' texts -> win rate of the first; None: the two are scored one
            by one.
        usage: what it has spent, for ``result.json``; None if it costs nothing but time.
        fingerprint: of the user's function that scores, else "".
    """

    name: str
    make: Callable[..., ItemsUtility]
    scoring: Scoring | None = None
    needs: Needs = "nothing"
    signed: bool = False
    module: str | None = None
    scale: tuple[float, float] | None = None
    new_tokens: int | None = None
    score: ScoreTexts | None = None
    named: InOtherUnits | None = None
    plain: bool = False
    sampling: Sampling | None = None
    load: Load | None = None
    compare: Compare | None = None
    usage: Callable[[], dict[str, Any]] | None = None
    fingerprint: str = ""

    def build(
        self, items: Sequence[Item], scoring: Scoring, chat: Chat, template: str | None
    ) -> ItemsUtility:
        """The utility that scores these items."""
        if self.new_tokens is None:
            return self.make(items, scoring, chat, template)
        how = (template, self.new_tokens, self.named, self.sampling)
        return self.make(items, self.score, None if self.plain else chat, *how)

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
                    f"{where} example {item.id}: no choices, which `metric` {self.name} needs; add "
                    "them"
                )
            if self.needs != "nothing" and not item.references:
                raise UserError(
                    f"{where} example {item.id}: no answer, which `metric` {self.name} needs; add "
                    "answers, or score the "
                    "text itself: `metric` FILE.py:FUNCTION, toxicity, reward:MODEL or judge"
                )


# Heavy imports, and those of other metrics, wait until a metric is used.
_TEXT, _EXTERNAL, _PUBLISHED = (
    f"pyswarmopt_llm.{room}"
    for room in (
        "scores.metrics.text",
        "scores.metrics.external",
        "published",
    )
)
need_extra = lazy("pyswarmopt_llm.common.extras:need_extra")
_written = lazy("pyswarmopt_llm.scores.metrics.written:Written")


def written(
    name: str,
    score: ScoreTexts | None = None,
    needs: Needs = "answer",
    new: int = MAX_NEW_TOKENS,
    **more: Any,
) -> Metric:
    """A metric of written replies of at most `new` tokens; the other arguments as for `Metric`."""
    return Metric(name, _written, "generate", needs, new_tokens=new, score=score, **more)


_continued: dict[str, Any] = {"needs": "nothing", "new": CONTINUED_TOKENS, "plain": True}
_rewarded: dict[str, Any] = {"needs": "nothing", "new": REWARD_TOKENS}
_judged: dict[str, Any] = {"needs": "nothing", "new": JUDGED_TOKENS, "scale": (1.0, 10.0)}
_reward = lazy(f"{_PUBLISHED}.classifiers:reward_metric")
_judge = lazy(f"{_PUBLISHED}.judge:judge_metric")

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", Accuracy, needs="answer"),
        Metric(
            "abstain", lazy(f"{_PUBLISHED}.abstention:Abstention"), needs="choices", signed=True
        ),
        Metric("mc2", lazy(f"{_TEXT}:truthfulness"), "likelihood", "choices"),
        Metric("perplexity", lazy(f"{_TEXT}:inverse_perplexity"), "likelihood", "answer"),
        written("exact-match", lazy(f"{_TEXT}:exact_match")),
        written("numeric", lazy(f"{_TEXT}:numeric"), new=256),
        written("graph", lazy(f"{_PUBLISHED}.nlgraph:graph_answers")),
        written("f1", lazy(f"{_TEXT}:token_f1")),
        written("bleu", lazy(f"{_TEXT}:bleu"), module="sacrebleu"),
        written("rouge-l", lazy(f"{_TEXT}:rouge_l"), module="rouge_score"),
        written("chrf", lazy(f"{_TEXT}:chrf"), module="sacrebleu"),
        written(
            "toxicity",
            lazy(f"{_PUBLISHED}.classifiers:harmlessness"),
            module="profanity_check",
            **_continued,
        ),
    )
}
# Metrics with an argument behind a colon, by how they are written; what they score with is loaded
# when one is used.
FUNCTION = "FILE.py:FUNCTION"
FAMILIES: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        written("evaluate:NAME", signed=True, load=lazy(f"{_EXTERNAL}.evaluate:evaluate_metric")),
        written(
            "toxicity:MODEL",
            load=lazy(f"{_PUBLISHED}.classifiers:toxicity_metric"),
            **_continued,
        ),
        written("reward:MODEL", signed=True, load=_reward, **_rewarded),
        written("verbose:MODEL", load=_reward, **_rewarded),
        written("concise:MODEL", load=_reward, **_rewarded),
        written("judge", load=_judge, **_judged),
        written("judge:RUBRIC.txt", load=_judge, **_judged),
        written(
            "local-judge:MODEL",
            load=lazy(f"{_PUBLISHED}.judge:local_judge_metric"),
            **_judged,
        ),
        written(
            FUNCTION,
            needs="nothing",
            signed=True,
            load=lazy(f"{_EXTERNAL}.score_function:function_metric"),
        ),
    )
}


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
    metric = _known(spec)
    if metric is None:
        raise unknown("metric", spec, [*METRICS, *FAMILIES])
    if metric.module is not None:
        need_extra(metric.module, f"`metric` {spec}")
    return (
        metric
        if metric.load is None
        else replace(metric, name=spec, **metric.load(spec, cache, device))
    )


def _known(spec: str) -> Metric | None:
    """The metric of this name, or of its family, not loaded; None: there is none."""
    kind, _, argument = spec.partition(":")
    for name, metric in {**METRICS, **FAMILIES}.items():
        family, _, needed = name.partition(":")
        if name == spec or (needed and argument and family == kind):
            return metric
    return FAMILIES[FUNCTION] if is_function(spec) else None


def metric_of(task: Task) -> str:
    """The task's own metric, else accuracy. A file may give a plain name only.

    Raises:
        UserError: the metric is a module, a path or a model.

    Example:
        >>> metric_of(Task("quiz", (), (), metric="numeric"))
        'numeric'
    """
    if task.metric is None:
        return "accuracy"
    if ":" in task.metric:
        raise UserError(
            f"{task.source}: its metric {task.metric!r} is more than a plain name, which is all "
            f"that a file may give; if you trust it, add `metric` {shlex.quote(task.metric)}"
        )
    return task.metric


def reply_limit(spec: str) -> int | None:
    """Most tokens of a reply to a chat that a metric scores; None: it scores no such replies.

    Example:
        >>> reply_limit("numeric"), reply_limit("reward:a/model"), reply_limit("toxicity")
        (256, 200, None)
    """
    metric = _known(spec)
    return None if metric is None or metric.plain else metric.new_tokens


def longest_reply(specs: Sequence[str]) -> int | None:
    """Most tokens of a reply to a chat that several metrics score, so that it is written once for
    all; None: there are not several.

    Example:
        >>> longest_reply(["mine.py:short", "judge"]), longest_reply(["judge"])
        (512, None)
    """
    limits = [limit for limit in map(reply_limit, specs) if limit is not None]
    return max(limits) if len(limits) > 1 else None


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
    """The metric of one task, as in `metric_specs`; None: the task's own.

    Example:
        >>> [metric_given(["f1", "math=numeric"], task) for task in ("math", "quiz")], metric_given([], "quiz")
        (['numeric', 'f1'], None)
    """
    general = next(iter(for_all_tasks(specs)), None)
    return dict(spec.split("=", 1) for spec in specs if "=" in spec).get(task, general)


SPARE = 4  # spare items for each dev item, at most
metric_labels = lazy("pyswarmopt_llm.scores.metrics.other_combines:metric_labels")
of_the_same_items = lazy("pyswarmopt_llm.scores.metrics.other_combines:of_the_same_items")
harness_task = lazy("pyswarmopt_llm.published.lm_eval:LmEvalTask")
_user_function = lazy("pyswarmopt_llm.scores.metrics.external.score_function:CallableUtility")


class External(Protocol):
    """An objective that scores an engine without items; its fingerprint is of all that it asks."""

    name: str
    fingerprint: str

    @property
    def has_test(self) -> bool:
        """Whether there is a held-out split."""

    def __call__(self, engine: Engine, split: str = "dev") -> Score:
        """The score of the loaded candidate on ``dev`` or ``test``."""


@dataclass(frozen=True)
class Objectives:
    """The objectives of one search.

    Attributes:
        tasks: name -> task.
        metrics: task name -> metric.
        externals: name -> objective without items.
        combine: combination of the scores.
        combined_by: its name; see `find_combine`.
        tested: whether externals are scored on test.
    """

    tasks: Mapping[str, Task]
    metrics: Mapping[str, Metric]
    externals: Mapping[str, External]
    combine: Combine
    combined_by: str = "harmonic"
    tested: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """Tasks, then externals."""
        return (*self.tasks, *self.externals)

    @property
    def items(self) -> dict[str, int]:
        """Name -> number of dev items; 0 for externals."""
        return {name: len(self.tasks[name].dev) if name in self.tasks else 0 for name in self.names}

    @property
    def writes(self) -> bool:
        """Whether replies are written, or a function scores the engine: that is expensive."""
        return bool(self.externals) or any(
            metric.scoring == "generate" for metric in self.metrics.values()
        )

    @property
    def written(self) -> bool:
        """Whether every score is of written replies, so that any reply can be scored."""
        return not self.externals and all(
            metric.new_tokens is not None for metric in self.metrics.values()
        )

    @property
    def alike(self) -> bool:
        """Whether there are several tasks, all with the same items."""
        items = [(task.dev, task.test) for task in self.tasks.values()]
        return not self.externals and len(items) > 1 and all(each == items[0] for each in items)

    @property
    def spare(self) -> bool:
        """Whether replies to spare items are trained on."""
        return self.written and all(task.spare for task in self.tasks.values())

    @property
    def user_scored(self) -> bool:
        """Whether a function of the user's scores."""
        return bool(self.externals) or any(metric.fingerprint for metric in self.metrics.values())

    def utilities(
        self, split: str, scorings: Mapping[str, Scoring], chat: Callable[[str], str]
    ) -> dict[str, Utility]:
        """Name -> utility on ``dev``, ``test`` or ``spare``, where there is this split."""
        utilities: dict[str, Utility] = {}
        for name, task in self.tasks.items():
            if items := task.split(split):
                utilities[name] = self.metrics[name].build(items, scorings[name], chat, task.prompt)
        for name, external in self.externals.items():
            if split == "dev" or (split == "test" and external.has_test and self.tested):
                utilities[name] = partial(external, split=split)
        return utilities

    def scorings(self, name: str, scoring: str, likelihoods: bool = True) -> tuple[Scoring, ...]:
        """See `scorings_of`; without `likelihood` where an engine gives none (see `Engine`)."""
        possible = scorings_of(self.metrics[name], scoring, self.tasks[name])
        return tuple(how for how in possible if likelihoods or how != "likelihood")


def load_objectives(config: SearchConfig) -> Objectives:
    """Load and check the objectives of a configuration; the models of the search are not loaded.

    Raises:
        UserError: an objective is wrong.
    """
    tasks, externals = load_split(config), _load_externals(config)
    if not tasks and not externals:
        raise UserError("no task; give one with `task`, or `prompts` and `metric`")
    sampling = None
    if config.temperature or config.samples > 1:
        from pyswarmopt_llm.scores.metrics.written import Sampling

        sampling = Sampling.of(config.temperature, config.samples, config.seed)
    cache = user_path(config.out) / "judge.jsonl"
    limits = (config.max_new_tokens, sampling)
    metrics = find_metrics(tasks, config.metrics, cache, config.device, *limits)
    by = _combined_by(config.combine, metrics, len(metrics) + len(externals) > 1)
    combine = find_combine(by, len(metrics) + len(externals))
    objectives = Objectives(tasks, metrics, externals, combine, by, config.test != 0)
    if objectives.alike:
        return replace(objectives, combine=of_the_same_items(combine))
    return objectives


def _combined_by(asked: str, metrics: Mapping[str, Metric], several: bool) -> str:
    """The combination by name; of several scores that may be negative not the harmonic mean."""
    signed = next((metric.name for metric in metrics.values() if several and metric.signed), None)
    if asked == "harmonic" and signed is not None:
        raise UserError(
            f"`metric` {signed}: may be negative, and a harmonic mean is undefined then; add "
            "`combine arithmetic`"
        )
    return asked if asked != "auto" else "arithmetic" if signed else "harmonic"


def load_tasks(config: Any, specs: Sequence[str], **other: Any) -> dict[str, Task]:
    """Name -> task; `config` and `other` as for `load_task_of`.

    Several metrics of one task are objectives of their own: the task is there once for each, under
    the metric's label.

    Raises:
        UserError: a task is wrong, or two have the same name.
    """
    tasks: dict[str, Task] = {}
    for spec in specs:
        task = load_task_of(config, spec, template=None, **other)
        if task.name in tasks:
            raise InvalidOption(
                "task", spec, f"another task is also called {task.name}; rename the file"
            )
        tasks[task.name] = task
    tasks = dict(with_templates(tasks, config.template))
    general = for_all_tasks(config.metrics)
    if len(general) < 2 or len(tasks) != 1:
        return tasks
    (task,) = tasks.values()
    return {label: replace(task, name=label) for label in metric_labels(general)}


def task_print(task: Task) -> str:
    """A task's fingerprint: of its items and its prompt, which changes every score."""
    parts = [task.fingerprint, task.prompt]
    if task.spare:
        parts.append(Task(task.name, task.spare, ()).fingerprint)
    return digest(parts)


def scorings_of(metric: Metric, scoring: str, task: Task) -> tuple[Scoring, ...]:
    """The possible scorings of a task: one, or two if ``auto`` has to try letters first."""
    return possible_scorings(scoring, task.dev) if metric.scoring is None else (metric.scoring,)


def load_split(config: SearchConfig) -> dict[str, Task]:
    """The tasks as the search sees them.

    They have those spare items alone that are trained on: `config.spare`; by default at most
    `SPARE` times as many as dev items, and none if there are fewer than these.

    Raises:
        UserError: a task is wrong, or has too few items.
    """
    specs = tuple(spec for spec in config.tasks if not spec.startswith(LM_EVAL))
    tasks = load_tasks(config, specs, dev=config.dev, test=config.test or None)
    for name, task in tasks.items():
        tasks[name] = replace(
            task,
            test=() if config.test == 0 else task.test,
            spare=_spare(task, config.spare),
            fingerprint="",
        )
    return tasks


def _spare(task: Task, count: int | None) -> tuple[Item, ...]:
    """The spare items that are trained on."""
    available = len(task.spare)
    if count is not None and count > available:
        raise InvalidOption(
            "spare",
            count,
            f"{task.name} has {available} dev examples without options beyond its {len(task.dev)} of "
            "dev; give fewer, or a lower `dev`",
        )
    if count is None:
        count = SPARE * len(task.dev) if available >= len(task.dev) else 0
    return task.spare[:count]


def _load_externals(config: SearchConfig) -> dict[str, External]:
    harness = [spec for spec in config.tasks if spec.startswith(LM_EVAL)]
    externals: dict[str, External] = {}
    for spec in [*harness, *config.utilities]:
        external: External
        if spec in harness:
            external = harness_task(spec.removeprefix(LM_EVAL), config.dev, config.test or None)
        else:
            external = _user_function(spec)
        if external.name in externals:
            raise UserError(f"{spec}: another objective is also called {external.name}; rename one")
        externals[external.name] = external
    return externals


def find_metrics(
    tasks: Mapping[str, Task],
    specs: Sequence[str] = (),
    cache: Path | None = None,
    device: str = "auto",
    new_tokens: int | None = None,
    sampling: Sampling | None = None,
) -> dict[str, Metric]:
    """Task name -> its metric: ``--metric``, else what the task's file says, else accuracy.

    Args:
        tasks: name -> task.
        specs: values of ``--metric``.
        cache: file for a judge's answers; default: in memory.
        device: device of a reward model.
        new_tokens: longest reply; None: each metric's own limit, or, where there are several of the
            same prompts, so that a reply is written once for all, the longest of theirs.
        sampling: of replies; None: greedy ones.

    Raises:
        UserError: an unknown metric, or one that cannot score these items.
    """
    chosen = metric_specs(specs, list(tasks))
    names = {name: chosen.get(name) or metric_of(task) for name, task in tasks.items()}
    together = longest_reply(for_all_tasks(specs))
    metrics = {}
    for spec in dict.fromkeys(names.values()):  # two tasks share a reward model
        tokens = new_tokens or (None if reply_limit(spec) is None else together)
        metrics[spec] = find_metric(spec, cache, str(pick_device(device))).up_to(tokens, sampling)
    for name, task in tasks.items():
        for split in ("dev", "test"):
            metrics[names[name]].check(task.split(split), f"{task.source}: {split}")
    return {name: metrics[spec] for name, spec in names.items()}


def check_window(
    task: Task,
    scoring: str,
    engine: Engine,
    splits: Sequence[str] = ("dev", "test"),
    metric: Metric = METRICS["accuracy"],
    model: str = "the base",
    room: int = 0,
) -> None:
    """Refuse items that do not fit this model (or its members); `room`: tokens of the messages that
    it also writes.

    Raises:
        UserError: names the task's source, the item and the model whose context window is too
            short.
    """
    for name, member in engine.members.items():
        check_window(task, scoring, member, splits, metric, name, engine.message_tokens)
    if engine.members:
        return
    window = engine.window
    for split in splits:
        metric.check(task.split(split), f"{task.source}: {split}")
    for how in scorings_of(metric, scoring, task):
        for split in splits:
            try:
                questions = metric.build(task.split(split), how, engine.chat, task.prompt)
            except UserError as error:
                raise UserError(f"{task.source}: {split} {error.text}") from error
            for item, text, written in questions.texts():
                new = max(written and written + engine.thinking, room)
                # A token takes at least a byte of text (two for tokenizers that rewrite it), so
                # only the few long items have to be tokenised.
                if window is None or 2 * len(text.encode()) + new <= window:
                    continue
                needed = engine.count_tokens(text) + new
                if needed > window:
                    raise UserError(
                        f"{task.source}: {split} example {item.id}: {how} scoring needs {needed} "
                        f"tokens, {model}'s "
                        f"context window holds {window}; shorten the example or remove it"
                    )
