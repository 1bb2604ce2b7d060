"""A judge in this process: any causal language model with a chat template, queried for probabilities instead of text.

What it would say is a distribution over ratings; its mean is finer than the likeliest rating and always there (G-Eval,
Liu et al. 2023, arXiv 2303.16634: score = sum_i P(s_i) s_i). Works for small models, too.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from pyswarmopt_llm.common.interfaces import Engine
from pyswarmopt_llm.metrics.judge.judge import Judge
from pyswarmopt_llm.models.base import load_model, resolve_base
from pyswarmopt_llm.models.engines.hardware import pick_device, pick_dtype
from pyswarmopt_llm.models.engines.transformers import TransformersEngine
from pyswarmopt_llm.tasks import Item

_RATINGS = torch.arange(1, 11, dtype=torch.float64)
_ANSWER_TOKENS = 32  # of an answer in words


class LocalJudge(Judge):
    """Rates and compares replies by the likelihoods of the answers that `Judge` asks for.

    Args:
        engine: the model that judges.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        super().__init__(self._complete)

    def _complete(self, prompts: Sequence[str]) -> list[str]:
        return self._engine.generate([self._engine.chat(prompt) for prompt in prompts], max_new_tokens=_ANSWER_TOKENS)

    def _rate(self, prompts: Sequence[str], items: Sequence[Item]) -> list[float]:
        """The mean of the ratings 1 to 10, each by the likelihood of the answer that gives it."""
        shares = self._shares(prompts, [f"Rating: {int(rating)}/10" for rating in _RATINGS])
        return (shares @ _RATINGS).tolist()

    def _prefer(self, prompts: Sequence[str], items: Sequence[Item]) -> list[float]:
        """The probability of A where the answer is A or B."""
        return self._shares(prompts, ["Better: A", "Better: B"])[:, 0].tolist()

    def _shares(self, prompts: Sequence[str], answers: Sequence[str]) -> torch.Tensor:
        """P(answer) among these answers, (prompts, answers) float64."""
        chats = [self._engine.chat(prompt) for prompt in prompts]
        logprobs = self._engine.loglikelihood([(chat, answer) for chat in chats for answer in answers])
        return torch.tensor(logprobs, dtype=torch.float64).view(len(prompts), len(answers)).softmax(-1)


def load_local_judge(spec: str, device: str = "cpu") -> LocalJudge:
    """A judge from a model's directory or hub id; it stays in memory beside the search's base.

    Raises:
        UserError: it cannot be loaded.
    """
    where = pick_device(device)
    model, tokenizer = load_model(resolve_base(spec), pick_dtype("auto", where), where)
    return LocalJudge(TransformersEngine(model, tokenizer))
