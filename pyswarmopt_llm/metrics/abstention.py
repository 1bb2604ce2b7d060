"""Abstention (AbstainQA; Feng et al. 2024, arXiv 2402.00367): answer, reflect on the answer,
abstain if it is false.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from pyswarmopt_llm.common.interfaces import Engine, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.metrics.accuracy import MAX_NEW_TOKENS, Accuracy
from pyswarmopt_llm.metrics.questions.written import Chat
from pyswarmopt_llm.tasks import Item, Scoring, render_prompt

_VERDICTS = ("True", "False")
_VERDICT_TOKENS = 10  # of a written verdict


class Abstention:
    """A `Utility`: +1 for a right answer, -1 for a wrong one, 0 where the model abstains.

    The model answers as for `Accuracy`; then it judges whether its answer is true ("reflect" in the
    paper, as in the Model Swarms reference). With `scoring` ``generate`` both are written, as
    there, and it abstains if it writes "false" (in any case) among 10 tokens; an answer may have
    128 tokens, there 10. With the others, which are cheaper, the answer is the best option's text
    and it abstains if "False" is likelier than "True".

    Args:
        items: the questions, with choices.
        scoring: the scoring of the answers.
        chat: formats a user turn with the model's chat template.
        template: the task's prompt.
    """

    def __init__(
        self, items: Sequence[Item], scoring: Scoring, chat: Chat, template: str | None = None
    ) -> None:
        self.items, self._chat, self._template = tuple(items), chat, template
        self._accuracy = Accuracy(items, scoring, chat, template)

    def texts(self) -> Iterator[tuple[Item, str, int]]:
        """The prompts, with the longest reflection on each item."""
        yield from self._accuracy.texts()
        for item in self.items:
            if self._accuracy.scoring == "generate":
                yield item, self._reflection(item, ""), MAX_NEW_TOKENS + _VERDICT_TOKENS
            else:
                longest = max((item.choices or {}).values(), key=len, default="")
                yield item, self._reflection(item, longest) + _VERDICTS[1], 0

    def __call__(self, engine: Engine) -> Score:
        """Evaluate all items, each in two steps; one value per item."""
        correct, abstained = self.decisions(engine)
        return score_of(
            [0.0 if a else 1.0 if c else -1.0 for c, a in zip(correct, abstained, strict=True)]
        )

    def decisions(self, engine: Engine) -> tuple[list[bool], list[bool]]:
        """Whether each answer was right, and whether the model would rather not have given it."""
        answers = self._accuracy.answers(engine)
        correct = [bool(value) for value in self._accuracy.judge(answers)]
        shown = answers
        if self._accuracy.scoring != "generate":
            shown = [
                (item.choices or {}).get(answer, answer)
                for item, answer in zip(self.items, answers, strict=True)
            ]
        prompts = [
            self._reflection(item, text) for item, text in zip(self.items, shown, strict=True)
        ]
        if self._accuracy.scoring == "generate":
            written = engine.generate(prompts, max_new_tokens=_VERDICT_TOKENS)
            return correct, ["false" in text.lower() for text in written]
        logprobs = engine.loglikelihood(
            [(prompt, verdict) for prompt in prompts for verdict in _VERDICTS]
        )
        true, false = logprobs[::2], logprobs[1::2]
        return correct, [f > t or math.isnan(f - t) for t, f in zip(true, false, strict=True)]

    def _reflection(self, item: Item, answer: str) -> str:
        question = render_prompt(item, "letter" if item.choices else "generate", self._template)
        doubted = (
            f"{question}\nProposed answer: {answer}\n"
            "Is the proposed answer true or false? Directly answer with True or False."
        )
        return self._chat(doubted, item.earlier) if item.earlier else self._chat(doubted)
