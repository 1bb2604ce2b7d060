"""A language model as judge: ratings from 1 to 10, and comparisons of pairs in both orders.

The judge is an OpenAI-compatible endpoint (`endpoint.ChatClient`), any function from
prompts to texts, or a causal language model in this process. An unreadable answer is an error:
no number is made up for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.regular import digest, user_path
from pyswarmopt_llm.common.hardware import pick_device, pick_dtype
from pyswarmopt_llm.common.interfaces import Engine, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.experts.base import load_model, resolve_base
from pyswarmopt_llm.published.endpoint import ChatClient
from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.scores.tasks.table import read_text
from pyswarmopt_llm.scores.tasks.verdicts import preferred, rating

RUBRIC = "1 is the worst, 10 the best: helpful, correct, clear, and to the point."

T = TypeVar("T")
_POINTS = {"A": 1.0, "tie": 0.5, "B": 0.0}
_PREFIX = "SWARM_LLM_JUDGE_"  # environment variables; the key is never written to a run
_WHEN_DOWN = "scores are kept, so resume the run when the server is back"


class Judge:
    """Rates and compares replies with a `rubric` and a function from prompts to answers."""

    def __init__(
        self, complete: Callable[[Sequence[str]], list[str]], rubric: str = RUBRIC
    ) -> None:
        self.complete = complete
        self.rubric = rubric

    def ratings(self, items: Sequence[Item], texts: Sequence[str]) -> list[float]:
        """A rating from 1 to 10 for each reply; an answer without a rating is a `UserError`."""
        return self._rate([self._rating_prompt(*pair) for pair in zip(items, texts, strict=True)])

    def win_rate(self, items: Sequence[Item], first: Sequence[str], second: Sequence[str]) -> Score:
        """Share of pairs whose `first` reply is judged better; each pair is shown in both orders.

        Per item 1 for a win in both orders, 0 for a loss in both, else 0.5, which cancels a judge's
        position bias (Zheng et al. 2023, arXiv 2306.05685, section 3.4). An answer that does not
        name a side is a `UserError`.
        """
        triples = list(zip(items, first, second, strict=True))
        in_order = self._prefer([self._pair_prompt(item, a, b) for item, a, b in triples])
        swapped = self._prefer([self._pair_prompt(item, b, a) for item, a, b in triples])
        return score_of([(a + 1.0 - b) / 2 for a, b in zip(in_order, swapped, strict=True)])

    def _rate(self, prompts: Sequence[str]) -> list[float]:
        return self._read(prompts, rating, "no rating from 1 to 10")

    def _prefer(self, prompts: Sequence[str]) -> list[float]:
        """1 if the answer prefers reply A, 0 for B, 0.5 for a tie."""
        return [_POINTS[side] for side in self._read(prompts, preferred, "no preferred reply")]

    def _read(
        self, prompts: Sequence[str], reader: Callable[[str], T | None], missing: str
    ) -> list[T]:
        """What `reader` finds in each answer."""
        found = []
        for answer in self.complete(prompts):
            value = reader(answer)
            if value is None:
                raise UserError(f"the judge gave {missing} ({answer[:80]!r}); use a stronger judge")
            found.append(value)
        return found

    def _rating_prompt(self, item: Item, reply: str) -> str:
        return (
            "Rate the reply to an instruction on a scale from 1 to 10.\n"
            f"Rubric: {self.rubric}\n\nInstruction: {item.question}\n\nReply: {reply}\n\n"
            'Begin your answer with "Rating: N/10", then give the reason in one sentence.'
        )

    def _pair_prompt(self, item: Item, a: str, b: str) -> str:
        return (
            "Which of two replies to an instruction is better?\n"
            f"Rubric: {self.rubric}\n\nInstruction: {item.question}\n\nReply A: {a}\n\n"
            f"Reply B: {b}\n\n"
            'Begin your answer with "Better: A", "Better: B" or "Better: tie", then give the '
            "reason in one sentence."
        )


class LocalJudge(Judge):
    """Rates and compares replies by the likelihoods of the answers that `Judge` would ask for.

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
        shares = self._shares(prompts, [f"Rating: {number}/10" for number in range(1, 11)])
        return (shares @ torch.arange(1, 11, dtype=torch.float64)).tolist()

    def _prefer(self, prompts: Sequence[str]) -> list[float]:
        """The probability of A if the answer is A or B."""
        return self._shares(prompts, ["Better: A", "Better: B"])[:, 0].tolist()

    def _shares(self, prompts: Sequence[str], answers: Sequence[str]) -> torch.Tensor:
        """P(answer) among these answers, (prompts, answers) float64."""
        chats = [self._engine.chat(prompt) for prompt in prompts]
        pairs = [(chat, answer) for chat in chats for answer in answers]
        logprobs = torch.tensor(self._engine.loglikelihood(pairs), dtype=torch.float64)
        return logprobs.view(len(prompts), len(answers)).softmax(-1)


def judge_metric(spec: str, cache: Path | None, device: str) -> dict[str, Any]:
    """The metrics ``judge`` and ``judge:RUBRIC.txt``: the model ``SWARM_LLM_JUDGE_MODEL`` at
    ``SWARM_LLM_JUDGE_URL``; see `ReplyMetric.load`.

    Raises:
        UserError: a variable or the file is missing.
    """
    rubric = RUBRIC
    if file := spec.partition(":")[2]:
        rubric = read_text(user_path(file)).strip()
    url = os.environ.get(f"{_PREFIX}URL", "")
    model = os.environ.get(f"{_PREFIX}MODEL", "")
    if not (url and model):
        why = f": set {_PREFIX}URL and {_PREFIX}MODEL to the URL of your endpoint and its model"
        raise InvalidOption("metric", spec, why)
    client = ChatClient(url, model, f"{_PREFIX}KEY", "the judge", _WHEN_DOWN, cache)
    judge = Judge(client, rubric)
    return {
        "rate": judge.ratings,
        "compare": judge.win_rate,
        "usage": client.usage.copy,
        "depends": digest([url, model, rubric]),
    }


def local_judge_metric(spec: str, cache: Path | None, device: str) -> dict[str, Any]:
    """The metric ``local-judge:MODEL``, which stays in memory besides the search's base; see
    `ReplyMetric.load`.

    Raises:
        UserError: the judge cannot be loaded.
    """
    base = resolve_base(spec.partition(":")[2])
    where = pick_device(device)
    model, tokenizer = load_model(base, pick_dtype("auto", where), where)
    judge = LocalJudge(TransformersEngine(model, tokenizer))
    return {"rate": judge.ratings, "compare": judge.win_rate, "depends": base.fingerprint}
