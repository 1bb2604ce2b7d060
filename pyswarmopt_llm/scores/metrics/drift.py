"""How far a model has moved from its base on prompts that need no answers (``--metric drift``)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import NotFiniteError, UserError
from pyswarmopt_llm.common.interfaces import Engine, Patch, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.engine.by_token import next_token_logprobs
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.scores.metrics.accuracy import at
from pyswarmopt_llm.scores.metrics.metric import Chat
from pyswarmopt_llm.scores.tasks import AnswerFormat, Item, chat_prompt


class Drift:
    """A `Utility`: KL(base || model) of the next token after each prompt, in nats, with a negative
    sign.

    The prompt is a user turn, so the token is the first of the reply. The base's distributions are
    read once, by the same engine without its candidate.

    Args:
        items: prompts; answers are ignored.
        answer_format: ignored; every metric receives it.
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
        self._prompts = [chat_prompt(item, "generate", chat, template) for item in self.items]
        self._of_base: Tensor | None = None

    def texts(self) -> Iterator[tuple[Item, str, int]]:
        """Item, prompt, and the single token after it."""
        for item, prompt in zip(self.items, self._prompts, strict=True):
            yield item, prompt, 1

    def __call__(self, engine: Engine, indices: Sequence[int] | None = None) -> Score:
        """Score all items, or those at `indices`; see `Utility`.

        Raises:
            UserError: the engine runs several models, which have no common base.
            NotFiniteError: the model excludes a token that the base does not.
        """
        if not isinstance(engine, TransformersEngine):
            raise UserError("`metric drift` needs a single base model; remove it")
        if self._of_base is None:
            self._of_base = base_logprobs(engine, self._prompts)
        of_base = self._of_base
        if indices is not None:
            of_base = of_base[list(indices)]
        of_model = next_token_logprobs(engine, at(self._prompts, indices))
        pairs = zip(of_base, of_model, strict=True)
        # rounding may leave a little less than 0
        drifts = [max(divergence(base, model), 0.0) for base, model in pairs]
        if not all(map(math.isfinite, drifts)):
            raise NotFiniteError("the drift is infinite")
        return score_of([-drift for drift in drifts])


def base_logprobs(engine: TransformersEngine, prompts: Sequence[str]) -> Tensor:
    """The base's natural-log distribution of the next token after each prompt, (N, V); afterwards
    the engine has its candidate again.
    """
    candidate = engine.patch
    engine.load(Patch())
    try:
        return next_token_logprobs(engine, prompts)
    finally:
        engine.load(candidate)


def divergence(first: Tensor, second: Tensor) -> float:
    """KL(first || second) in nats of natural-log distributions, (V,).

    Example:
        >>> same, other = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.25, 0.75]).log()
        >>> round(divergence(same, other), 4), divergence(same, same)
        (0.1438, 0.0)
    """
    p = first.double().exp()
    terms = torch.where(p > 0, p * (first.double() - second.double()), 0.0)
    return float(terms.sum())
