"""Use one model or two: what a user names is found, opened, scored, compared, and asked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from pyswarmopt_llm.common.config import (
    LM_EVAL,
    PROMPTS,
    TRANSFORMERS,
    SearchConfig,
    for_all_tasks,
    is_server,
)
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.hardware import pick_device
from pyswarmopt_llm.common.interfaces import Engine, Score
from pyswarmopt_llm.common.options import check_options
from pyswarmopt_llm.common.statistics import Comparison, compare_paired, interval, same, score_of
from pyswarmopt_llm.engine.chat import use_day
from pyswarmopt_llm.experts.compatibility import unique_names
from pyswarmopt_llm.mix import saved_kind
from pyswarmopt_llm.scores.by_label import LabelErrors, errors_by_label
from pyswarmopt_llm.scores.metrics.accuracy import (
    MAX_NEW_TOKENS,
    choose_scoring,
    trial_of,
)
from pyswarmopt_llm.scores.metrics.by_name import (
    find_metric,
    longest_reply,
    metric_given,
    metric_of,
    up_to,
)
from pyswarmopt_llm.scores.metrics.external.named_again import require
from pyswarmopt_llm.scores.metrics.external.objectives import harness_task
from pyswarmopt_llm.scores.metrics.metric import Metric
from pyswarmopt_llm.scores.metrics.objectives import (
    check_answers,
    check_window,
    load_split,
    scorings_of,
    task_print,
)
from pyswarmopt_llm.scores.metrics.written import Sampling, Written
from pyswarmopt_llm.scores.tasks import Item, Scoring, Task
from pyswarmopt_llm.scores.tasks.items import repeated
from pyswarmopt_llm.scores.tasks.load import load_task_of
from pyswarmopt_llm.scores.tasks.stated import without_thoughts
from pyswarmopt_llm.searching.scoring.result import read_result
from pyswarmopt_llm.searching.scoring.run_directory import About, read_about
from pyswarmopt_llm.searching.use.config import BARE, EvalConfig, Machine
from pyswarmopt_llm.searching.use.opening import (
    Model,
    change_of,
    check_unchanged,
    day_of,
    engine_of,
    model_of,
    open_model,
    result_of,
    run_of,
)

OnItems = Callable[[int, int], None]  # items scored, of how many
# Settings of a run that an evaluation of it takes where it has none.
_OF_MODEL = ("system", "thinking")  # whatever the task
_AS_STORED = (
    *_OF_MODEL,
    "columns",
    "labels",
    "template",
    "split_seed",
    "skip_bad_rows",
    "dev",
    "test",
    "allow_overlap",
    "max_new_tokens",
    "scoring",
    "dtype",
)
_SAMPLING = ("temperature", "samples", "seed")  # of one model alone
# Settings by which we would read or score a task that the harness reads and scores.
_NOT_OF_HARNESS = (
    "scoring",
    "metric",
    "columns",
    "labels",
    "template",
    "split_seed",
    "skip_bad_rows",
    "max_new_tokens",
    "temperature",
    "samples",
)


@dataclass(frozen=True)
class EvalResult:
    """The result of `evaluate_model`.

    Example:
        >>> result = evaluate_model("my/base", None, "questions.json")  # doctest: +SKIP
        >>> result.score.value, result.interval, result.n  # doctest: +SKIP
        (0.5, (0.19, 0.81), 6)
    """

    task: str  # its name
    score: Score  # value, per item, standard error
    interval: tuple[float, float]  # 95% interval of the value
    scoring: str  # the answer format
    metric: str = "accuracy"
    note: str = ""  # how the items were drawn, if the file has no split (`Task.note`)
    by_label: LabelErrors | None = None  # of accuracy, where all items have the same labels

    @property
    def n(self) -> int:
        """Number of items."""
        return self.score.n


def evaluate_model(
    base: str,
    adapter: str | None,
    task: str,
    split: str = "test",
    *,
    on_items: OnItems | None = None,
    **options: Any,
) -> EvalResult:
    """Score `adapter` (or the bare base) on a split, merged as a search merges candidates.

    Args:
        base: the base; may be empty for a run or a whole model.
        adapter: an adapter, a finished run, a whole model, or None.
        task: file, or another spec of `load_task`.
        split: ``dev`` or ``test``.
        on_items: receives the number of items scored so far, and of all.
        **options: further fields of `EvalConfig`: ``scoring``, ``metric``, ``dev``, ``dtype``, ...

    Returns:
        The score with its 95% interval, the values of the items, and how they were scored.

    Raises:
        UserError: whatever is wrong with the input, in one line.

    Example:
        >>> result = evaluate_model("my/base", "runs/first", "questions.json")  # doctest: +SKIP
        >>> result.score.value, result.interval, result.n  # doctest: +SKIP
        (0.62, (0.55, 0.69), 200)
    """
    return evaluate(EvalConfig(base, task, adapter, split=split, **options), on_items)


def evaluate(config: EvalConfig, on_items: OnItems | None = None) -> EvalResult:
    """The score of one model; see `evaluate_model`."""
    base, adapter = model_of(config.base, config.adapter)
    config = replace(config, base=base, adapter=adapter)
    if config.task.startswith(LM_EVAL):
        return _evaluate_harness(config)
    return open_and_score(config, Exam.of(config), on_items)[1]


@dataclass(frozen=True)
class Exam:
    """The items that models are scored on, and how.

    Attributes:
        task: has the items.
        split: split of the task.
        metric: checked against the items.
    """

    task: Task
    split: str
    metric: Metric

    @classmethod
    def of(cls, config: EvalConfig) -> Self:
        """The one that a configuration describes.

        Raises:
            UserError: whatever is wrong with the task or the metric.
        """
        task = load_items(config)
        metric = find_metric(
            config.metric or metric_of(task), device=str(pick_device(config.device))
        )
        metric = up_to(
            metric,
            config.max_new_tokens,
            Sampling.of(config.temperature, config.samples, config.seed),
        )
        _check_answers(config, task, metric)
        metric.check(task.split(config.split), f"{task.source}: {config.split}")
        return cls(_noted(task, _of_another_score(config, task, metric)), config.split, metric)

    @property
    def items(self) -> Sequence[Item]:
        """Items of the split."""
        return self.task.split(self.split)

    def check(self, engine: Engine, scoring: str) -> None:
        """Refuse items that do not fit the engine's context window."""
        check_window(self.task, scoring, engine, (self.split,), self.metric)

    def format(self, engine: Engine, scoring: str = "auto") -> Scoring:
        """The answer format of the loaded model; ``auto`` is letters if it knows them
        (`knows_letters`).

        Raises:
            UserError: an item does not fit the engine's context window.
        """
        self.check(engine, scoring)
        possible = scorings_of(self.metric, scoring, self.task)
        return choose_scoring(
            possible, self.task.dev, lambda: [trial_of(self.task, engine.chat)(engine)]
        )

    def score(
        self, engine: Engine, scoring: str = "auto", on_items: OnItems | None = None
    ) -> EvalResult:
        """Score the loaded model in its `format`."""
        how = self.format(engine, scoring)
        with followed(engine, len(self.items), on_items):
            return self.result(self.metric(engine, self.items, how, self.task.prompt), how)

    def result(self, score: Score, scoring: str, wins: bool = False) -> EvalResult:
        """A score with its interval; `wins`: it is the share of wins by the metric."""
        scale = (0.0, 1.0) if wins else self.metric.scale
        name = f"wins by {self.metric.name}" if wins else self.metric.name
        ends = interval(score.per_item, scale=scale, questions=repeated(self.items))
        errors = errors_by_label(self.items, score.answers) if name == "accuracy" else None
        return EvalResult(self.task.name, score, ends, scoring, name, self.task.note, errors)


def open_and_score(
    config: EvalConfig, exam: Exam, on_items: OnItems | None
) -> tuple[Engine, EvalResult]:
    """The engine of the configured model, and its score in the answer format of its run."""
    engine = open_configured(config, (config.base, config.adapter))
    scoring = config.scoring
    if scoring == "auto" and config.metric is None:
        scoring = run_scoring(user_path(config.adapter or config.base), exam.task.name) or scoring
    return engine, exam.score(engine, scoring, on_items)


def open_configured(config: EvalConfig, model: Model) -> Engine:
    """A model, opened as an evaluation says."""
    return open_model(
        model,
        config.machine,
        run=config.run,
        system=config.system,
        thinking=config.thinking,
    )


def load_items(config: EvalConfig) -> Task:
    """The task, read as the configuration says.

    Raises:
        UserError: it cannot be read, or has no items of its own.
    """
    if config.task.startswith(LM_EVAL):
        raise InvalidOption(
            "task", config.task, "only the harness knows its examples; use a task file"
        )
    check_options(config)
    task = load_task_of(config, config.task)
    why = ""
    if config.run is not None and _is_changed(read_about(user_path(config.run)), config.task):
        why = f"{task.source} changed since the search: the examples may be among those that it saw"
    return _noted(task, why, _of_training(config, task))


def _check_answers(config: EvalConfig, task: Task, metric: Metric) -> None:
    """Refuse a scoring or thoughts that change nothing; those of a run may be for its other tasks."""
    scoring = config.scoring
    thinking = config.thinking
    if config.run is not None:
        stored = read_about(user_path(config.run)).config
        scoring = "auto" if scoring == stored.scoring else scoring
        thinking = 0 if thinking == stored.thinking else thinking
    check_answers(scoring, thinking, {task.name: task}, {task.name: metric})


def _noted(task: Task, *notes: str) -> Task:
    """The task with these in its note, but for empty ones."""
    return replace(task, note="; ".join(filter(None, (task.note, *notes))))


def _of_training(config: EvalConfig, task: Task) -> str:
    """That a score is of what a result was trained on, with the search's own; "" if it is not."""
    if config.split != "dev":
        return ""
    for folder in map(user_path, filter(None, (config.adapter, config.against, config.base))):
        run = folder if (folder / "run.json").is_file() else run_of(folder)
        result = None if run is None else read_result(run)
        if result is not None and result.best.trained and task.name in result.best.dev.tasks:
            known = result.best.dev.tasks[task.name].value
            return f"{folder} was trained on these dev examples; cross-fitted it has {known:.3f}"
    return ""


def _of_another_score(config: EvalConfig, task: Task, metric: Metric) -> str:
    """That the metric is not, or not any more, that of the search; "" if it is."""
    prints = {} if config.run is None else read_about(user_path(config.run)).fingerprints
    before = prints.get("metrics", {}).get(task.name, metric.identity)
    if before == metric.identity:
        return ""
    name = before.partition(" ")[0]
    if name != metric.name.partition(" ")[0]:
        return f"the search scored {task.name} by {name}"
    return f"{name} is not what it was in the search: another judge, model or rubric"


def _is_changed(about: About, spec: str) -> bool:
    """Whether a task is one of the search's, and no longer as the search read it."""
    stored = about.config
    if spec not in stored.tasks:
        return False
    alone = replace(stored, tasks=(spec,), template=_templates(stored, spec))
    before = about.fingerprints.get("tasks", {})
    return any(before.get(name) != task_print(task) for name, task in load_split(alone).items())


def _evaluate_harness(config: EvalConfig) -> EvalResult:
    check_options(config)
    for name in _NOT_OF_HARNESS:
        if getattr(config, name) != getattr(EvalConfig, name):
            why = "the harness reads and scores its tasks itself; remove it"
            raise InvalidOption(name, getattr(config, name), why)
    if saved_kind(config.base) is not None:
        several = f"the harness scores one model, {config.base} holds several"
        raise InvalidOption("task", config.task, f"{several}; use a task file")
    engine = open_configured(config, (config.base, config.adapter))
    harness = harness_task(config.task, config.dev, config.test)
    scored = harness(engine, config.split)
    return EvalResult(harness.name, scored, interval(scored.per_item), "own", "lm-eval")


@contextmanager
def followed(engine: Engine, items: int, on_items: OnItems | None) -> Iterator[None]:
    """Tell of the items that are scored, as the engine reads its batches."""
    latest = 0

    def tell(done: int, texts: int) -> None:
        nonlocal latest
        if on_items is not None and items * done // texts > latest:
            latest = items * done // texts
            on_items(latest, items)

    engine.progress = tell
    try:
        yield
    finally:
        engine.progress = None


def with_run(config: EvalConfig) -> EvalConfig:
    """The configuration with what it takes from its run: model, task, and how the task is read.

    Raises:
        UserError: not a finished run, it has several tasks, or its configuration names code to run.
    """
    if config.run is None:
        if not config.task:
            why = "missing; name a file or builtin:NAME, or a finished run with `run`"
            raise InvalidOption("task", None, why)
        return config
    run = user_path(config.run)
    about, (base, _) = read_about(run), result_of(run)
    stored = about.config
    filled = replace(
        config,
        base=config.base or stored.base or base,
        adapter=config.adapter or str(run),
        task=specs_of(about).get(config.task, config.task) or _only_task(stored, run),
    )
    if filled.task not in stored.tasks:
        return replace(filled, **_left(_OF_MODEL, stored, filled))
    metric = config.metric or _only_metric(stored, filled.task, run)
    # Code that the run names, and not the user, is refused: the run may be a stranger's.
    code = replace(
        stored,
        utilities=(),
        workers="1",
        engine=TRANSFORMERS,
        tasks=() if config.task == filled.task else (filled.task,),
        metrics=() if config.metric or metric is None else (metric,),
    )
    require(code, (), run, "")
    return replace(filled, metric=metric, **_reading(stored, filled))


def specs_of(about: About) -> dict[str, str]:
    """The tasks of a run, as they were given, by name."""
    return dict(zip(about.task_names, about.config.tasks, strict=False))


def _only_task(stored: SearchConfig, run: Path) -> str:
    if len(stored.tasks) != 1:
        which = ", ".join(stored.tasks) or "none"
        raise UserError(f"{run}: has {len(stored.tasks)} tasks ({which}); choose one with `task`")
    return stored.tasks[0]


def _only_metric(stored: SearchConfig, task: str, run: Path) -> str | None:
    if task.startswith(LM_EVAL):
        return None
    several = for_all_tasks(stored.metrics)
    if len(several) > 1:
        which = ", ".join(several)
        raise UserError(f"{run}: has {len(several)} metrics ({which}); choose one with `metric`")
    return metric_given(stored.metrics, _name(task))


def _reading(stored: SearchConfig, config: EvalConfig) -> dict[str, Any]:
    """The settings by which the search read and scored the task, where none are given."""
    several = for_all_tasks(stored.metrics)
    if config.metric in several and stored.max_new_tokens is None:
        stored = replace(stored, max_new_tokens=longest_reply(several))
    templates = _templates(stored, config.task)
    stored = replace(stored, template=templates, test=stored.test or None)  # or it left test out
    names = set(_AS_STORED if config.against is not None else (*_AS_STORED, *_SAMPLING))
    if config.task.startswith(LM_EVAL):
        names -= {*_NOT_OF_HARNESS}
    return _left(names, stored, config)


def _left(names: Collection[str], stored: SearchConfig, config: EvalConfig) -> dict[str, Any]:
    """Settings of the run where the evaluation has none."""
    left = [name for name in names if getattr(config, name) == getattr(EvalConfig, name)]
    return {name: getattr(stored, name) for name in left}


def _name(task: str) -> str:
    """The name of a file's task."""
    return Path(task.removeprefix(PROMPTS)).stem


def _templates(stored: SearchConfig, task: str) -> tuple[str, ...]:
    """The run's templates, without those for its other tasks."""
    others = tuple(f"{_name(other)}=" for other in stored.tasks if other != task)
    return tuple(text for text in stored.template if not text.startswith(others))


def run_scoring(best: Path, task: str) -> str | None:
    """The scoring that the search which wrote ``RUN/best`` used for a task; None if unknown.

    A search tries letters on several experts. The adapter alone may decide otherwise by chance, and
    its score would not be that of ``result.json``.
    """
    run = run_of(best)
    if run is None:
        return None
    try:
        about, result = read_about(run), read_result(run)
    except UserError:  # not a run, or damaged: the trial decides
        return None
    if result is None or task not in about.task_names or task not in result.objectives:
        return None
    return result.objectives[task].answer_format


@dataclass(frozen=True)
class Changed:
    """An item on which two models differ.

    Attributes:
        item: the question.
        values: values of both.
        answers: what both answered, in words; empty for metrics without answers.
    """

    item: Item
    values: tuple[float, float]
    answers: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        record = {
            "id": self.item.id,
            "question": self.item.question,
            "right": self.item.answer_text or None,
        }
        return {**record, "values": list(self.values), "answers": list(self.answers) or None}


@dataclass(frozen=True)
class Against:
    """The result of `evaluate_against`, of a model and the one that it is compared with.

    Attributes:
        names: names of the models, in words.
        models: base and adapter of each.
        results: their scores.
        paired: the first minus the second, item by item.
        gained, lost: items on which the first is better or worse, the largest differences first.
    """

    names: tuple[str, str]
    models: tuple[Model, Model]
    results: tuple[EvalResult, EvalResult]
    paired: Comparison
    gained: tuple[Changed, ...]
    lost: tuple[Changed, ...]


def evaluate_against(config: EvalConfig, on_items: OnItems | None = None) -> Against:
    """Score two models on the same items in the same answer format.

    A judge is shown both answers, in both orders: the score of each is then its share of wins.
    `on_items` receives the number of items scored so far by the first model, then by the second,
    and of all.

    Raises:
        UserError: whatever is wrong with the input, in one line.
    """
    models = two_models(config)
    exam, turns = Exam.of(config), Turns(config, models)
    scoring = _scoring(config, models, exam, turns)
    scores: list[Score] = []
    answers: list[Sequence[str]] = []
    for model in models:
        engine = turns.engine(model)
        exam.check(engine, scoring)
        utility = exam.metric.on(exam.items, scoring, engine.chat, exam.task.prompt)
        with followed(engine, len(exam.items), on_items):
            if exam.metric.compare is not None and isinstance(utility, Written):
                answers.append([*map(without_thoughts, utility.answers(engine))])
            else:
                scores.append(utility(engine))
                answers.append(scores[-1].answers)
    wins = exam.metric.compare is not None
    if exam.metric.compare is not None:  # the shares of wins; a tie is half a win
        rate = exam.metric.compare(exam.items, *answers)
        scores = [rate, score_of([1.0 - value for value in rate.per_item])]
    ours, theirs = scores
    first, second = (exam.result(score, scoring, wins) for score in scores)
    changed = _changed(exam.items, ours, theirs, _in_words(exam.items, *answers))
    scale = (0.0, 1.0) if wins else exam.metric.scale
    return Against(
        names=names_in_words(config),
        models=models,
        results=(first, second),
        paired=compare_paired(ours.per_item, theirs.per_item, scale, repeated(exam.items)),
        gained=tuple(row for row in changed if row.values[0] > row.values[1]),
        lost=tuple(row for row in changed if row.values[0] < row.values[1]),
    )


def two_models(config: EvalConfig) -> tuple[Model, Model]:
    """The model that is scored, and the one that it is compared with.

    Raises:
        UserError: one cannot be found, both are the same, or replies are to be sampled.
    """
    if config.temperature:
        why = "is for the score of one model, not with `against`; remove it"
        raise InvalidOption("temperature", config.temperature, why)
    model, other = model_of(config.base, config.adapter), model_of(config.base, config.against)
    if model == other:
        raise InvalidOption(
            "against", config.against, "is the model that is scored itself; name another"
        )
    return model, other


class Turns:
    """Models that take turns on one engine, which is opened anew where their bases differ."""

    def __init__(self, config: EvalConfig, models: Sequence[Model]) -> None:
        engine_name = engine_of(config.engine, config.run)
        self._config = config
        self._served = is_server(engine_name)
        if self._served and models[0][0] != models[1][0]:
            raise InvalidOption("engine", engine_name, "runs one base; compare two bases here")
        # Before a base is loaded: an adapter that does not fit is found at once.
        for model in models:
            check_unchanged(model)
        self._patches = {model: change_of(model) for model in ([] if self._served else models)}
        self._loaded: tuple[Engine, Model] | None = None
        self._day = day_of(config.run, *models)

    def engine(self, model: Model) -> Engine:
        """The engine with this model loaded."""
        opened: Model = model if self._served else (model[0], None)
        if self._loaded is None or self._loaded[1] != opened:
            self._loaded = None  # two bases need not fit into memory together
            self._loaded = open_configured(self._config, opened), opened
        engine, _ = self._loaded
        if self._day is not None:
            use_day(engine, self._day)
        if not self._served:
            engine.load(self._patches[model])
        return engine


def _scoring(config: EvalConfig, models: Sequence[Model], exam: Exam, turns: Turns) -> Scoring:
    """One answer format for both: that of a run whose result one is, else by a trial of both."""
    task = exam.task
    of_runs = [run_scoring(user_path(adapter or base), task.name) for base, adapter in models]
    scoring = next(filter(None, of_runs), "auto") if config.scoring == "auto" else config.scoring

    def letters() -> list[Score]:
        engines = (turns.engine(model) for model in reversed(models))  # the first one goes on
        return [trial_of(task, engine.chat)(engine) for engine in engines]

    return choose_scoring(scorings_of(exam.metric, scoring, task), task.dev, letters)


def _in_words(items: Sequence[Item], *answers: Sequence[str]) -> list[tuple[str, ...]]:
    """The answers of each model to each item: the text of an option in place of its letter."""
    if not all(answers):
        return [()] * len(items)
    rows = zip(items, *answers, strict=True)
    return [
        tuple((item.choices or {}).get(text, text).strip() for text in row) for item, *row in rows
    ]


def _changed(
    items: Sequence[Item], first: Score, second: Score, answers: Sequence[tuple[str, ...]]
) -> list[Changed]:
    """The items on which both differ, the largest differences first, else in the file's order."""
    values = zip(first.per_item, second.per_item, strict=True)
    rows = zip(items, values, answers, strict=True)
    changed = [Changed(item, both, said) for item, both, said in rows if not same(*both)]
    return sorted(changed, key=lambda row: -abs(row.values[0] - row.values[1]))


def names_in_words(config: EvalConfig) -> tuple[str, str]:
    """The names of the models in sentences: the last parts of their paths, or the base."""
    names = [name or BARE for name in (config.adapter, config.against)]
    short = unique_names([Path(n).parent if Path(n).name == "best" else n for n in names])
    bare = (config.base, None)
    first, second = (
        "the base" if model_of(config.base, name) == bare else last
        for name, last in zip(names, short, strict=True)
    )
    return first, second


def generate_text(
    base: str,
    adapter: str | None,
    prompt: str,
    max_new_tokens: int = MAX_NEW_TOKENS,
    *,
    fusion: str = "auto",
    seed: int = 0,
    dtype: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    engine: str = "auto",
    run: str | Path | None = None,
    server_folder: str | None = None,
) -> Iterator[str]:
    """The answer to a user turn, greedy unless a mixture samples it: in pieces as a mixture writes
    it, else whole.

    Args:
        base: a model, or a directory with a mixture such as RUN/best of a token search.
        adapter: on that base.
        prompt: what the user says.
        max_new_tokens: most tokens of the answer.
        fusion: how a mixture writes, see `MixtureEngine`.
        seed: seed of what a mixture samples.
        dtype: dtype of the weights.
        device: where they go.
        threads: CPU threads.
        engine: see `engine_of`.
        run: that the model comes from, if any.
        server_folder: a folder that the server sees, too.

    Returns:
        The pieces of the answer, in order.

    Raises:
        UserError: the base or the adapter cannot be used.

    Example:
        >>> "".join(generate_text("my/base", "runs/first/best", "Hello!"))  # doctest: +SKIP
        'Hello! How can I help you?'
    """
    machine = Machine(dtype, device, threads, engine, server_folder)
    stored = None if run is None else read_about(user_path(run)).config
    model = open_model(
        (base, adapter),
        machine,
        run=run,
        system="" if stored is None else stored.system,
        thinking=0 if stored is None else stored.thinking,
        fusion=fusion,
        seed=seed,
    )
    return model.stream(model.chat(prompt), max_new_tokens)
