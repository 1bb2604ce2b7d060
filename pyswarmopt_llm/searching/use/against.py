"""Two models on the same examples: the first's gains and losses against the second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.interfaces import Engine, Score
from pyswarmopt_llm.common.statistics import Comparison, compare_paired, same, score_of
from pyswarmopt_llm.engine.chat import use_day
from pyswarmopt_llm.experts.compatibility import unique_names
from pyswarmopt_llm.scores.metrics.accuracy import choose_scoring, trial_of
from pyswarmopt_llm.scores.metrics.objectives import scorings_of
from pyswarmopt_llm.scores.metrics.written import Written
from pyswarmopt_llm.scores.tasks import Item, Scoring
from pyswarmopt_llm.scores.tasks.items import repeated
from pyswarmopt_llm.scores.tasks.stated import without_thoughts
from pyswarmopt_llm.searching.use.config import BARE, EvalConfig, OnItems
from pyswarmopt_llm.searching.use.evaluate import open_configured
from pyswarmopt_llm.searching.use.exam import EvalResult, Exam, followed
from pyswarmopt_llm.searching.use.from_run import run_scoring
from pyswarmopt_llm.searching.use.opening import Model, change_of, check_unchanged, day_of, model_of


@dataclass(frozen=True)
class Changed:
    """An item on which two models differ.

    Attributes:
        item: the question.
        values: scores of both models.
        answers: answers of both models, in words; empty for metrics without answers.
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
    """The result of `evaluate_against`: a model compared with another.

    Attributes:
        names: names of the models.
        models: base and adapter of each.
        results: their scores.
        paired: the first minus the second, item by item.
        gained, lost: items on which the first model is better or worse, largest differences first.
    """

    names: tuple[str, str]
    models: tuple[Model, Model]
    results: tuple[EvalResult, EvalResult]
    paired: Comparison
    gained: tuple[Changed, ...]
    lost: tuple[Changed, ...]


def evaluate_against(config: EvalConfig, on_items: OnItems | None = None) -> Against:
    """Score two models on the same items in the same answer format.

    A judge sees both answers, in both orders; a model's score is then its share of wins. `on_items`
    receives the number of items scored so far by the first model, then by the second, and the
    total.

    Raises:
        UserError: bad input, in one line.
    """
    models = two_models(config)
    exam = Exam.of(config)
    turns = Turns(config, models)
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
    if exam.metric.compare is not None:  # shares of wins; a tie is half a win
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
    """The scored model, and the model it is compared with.

    Raises:
        UserError: a model cannot be found, both are the same, or replies would be sampled.
    """
    if config.temperature:
        why = "is for the score of one model, not with `against`; remove it"
        raise InvalidOption("temperature", config.temperature, why)
    model = model_of(config.base, config.adapter)
    other = model_of(config.base, config.against)
    if model == other:
        raise InvalidOption(
            "against", config.against, "is the model that is scored itself; name another"
        )
    return model, other


class Turns:
    """Models that take turns on one engine; it is reopened if their bases differ."""

    def __init__(self, config: EvalConfig, models: Sequence[Model]) -> None:
        self._config = config
        # Checked before a base is loaded, so that an adapter that does not fit fails at once.
        for model in models:
            check_unchanged(model)
        self._patches = {model: change_of(model) for model in models}
        self._loaded: tuple[Engine, Model] | None = None
        self._day = day_of(config.run, *models)

    def engine(self, model: Model) -> Engine:
        """The engine with this model loaded."""
        opened: Model = (model[0], None)
        if self._loaded is None or self._loaded[1] != opened:
            self._loaded = None  # two bases may not fit into memory together
            self._loaded = open_configured(self._config, opened), opened
        engine, _ = self._loaded
        if self._day is not None:
            use_day(engine, self._day)
        engine.load(self._patches[model])
        return engine


def _scoring(config: EvalConfig, models: Sequence[Model], exam: Exam, turns: Turns) -> Scoring:
    """One answer format for both models: that of a run's result among them, else chosen by a trial
    of both.
    """
    task = exam.task
    of_runs = [run_scoring(user_path(adapter or base), task.name) for base, adapter in models]
    scoring = next(filter(None, of_runs), "auto") if config.scoring == "auto" else config.scoring

    def letters() -> list[Score]:
        engines = (turns.engine(model) for model in reversed(models))  # the first is scored next
        return [trial_of(task, engine.chat)(engine) for engine in engines]

    return choose_scoring(scorings_of(exam.metric, scoring, task), task.dev, letters)


def _in_words(items: Sequence[Item], *answers: Sequence[str]) -> list[tuple[str, ...]]:
    """The answers of both models to each item, with an option's text in place of its letter."""
    if not all(answers):
        return [()] * len(items)
    rows = zip(items, *answers, strict=True)
    return [tuple(item.in_words(text).strip() for text in row) for item, *row in rows]


def _changed(
    items: Sequence[Item], first: Score, second: Score, answers: Sequence[tuple[str, ...]]
) -> list[Changed]:
    """The items on which the models differ, largest differences first, then in the file's order."""
    values = zip(first.per_item, second.per_item, strict=True)
    rows = zip(items, values, answers, strict=True)
    changed = [Changed(item, both, said) for item, both, said in rows if not same(*both)]
    return sorted(changed, key=lambda row: -abs(row.values[0] - row.values[1]))


def names_in_words(config: EvalConfig) -> tuple[str, str]:
    """Short names of the models: the last parts of their paths, or "the base"."""
    names = [name or BARE for name in (config.adapter, config.against)]
    short = unique_names([Path(n).parent if Path(n).name == "best" else n for n in names])
    bare = (config.base, None)
    first, second = (
        "the base" if model_of(config.base, name) == bare else last
        for name, last in zip(names, short, strict=True)
    )
    return first, second
