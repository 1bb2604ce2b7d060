"""Two models on the same items: their scores, the paired difference, the items that one wins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.config import is_server
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.interfaces import Engine, Patch, Score
from pyswarmopt_llm.common.paired import Comparison, compare_paired
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.experts.compatibility import unique_names
from pyswarmopt_llm.mix.load import adapter_patch
from pyswarmopt_llm.scores.metrics.objectives import scorings_of
from pyswarmopt_llm.scores.metrics.questions.answer_format import choose_scoring, trial_of
from pyswarmopt_llm.scores.metrics.questions.written import Written
from pyswarmopt_llm.scores.tasks import Item, Scoring
from pyswarmopt_llm.searching.use.config import EvalConfig
from pyswarmopt_llm.searching.use.model import (
    EvalResult,
    Exam,
    Model,
    OnItems,
    followed,
    model_of,
    open_named,
    place_of,
    run_scoring,
)


@dataclass(frozen=True)
class Changed:
    """An item on which two models differ.

    Attributes:
        item: the question.
        values: of both.
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
        names: of the models, in words.
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
    `on_items` receives the number of items scored so far, by both models together, and of all.

    Raises:
        UserError: whatever is wrong with the input, in one line.
    """
    models = two_models(config)
    exam, turns = Exam.of(config), Turns(config, models)
    scoring = _scoring(config, models, exam, turns)
    scores: list[Score] = []
    answers: list[Sequence[str]] = []
    for number, model in enumerate(models):
        engine = turns.engine(model)
        exam.check(engine, scoring)
        utility = exam.metric.build(exam.items, scoring, engine.chat, exam.task.prompt)
        with followed(engine, len(exam.items), _half(on_items, number)):
            if exam.metric.compare is not None and isinstance(utility, Written):
                answers.append(utility.answers(engine))
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
        paired=compare_paired(ours.per_item, theirs.per_item, scale),
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
        place = place_of(config.engine, config.run)
        self._config, self._served = config, is_server(place)
        if self._served and models[0][0] != models[1][0]:
            raise InvalidOption("engine", place, "runs one base; compare two bases here")
        # Before a base is loaded: an adapter that does not fit is found at once.
        self._patches = {
            (base, adapter): Patch() if adapter is None else adapter_patch(base, adapter)
            for base, adapter in ([] if self._served else models)
        }
        self._loaded: tuple[Engine, Model] | None = None

    def engine(self, model: Model) -> Engine:
        """The engine with this model loaded."""
        if self._served:
            if self._loaded is None or self._loaded[1] != model:
                self._loaded = open_named(self._config, model), model
            return self._loaded[0]
        bare: Model = (model[0], None)
        if self._loaded is None or self._loaded[1] != bare:
            self._loaded = None  # two bases need not fit into memory together
            self._loaded = open_named(self._config, bare), bare
        self._loaded[0].load(self._patches[model])
        return self._loaded[0]


def _scoring(config: EvalConfig, models: Sequence[Model], exam: Exam, turns: Turns) -> Scoring:
    """One answer format for both: that of a run whose result one is, else by a trial of both."""
    task = exam.task
    of_runs = [run_scoring(user_path(adapter or base), task.name) for base, adapter in models]
    scoring = next(filter(None, of_runs), "auto") if config.scoring == "auto" else config.scoring

    def letters() -> list[Score]:
        engines = (turns.engine(model) for model in reversed(models))  # the first one goes on
        return [trial_of(task, engine.chat)(engine) for engine in engines]

    return choose_scoring(scorings_of(exam.metric, scoring, task), task.dev, letters)


def _half(on_items: OnItems | None, turn: int) -> OnItems | None:
    """Progress of the first or the second of two models."""
    return (
        None if on_items is None else lambda done, total: on_items(turn * total + done, 2 * total)
    )


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
    changed = [Changed(item, both, said) for item, both, said in rows if both[0] != both[1]]
    return sorted(changed, key=lambda row: -abs(row.values[0] - row.values[1]))


def names_in_words(config: EvalConfig) -> tuple[str, str]:
    """The names of the models in sentences: the last parts of their paths, or the base."""
    models = (config.adapter, config.against)
    bare = (config.base, None)
    others = [name for name in models if name is not None and model_of(config.base, name) != bare]
    folders = [Path(name).parent if Path(name).name == "best" else name for name in others]
    short = dict(zip(others, unique_names(folders), strict=True))
    first, second = (short.get(name or "", "the base") for name in models)
    return first, second
