"""A language model as judge: ratings from 1 to 10.

The judge is an OpenAI-compatible endpoint (`endpoint.ChatClient`), any function from
prompts to texts, or a causal language model in this process. An unreadable answer is an error:
no number is made up for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.regular import digest, user_path
from pyswarmopt_llm.common.hardware import pick_device, pick_dtype
from pyswarmopt_llm.common.interfaces import Engine
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.experts.base import load_model, resolve_base
from pyswarmopt_llm.published.endpoint import ChatClient
from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.scores.tasks.table import read_text
from pyswarmopt_llm.scores.tasks.verdicts import rating

RUBRIC = "1 is the worst, 10 the best: helpful, correct, clear, and to the point."

_PREFIX = "SWARM_LLM_JUDGE_"  # environment variables; the key is never written to a run
_WHEN_DOWN = "scores are kept, so resume the run when the server is back"


class Judge:
    """Rates replies with a `rubric` and a function from prompts to answers."""

    def __init__(
        self, complete: Callable[[Sequence[str]], list[str]], rubric: str = RUBRIC
    ) -> None:
        self.complete = complete
        self.rubric = rubric

    def ratings(self, items: Sequence[Item], texts: Sequence[str]) -> list[float]:
        """A rating from 1 to 10 for each reply; an answer without a rating is a `UserError`."""
        return self._rate([self._prompt(*pair) for pair in zip(items, texts, strict=True)])

    def _rate(self, prompts: Sequence[str]) -> list[float]:
        found = []
        for answer in self.complete(prompts):
            value = rating(answer)
            if value is None:
                why = f"no rating from 1 to 10 ({answer[:80]!r}); use a stronger judge"
                raise UserError(f"the judge returned {why}")
            found.append(value)
        return found

    def _prompt(self, item: Item, reply: str) -> str:
        return (
            "Rate the reply to an instruction on a scale from 1 to 10.\n"
            f"Rubric: {self.rubric}\n\nInstruction: {item.question}\n\nReply: {reply}\n\n"
            'Begin your answer with "Rating: N/10", then give the reason in one sentence.'
        )


class LocalJudge(Judge):
    """Rates replies by the likelihoods of the answers that `Judge` would ask for.

    The mean of the distribution over ratings is finer than the likeliest rating, and always
    available (G-Eval, Liu et al. 2023, arXiv 2303.16634: score = sum_i P(s_i) s_i). It also works
    for small models.

    Args:
        engine: judging model.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.rubric = RUBRIC

    def _rate(self, prompts: Sequence[str]) -> list[float]:
        """The mean rating from 1 to 10, weighted by the likelihoods of the ratings."""
        chats = [self._engine.chat(prompt) for prompt in prompts]
        pairs = [(chat, f"Rating: {number}/10") for chat in chats for number in range(1, 11)]
        logprobs = torch.tensor(self._engine.loglikelihood(pairs), dtype=torch.float64)
        shares = logprobs.view(len(prompts), 10).softmax(-1)
        return (shares @ torch.arange(1, 11, dtype=torch.float64)).tolist()


def judge_metric(file: str, cache: Path | None) -> dict[str, Any]:
    """Fields of the metrics ``judge`` and ``judge:RUBRIC.txt``: the model ``SWARM_LLM_JUDGE_MODEL``
    at ``SWARM_LLM_JUDGE_URL``.

    Raises:
        UserError: a variable or the file is missing.
    """
    rubric = RUBRIC
    if file:
        rubric = read_text(user_path(file)).strip()
    url = os.environ.get(f"{_PREFIX}URL", "")
    model = os.environ.get(f"{_PREFIX}MODEL", "")
    if not (url and model):
        why = f": set {_PREFIX}URL and {_PREFIX}MODEL to the URL of your endpoint and its model"
        raise InvalidOption("metric", "judge", why)
    client = ChatClient(url, model, f"{_PREFIX}KEY", "the judge", _WHEN_DOWN, cache)
    judge = Judge(client, rubric)
    return {
        "rate": judge.ratings,
        "usage": client.usage.copy,
        "depends": digest([url, model, rubric]),
    }


def local_judge_metric(spec: str, device: str) -> dict[str, Any]:
    """Fields of the metric ``local-judge:MODEL``, which stays in memory besides the search's base.

    Raises:
        UserError: the judge cannot be loaded.
    """
    base = resolve_base(spec)
    where = pick_device(device)
    model, tokenizer = load_model(base, pick_dtype("auto", where), where)
    judge = LocalJudge(TransformersEngine(model, tokenizer))
    return {"rate": judge.ratings, "depends": base.fingerprint}
