"""Abstention (AbstainQA; Feng et al. 2024, arXiv 2402.00367): answer, reflect on the answer,
abstain if it seems false.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pyswarmopt_llm.common.interfaces import Engine, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.scores.metrics.accuracy import MAX_NEW_TOKENS, Accuracy, at
from pyswarmopt_llm.scores.metrics.metric import Chat
from pyswarmopt_llm.scores.tasks import AnswerFormat, Item, render_prompt
from pyswarmopt_llm.scores.tasks.stated import without_thoughts
from pyswarmopt_llm.scores.tasks.verdicts import spoken_verdict

_VERDICTS = ("True", "False")
_VERDICT_TOKENS = 10  # most tokens of a written verdict


class Abstention:
    """A `Utility`: +1 for a right answer, -1 for a wrong one, 0 for an abstention.

    The model answers as for `Accuracy`; then it judges whether its answer is true ("reflect" in the
    paper, as in the Model Swarms reference). With `answer_format` ``generate`` it writes both, as in the
    reference, and abstains if it says "false" in 10 tokens (`spoken_verdict`; in the reference
    anywhere in them); an answer may have 128 tokens, in the reference 10. With the other, cheaper
    formats the answer is the best option's text, and the model abstains if "False" is likelier than
    "True".

    Args:
        items: questions with choices.
        answer_format: answer format.
        chat: formats a user turn with the model's chat template.
        template: prompt of the task.
    """

    def __init__(
        self,
        items: Sequence[Item],
        answer_format: AnswerFormat,
        chat: Chat,
        template: str | None = None,
    ) -> None:
        self.items = tuple(items)
        self._chat = chat
        self._template = template
        self._accuracy = Accuracy(items, answer_format, chat, template)
        self._writes = self._accuracy.answer_format == "generate"

    def texts(self) -> Iterator[tuple[Item, str, int]]:
        """The prompts, with the longest possible reflection on each item."""
        yield from self._accuracy.texts()
        for item in self.items:
            if self._writes:
                yield item, self._reflection(item, ""), MAX_NEW_TOKENS + _VERDICT_TOKENS
            else:
                longest = max(item.options, key=len, default="")
                yield item, self._reflection(item, longest) + _VERDICTS[1], 0

    def __call__(self, engine: Engine, indices: Sequence[int] | None = None) -> Score:
        """Score all items, or those at `indices`, in two steps; see `Utility`."""
        answered = self._accuracy(engine, indices)
        prompts = []
        for item, answer in zip(at(self.items, indices), answered.answers, strict=True):
            if self._writes:
                proposed = without_thoughts(answer)
            else:
                proposed = item.in_words(answer)
            prompts.append(self._reflection(item, proposed))
        pairs = zip(answered.per_item, self._withheld(engine, prompts), strict=True)
        score = score_of([0.0 if withheld else 2.0 * right - 1.0 for right, withheld in pairs])
        return replace(score, answers=answered.answers)

    def _withheld(self, engine: Engine, prompts: Sequence[str]) -> list[bool]:
        """Whether the model abstains from each of its answers."""
        if self._writes:
            written = engine.generate(prompts, max_new_tokens=_VERDICT_TOKENS)
            return [spoken_verdict(text) == "false" for text in written]
        pairs = [(prompt, verdict) for prompt in prompts for verdict in _VERDICTS]
        logprobs = engine.loglikelihood(pairs)
        verdicts = zip(logprobs[::2], logprobs[1::2], strict=True)
        return [not false <= true for true, false in verdicts]  # also if one is NaN

    def _reflection(self, item: Item, answer: str) -> str:
        answer_format: AnswerFormat = "letter" if item.choices else "generate"
        question = render_prompt(item, answer_format, self._template)
        doubted = (
            f"{question}\nProposed answer: {answer}\n"
            "Is the proposed answer true or false? Directly answer with True or False."
        )
        return self._chat(doubted, item.earlier)
