"""Scores against references: exact match, number, token F1, BLEU, chrF, ROUGE; and the likelihood of
reference texts (perplexity).

All but perplexity are functions of items and texts. They return a value between 0 and 1 for each
item, the best over its references.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from pyswarmopt_llm.common.extras import optional
from pyswarmopt_llm.common.interfaces import Engine, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy, at
from pyswarmopt_llm.scores.metrics.metric import Chat
from pyswarmopt_llm.scores.tasks import AnswerFormat, Item
from pyswarmopt_llm.scores.words import comparable, same_words


def exact_match(items: Sequence[Item], texts: Sequence[str]) -> list[float]:
    """1 if the text has the words of a reference, else 0; see `scores.words`.

    Example:
        >>> exact_match([Item("1", "Where?", None, "the Louvre")], ["Louvre."])
        [1.0]
    """
    return _best(items, texts, same_words)


def token_f1(items: Sequence[Item], texts: Sequence[str]) -> list[float]:
    """Harmonic mean of precision and recall of words (Rajpurkar et al. 2016); see `scores.words`.

    Example:
        >>> token_f1([Item("1", "Where?", None, "in the Louvre")], ["Louvre, Paris"])
        [0.5]
    """
    return _best(items, texts, _f1)


def numeric(items: Sequence[Item], texts: Sequence[str]) -> list[bool | None]:
    """Whether the text gives the reference's quantity as its answer; None if that is unclear, see
    `tasks.answers`.

    Example:
        >>> numeric([Item("1", "How much?", None, "1200")], ["So we pay $1,200.00 in all."])
        [True]
    """
    from pyswarmopt_llm.scores.tasks.answers import check_open

    pairs = zip(items, texts, strict=True)
    return [check_open(item.references, text) for item, text in pairs]


def bleu(items: Sequence[Item], texts: Sequence[str]) -> list[float]:
    """Sentence BLEU of each text (Papineni et al. 2002; effective order, by sacreBLEU)."""
    scorer = optional("sacrebleu.metrics", "BLEU").BLEU(effective_order=True)
    pairs = zip(items, texts, strict=True)
    return [scorer.sentence_score(text, item.references).score / 100 for item, text in pairs]


def chrf(items: Sequence[Item], texts: Sequence[str]) -> list[float]:
    """chrF of each text: F-score of its character n-grams (Popović 2015; by sacreBLEU)."""
    scorer = optional("sacrebleu.metrics", "chrF").CHRF()
    pairs = zip(items, texts, strict=True)
    return [scorer.sentence_score(text, item.references).score / 100 for item, text in pairs]


def rouge(items: Sequence[Item], texts: Sequence[str]) -> list[float]:
    """ROUGE-L of each text: F-score of the longest common subsequence of words (Lin 2004; by
    rouge-score, which knows words of Latin letters and digits only).
    """
    scorer = optional("rouge_score.rouge_scorer", "ROUGE").RougeScorer(["rougeL"])
    return _best(items, texts, lambda right, text: scorer.score(right, text)["rougeL"].fmeasure)


def _best(
    items: Sequence[Item], texts: Sequence[str], compare: Callable[[str, str], float]
) -> list[float]:
    """The best comparison of each text with a reference of its item."""
    return [
        max(float(compare(reference, text)) for reference in item.references)
        for item, text in zip(items, texts, strict=True)
    ]


def _f1(reference: str, text: str) -> float:
    if same_words(reference, text):
        return 1.0
    expected, found = map(Counter, comparable(reference, text))
    return 2 * (expected & found).total() / ((expected + found).total() or 1)


class InversePerplexity:
    """A `Utility`: 1 / perplexity per byte of the reference answers.

    Per byte, to be independent of the tokenizer; the inverse, so that higher is better and tasks
    can be averaged. Bits per byte are ``-log2(value)`` of an item; the utility is the mean over
    items. NaN counts as 0, since a model may overflow, for example in float16.

    Args:
        items: the questions.
        chat: formats a user turn with the model's chat template.
        template: prompt of the task.
    """

    def __init__(
        self, items: Sequence[Item], _: AnswerFormat, chat: Chat, template: str | None = None
    ) -> None:
        self._asked = Accuracy(items, "generate", chat, template)
        self.items = self._asked.items

    def texts(self) -> Iterator[tuple[Item, str, int]]:
        """Each question with its answer."""
        for item, row in zip(self.items, self._asked.rows, strict=True):
            yield item, "".join(row.pairs[0]), 0

    def __call__(self, engine: Engine, indices: Sequence[int] | None = None) -> Score:
        """Score all items, or those at `indices`; see `Utility`."""
        pairs = [row.pairs[0] for row in at(self._asked.rows, indices)]
        sizes = [len(text.encode()) for _, text in pairs]
        return score_of(np.nan_to_num(np.exp(np.divide(engine.loglikelihood(pairs), sizes))))
