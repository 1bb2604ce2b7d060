"""Scores against references: exact match, number, token F1, BLEU, ROUGE-L, chrF.

Each is a function of items and texts that returns one value between 0 and 1 per item, the best over
its references.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from pyswarmopt_llm.common.extras import optional
from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.scores.tasks.answers import extract_number, stated_answer

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def squad_words(text: str) -> list[str]:
    """Words in lower case, without punctuation and articles, as SQuAD's evaluation has them.

    Example:
        >>> squad_words("The Eiffel Tower, Paris.")
        ['eiffel', 'tower', 'paris']
    """
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def exact_match(items: Sequence[Item], texts: Sequence[str]) -> list[float]:
    """1 if the text equals a reference after `squad_words`, else 0.

    Example:
        >>> exact_match([Item("1", "Where?", None, "the Louvre")], ["Louvre."])
        [1.0]
    """
    return _best(
        items, texts, lambda reference, text: float(squad_words(reference) == squad_words(text))
    )


def token_f1(items: Sequence[Item], texts: Sequence[str]) -> list[float]:
    """Harmonic mean of precision and recall of words (Rajpurkar et al. 2016).

    Example:
        >>> token_f1([Item("1", "Where?", None, "in the Louvre")], ["Louvre, Paris"])
        [0.5]
    """
    return _best(items, texts, _f1)


def numeric(items: Sequence[Item], texts: Sequence[str]) -> list[float]:
    """1 if the final number of the text equals the reference's, ignoring units, commas and LaTeX.

    Example:
        >>> numeric([Item("1", "How much?", None, "1200")], ["So we pay $1,200.00 in all."])
        [1.0]
    """
    return _best(items, texts, _same_number)


def bleu(items: Sequence[Item], texts: Sequence[str]) -> list[float]:
    """Sentence BLEU of each text (Papineni et al. 2002; effective order, by sacreBLEU)."""
    scorer = _sacrebleu("BLEU").BLEU(effective_order=True)
    return [scorer.sentence_score(*pair).score / 100 for pair in _pairs(items, texts)]


def chrf(items: Sequence[Item], texts: Sequence[str]) -> list[float]:
    """chrF2 of each text (Popović 2015, by sacreBLEU)."""
    scorer = _sacrebleu("chrF").CHRF()
    return [scorer.sentence_score(*pair).score / 100 for pair in _pairs(items, texts)]


def rouge_l(items: Sequence[Item], texts: Sequence[str]) -> list[float]:
    """F1 of the longest common subsequence of words (Lin 2004, by rouge-score, with stemming)."""
    scorer = _rouge_scorer()
    return _best(
        items,
        texts,
        lambda reference, text: float(scorer.score(reference, text)["rougeL"].fmeasure),
    )


def _best(
    items: Sequence[Item], texts: Sequence[str], compare: Callable[[str, str], float]
) -> list[float]:
    return [
        max(compare(reference, text) for reference in item.references)
        for item, text in zip(items, texts, strict=True)
    ]


def _pairs(items: Sequence[Item], texts: Sequence[str]) -> list[tuple[str, list[str]]]:
    return [(text, item.references) for item, text in zip(items, texts, strict=True)]


def _f1(reference: str, text: str) -> float:
    expected, words = Counter(squad_words(reference)), Counter(squad_words(text))
    if not expected or not words:
        return float(expected == words)
    return 2 * (expected & words).total() / (expected.total() + words.total())


def _same_number(reference: str, text: str) -> float:
    expected = stated_answer(reference)
    if isinstance(expected, str):
        expected = extract_number(reference) or expected
    return float(extract_number(text) == expected)


def _sacrebleu(name: str) -> Any:
    return optional("sacrebleu.metrics", name)


@cache
def _rouge_scorer() -> Any:
    module = optional("rouge_score.rouge_scorer", "ROUGE-L")
    return module.RougeScorer(["rougeL"], use_stemmer=True)
