"""A model on the same items, unchanged and with typos in the questions.

After Belinkov and Bisk 2018, arXiv 1711.02173, whose noise is swapped letters, scrambled words and
keyboard neighbours; here letters are dropped, doubled, swapped or replaced.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from string import ascii_lowercase

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.statistics import Comparison, compare_paired
from pyswarmopt_llm.scores.tasks import Item, Task
from pyswarmopt_llm.scores.tasks.items import repeated
from pyswarmopt_llm.searching.use.config import EvalConfig, OnItems
from pyswarmopt_llm.searching.use.evaluate import open_and_score
from pyswarmopt_llm.searching.use.exam import EvalResult, Exam
from pyswarmopt_llm.searching.use.opening import model_of

Perturbed = tuple[EvalResult, Comparison]
"""The score on perturbed items, and perturbed minus plain, item by item."""


def with_typos(item: Item, rng: random.Random, rate: float) -> Item:
    """The item with typos in its question; digits stay, since another number is another question.

    Args:
        item: item; its options and answer stay.
        rng: random source.
        rate: probability that a letter is dropped, doubled, swapped with the next character or
            replaced by any letter, each with the same probability.

    Example:
        >>> with_typos(Item("1", "What is 12 plus 30?", None, "42"), random.Random(4), 0.2).question
        'Wp tis 12 plu 30?'
    """
    text = item.question
    typed = ""
    i = 0
    while i < len(text):
        here = text[i]
        after = text[i + 1 : i + 2]
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


def evaluate_perturbed(
    config: EvalConfig, rates: Sequence[float], on_items: OnItems | None = None
) -> tuple[EvalResult, dict[float, Perturbed]]:
    """Score a model on a task, unchanged and with typos, in the same answer format.

    Every item has its own generator, seeded by `config.seed` and its text, so an item is perturbed
    alike in any file.

    Args:
        config: configuration of a model.
        rates: shares of letters with a typo, one or several.
        on_items: called with the number of items scored so far, and the total.

    Raises:
        UserError: bad input, in one line.
    """
    if config.against is not None:
        raise InvalidOption("against", config.against, "one model is perturbed; remove it")
    for rate in rates:
        if not 0 < rate <= 1:
            raise UserError(
                f"{rate}: give the share of letters, above 0 and at most 1, such as 0.05"
            )
    base, adapter = model_of(config.base, config.adapter)
    exam = Exam.of(config)
    results = {}
    engine, plain = open_and_score(replace(config, base=base, adapter=adapter), exam, on_items)
    asked = repeated(exam.items)
    for rate in rates:
        perturbed = replace(exam, task=_with_typos(exam, config.seed, rate))
        result = perturbed.score(engine, plain.scoring, on_items)
        values = result.score.per_item
        paired = compare_paired(values, plain.score.per_item, exam.metric.scale, asked)
        results[rate] = result, paired
    return plain, results


def _with_typos(exam: Exam, seed: int, rate: float) -> Task:
    # Items with the same question draw one after another, so their changes differ.
    draws = {item.question: random.Random(f"{seed} {item.question}") for item in exam.items}
    items = tuple(with_typos(item, draws[item.question], rate) for item in exam.items)
    split: dict[str, Sequence[Item]] = {exam.split: items}
    return replace(exam.task, **split, fingerprint="")  # type: ignore[arg-type]
