"""A language model as judge: ratings from 1 to 10.

The judge is an OpenAI-compatible endpoint (`endpoint.ChatClient`), or a causal language model in
this process. An unreadable answer is an error: no number is made up for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.regular import digest, user_path
from pyswarmopt_llm.common.hardware import pick_device, pick_dtype
from pyswarmopt_llm.common.interfaces import Engine
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.experts.base import load_model, resolve_base
from pyswarmopt_llm.external.endpoint import ChatClient, Completion
from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.scores.tasks.table import read_text
from pyswarmopt_llm.scores.tasks.verdicts import rating

RUBRIC = "1 is the worst, 10 the best: helpful, correct, clear, and to the point."

_PREFIX = "SWARM_LLM_JUDGE_"  # environment variables; the key is never written to a run
_WHEN_DOWN = "scores are kept, so resume the run when the server is back"


def ratings(
    rate: Callable[[Sequence[str]], list[float]],
    rubric: str,
    items: Sequence[Item],
    texts: Sequence[str],
) -> list[float]:
    """A rating from 1 to 10 for each reply.

    Args:
        rate: rates prompts that ask for a rating.
        rubric: what a good reply is.
        items: items of the replies.
        texts: replies.
    """
    return rate([asked(item, text, rubric) for item, text in zip(items, texts, strict=True)])


def asked(item: Item, reply: str, rubric: str = RUBRIC) -> str:
    """The prompt that asks for a rating of a reply."""
    return (
        "Rate the reply to an instruction on a scale from 1 to 10.\n"
        f"Rubric: {rubric}\n\nInstruction: {item.question}\n\nReply: {reply}\n\n"
        'Begin your answer with "Rating: N/10", then give the reason in one sentence.'
    )


def written(
    complete: Callable[[Sequence[str]], list[Completion]], prompts: Sequence[str]
) -> list[float]:
    """The ratings in the answers to prompts; an answer without a rating is a `UserError`."""
    found = []
    for answer in complete(prompts):
        value = rating(answer.text)
        if value is None:
            why = f"no rating from 1 to 10 ({answer.text[:80]!r}); use a stronger judge"
            raise UserError(f"the judge returned {why}")
        found.append(value)
    return found


def expected(engine: Engine, prompts: Sequence[str]) -> list[float]:
    """The mean ratings, weighted by the likelihoods of the answers.

    The mean of the distribution over ratings is finer than the likeliest rating, and always
    available (G-Eval, Liu et al. 2023, arXiv 2303.16634: score = sum_i P(s_i) s_i). It also works
    for small models.
    """
    chats = map(engine.chat, prompts)
    pairs = [(chat, f"Rating: {number}/10") for chat in chats for number in range(1, 11)]
    logprobs = torch.tensor(engine.loglikelihood(pairs), dtype=torch.float64)
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
    return {
        "rate": partial(ratings, partial(written, client), rubric),
        "usage": client.usage,
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
    rate = partial(expected, TransformersEngine(model, tokenizer))
    return {"rate": partial(ratings, rate, RUBRIC), "depends": base.fingerprint}
