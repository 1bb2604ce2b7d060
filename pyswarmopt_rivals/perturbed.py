"""One model on the same items as they are and perturbed: questions with typos, options in another
order.

Source: Belinkov and Bisk 2018, arXiv 1711.02173 (typos); Zheng et al. 2024, arXiv 2309.03882 (order
of options).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from string import ascii_lowercase

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.paired import Comparison, compare_paired
from pyswarmopt_llm.common.registry import unknown
from pyswarmopt_llm.scores.tasks import Item, Task
from pyswarmopt_llm.scores.tasks.prompts import placeholders
from pyswarmopt_llm.searching.use.config import EvalConfig
from pyswarmopt_llm.searching.use.model import EvalResult, Exam, OnItems, open_and_score
from pyswarmopt_llm.searching.use.names import model_of

Perturb = Callable[[Item, random.Random], Item]
TYPOS, OPTIONS = "typos", "options"
RATE = 0.05  # of typos


@dataclass(frozen=True)
class Perturbed:
    """The result of `evaluate_perturbed` for one perturbation.

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
        rate: probability that a letter is dropped, doubled, swapped with the next character or
            replaced by any letter, each with the same probability.

    Example:
        >>> with_typos(Item("1", "What is 12 plus 30?", None, "42"), random.Random(4), 0.2).question
        'Wp tis 12 plu 30?'
    """
    text, typed, i = item.question, "", 0
    while i < len(text):
        here, after = text[i], text[i + 1 : i + 2]
        i += 1
        if not here.isalpha() or rng.random() >= rate:
            typed += here
            continue
        kind = rng.choice(("drop", "double", "swap", "replace"))
        if kind == "swap" and after and not after.isdigit():
            typed += after + here
            i += 1
        elif kind != "drop":
            typed += (
                rng.choice(ascii_lowercase)
                if kind == "replace"
                else here * (2 if kind == "double" else 1)
            )
    return replace(item, question=typed if typed.strip() else text)


def with_options_shuffled(item: Item, rng: random.Random) -> Item:
    """The item with its options under other letters, the right answer among them.

    Example:
        >>> item = Item("1", "Two plus two?", {"A": "four", "B": "five", "C": "six"}, "A")
        >>> shuffled = with_options_shuffled(item, random.Random(0))
        >>> shuffled.choices, shuffled.answer
        ({'A': 'five', 'B': 'six', 'C': 'four'}, 'C')
    """
    letters = list(item.choices or {})
    order = rng.sample(letters, len(letters))
    choices = {
        letter: (item.choices or {})[other] for letter, other in zip(letters, order, strict=True)
    }
    return replace(item, choices=choices, answer=letters[order.index(item.answer)])


def evaluate_perturbed(
    config: EvalConfig, specs: Sequence[str], on_items: OnItems | None = None
) -> tuple[EvalResult, dict[str, Perturbed]]:
    """Score a model on a task as it is, and under each perturbation, in the same answer format.

    Every item is perturbed by a generator of its own, seeded by `config.seed` and its text: the
    same item is perturbed alike in any file.

    Args:
        config: of one model.
        specs: perturbations, ``typos=RATE`` or ``options``.
        on_items: called with the number of items scored so far, and of all.

    Raises:
        UserError: whatever is wrong with the input, in one line.
    """
    if config.against is not None:
        raise InvalidOption("against", config.against, "one model is perturbed; remove it")
    kinds = {spec: _parse(spec) for spec in specs}
    base, adapter = model_of(config.base, config.adapter)
    exam = Exam.of(config)
    if OPTIONS in kinds:
        _check_options(exam)
    engine, plain = open_and_score(replace(config, base=base, adapter=adapter), exam, on_items)
    if OPTIONS in kinds:
        _check_shown(plain.scoring, exam.task)
    results = {}
    for spec, kind in kinds.items():
        changed = replace(exam, task=_changed(exam, config.seed, kind))
        result = changed.score(engine, plain.scoring, on_items)
        results[spec] = Perturbed(
            result, compare_paired(result.score.per_item, plain.score.per_item)
        )
    return plain, results


def _parse(spec: str) -> Perturb:
    """The perturbation of a name and, after an equals sign, its rate."""
    name, equals, value = spec.partition("=")
    if name not in (TYPOS, OPTIONS):
        raise unknown("the perturbation", name, (TYPOS, OPTIONS))
    if name == OPTIONS:
        if equals:
            raise UserError(f"{spec}: the order of options has no rate; write options")
        return with_options_shuffled
    try:
        rate = float(value) if equals else RATE
    except ValueError:
        rate = -1.0
    if not 0 < rate <= 1:
        raise UserError(f"{spec}: give the share of letters, above 0 and at most 1: typos={RATE}")
    return lambda item, rng: with_typos(item, rng, rate)


def _changed(exam: Exam, seed: int, kind: Perturb) -> Task:
    # Items that ask the same question draw one after the other, each another change.
    draws = {item.question: random.Random(f"{seed} {item.question}") for item in exam.items}
    items = [kind(item, draws[item.question]) for item in exam.items]
    split: dict[str, Sequence[Item]] = {exam.split: tuple(items)}
    return replace(exam.task, **split, fingerprint="")  # type: ignore[arg-type]


def _check_options(exam: Exam) -> None:
    """Refuse items whose options cannot be shuffled."""
    if exam.metric.name != "accuracy":
        raise UserError(f"{OPTIONS}: goes with accuracy, not with {exam.metric.name}; remove it")
    without = next((item.id for item in exam.items if not item.choices or not item.answer), None)
    if without is not None:
        raise UserError(f"{OPTIONS}: item {without} has no options with a right one; remove it")


def _check_shown(scoring: str, task: Task) -> None:
    """Refuse to shuffle what the model does not see: each option's text is scored by itself."""
    hidden = (
        "choices" not in placeholders(task.prompt)
        if task.prompt is not None
        else scoring == "likelihood"
    )
    if hidden:
        raise UserError(f"{OPTIONS}: the prompt does not show the options; add `scoring` letter")
