"""One model on the same items as they are and perturbed: questions with typos, options in another order.

Source: Belinkov and Bisk 2018, arXiv 1711.02173 (typos); Zheng et al. 2024, arXiv 2309.03882 (order of options).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from string import ascii_lowercase

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.files.paths import user_path
from pyswarmopt_llm.common.registry import unknown
from pyswarmopt_llm.common.statistics import Comparison, compare_paired
from pyswarmopt_llm.jobs.evaluate.against import load_items
from pyswarmopt_llm.jobs.evaluate.config import EvalConfig
from pyswarmopt_llm.jobs.evaluate.model import EvalResult, OnItems, metric_for, score_task
from pyswarmopt_llm.jobs.evaluate.names import model_of, run_scoring
from pyswarmopt_llm.metrics.external.permission import metric_of
from pyswarmopt_llm.metrics.questions.context_window import check_window
from pyswarmopt_llm.metrics.registry import Metric
from pyswarmopt_llm.spaces.load import open_model
from pyswarmopt_llm.tasks import Item, Task
from pyswarmopt_llm.tasks.prompts import placeholders

Perturb = Callable[[Item, random.Random], Item]
TYPOS, OPTIONS = "typos", "options"
RATE = 0.05  # of typos


@dataclass(frozen=True)
class Perturbed:
    """What `evaluate_perturbed` found of one perturbation.

    Attributes:
        result: the score on the perturbed items.
        paired: perturbed minus plain, item by item.
    """

    result: EvalResult
    paired: Comparison


def with_typos(item: Item, rng: random.Random, rate: float = RATE) -> Item:
    """The item with typos in its question; digits stay, as another number is another question.

    Args:
        item: whose options and answer stay as they are.
        rng: source of the draws.
        rate: probability that a letter is dropped, doubled, swapped with the next character or replaced by any letter,
            each with the same probability.

    Example:
        >>> with_typos(Item("1", "What is 12 plus 30?", None, "42"), random.Random(4), 0.2).question
        'Wp tis 12 plu 30?'
    """
    text, found, i = item.question, "", 0
    while i < len(text):
        here, after = text[i], text[i + 1 : i + 2]
        i += 1
        if not here.isalpha() or rng.random() >= rate:
            found += here
            continue
        kind = rng.choice(("drop", "double", "swap", "replace"))
        if kind == "swap" and after and not after.isdigit():
            found += after + here
            i += 1
        elif kind != "drop":
            found += rng.choice(ascii_lowercase) if kind == "replace" else here * (2 if kind == "double" else 1)
    return replace(item, question=found if found.strip() else text)


def with_options_shuffled(item: Item, rng: random.Random) -> Item:
    """The item with its options under other letters, the right answer among them.

    Example:
        >>> item = Item("1", "Two plus two?", {"A": "four", "B": "five", "C": "six"}, "A")
        >>> found = with_options_shuffled(item, random.Random(0))
        >>> found.choices, found.answer
        ({'A': 'five', 'B': 'six', 'C': 'four'}, 'C')
    """
    letters = list(item.choices or {})
    order = rng.sample(letters, len(letters))
    choices = {letter: (item.choices or {})[other] for letter, other in zip(letters, order, strict=True)}
    return replace(item, choices=choices, answer=letters[order.index(item.answer)])


def evaluate_perturbed(config: EvalConfig, on_items: OnItems | None = None) -> tuple[EvalResult, dict[str, Perturbed]]:
    """Score a model on a task as it is, and under each perturbation of `config`, in the same answer format.

    Every item is perturbed by a generator of its own, seeded by `config.seed` and its text: the same item is perturbed
    alike in any file.

    Raises:
        UserError: whatever is wrong with the input, in one line.
    """
    if config.against is not None:
        raise InvalidOption("perturb", ",".join(config.perturb), "scores one model; remove `against`")
    kinds = {spec: _parse(spec) for spec in config.perturb}
    base, adapter = model_of(config.base, config.adapter)
    task = load_items(config)
    metric = metric_for(config.metric or metric_of(task), task, config.split, config.device)
    _check_options(config, task, metric)
    engine = open_model(base, adapter, config.dtype, config.device, config.threads)
    known = run_scoring(user_path(adapter or base), task.name) if config.metric is None else None
    scoring = known or config.scoring if config.scoring == "auto" else config.scoring
    check_window(task, scoring, engine, (config.split,), metric)
    plain = score_task(engine, task, config.split, scoring, metric, on_items)
    _check_shown(config, plain.scoring, task)
    found = {}
    for spec, kind in kinds.items():
        changed = _changed(task, config, kind)
        check_window(changed, plain.scoring, engine, (config.split,), metric)
        result = score_task(engine, changed, config.split, plain.scoring, metric, on_items)
        found[spec] = Perturbed(result, compare_paired(result.score.per_item, plain.score.per_item))
    return plain, found


def _parse(spec: str) -> Perturb:
    """The perturbation of a name and, after an equals sign, its rate."""
    name, equals, value = spec.partition("=")
    if name not in (TYPOS, OPTIONS):
        raise unknown("--perturb", name, (TYPOS, OPTIONS))
    if name == OPTIONS:
        if equals:
            raise InvalidOption("perturb", spec, "the order of options has no rate; write options")
        return with_options_shuffled
    try:
        rate = float(value) if equals else RATE
    except ValueError:
        rate = -1.0
    if not 0 < rate <= 1:
        raise InvalidOption("perturb", spec, f"give the share of letters, above 0 and at most 1: typos={RATE}")
    return lambda item, rng: with_typos(item, rng, rate)


def _changed(task: Task, config: EvalConfig, kind: Perturb) -> Task:
    items = [kind(item, random.Random(f"{config.seed} {item.question}")) for item in task.split(config.split)]
    split: dict[str, Sequence[Item]] = {config.split: tuple(items)}
    return replace(task, **split, fingerprint="")  # type: ignore[arg-type]


def _check_options(config: EvalConfig, task: Task, metric: Metric) -> None:
    """Refuse items whose options cannot be shuffled."""
    if OPTIONS not in config.perturb:
        return
    if metric.name != "accuracy":
        raise InvalidOption("perturb", OPTIONS, f"goes with accuracy, not with {metric.name}; remove it")
    without = next((item.id for item in task.split(config.split) if not item.choices or not item.answer), None)
    if without is not None:
        raise InvalidOption("perturb", OPTIONS, f"item {without} has no options with a right one; remove it")


def _check_shown(config: EvalConfig, scoring: str, task: Task) -> None:
    """Refuse to shuffle what the model does not see: each option's text is scored by itself."""
    hidden = "choices" not in placeholders(task.prompt) if task.prompt is not None else scoring == "likelihood"
    if OPTIONS in config.perturb and hidden:
        raise InvalidOption("perturb", OPTIONS, "the prompt does not show the options; add `scoring` letter")


__all__ = ["Perturbed", "evaluate_perturbed", "with_options_shuffled", "with_typos"]
