"""A language model as judge: ratings from 1 to 10, and comparisons of pairs in both orders.

The judge is an OpenAI-compatible endpoint (with a cache and parallel requests), any function from
prompts to texts, or a causal language model in this process. An unreadable answer is an error,
never a made-up number: a search that silently scored nonsense would be worthless.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.http import Json
from pyswarmopt_llm.common.files.json_types import wrong_field
from pyswarmopt_llm.common.files.regular import AppendLog, digest, user_path
from pyswarmopt_llm.common.hardware import pick_device, pick_dtype
from pyswarmopt_llm.common.interfaces import Engine, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.experts.base import load_model, resolve_base
from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.scores.tasks.verdicts import preferred, rating

RUBRIC = "1 is the worst, 10 the best: helpful, correct, clear, and to the point."

T = TypeVar("T")
_POINTS = {"A": 1.0, "tie": 0.5, "B": 0.0}
Complete = Callable[[Sequence[str]], list[str]]
_RATINGS = torch.arange(1, 11, dtype=torch.float64)
_PREFIX = "SWARM_LLM_JUDGE_"  # environment variables; the key is never written to a run
_WHEN_DOWN = "what was scored is kept: resume the run when it is back"
_COUNTS = ("prompt_tokens", "completion_tokens")
_CACHED = {"key": str, "text": str, "usage": tuple[int, int]}


class Judge:
    """Rates and compares replies with a `rubric` and a function from prompts to answers."""

    def __init__(self, complete: Complete, rubric: str = RUBRIC) -> None:
        self.complete = complete
        self.rubric = rubric

    def ratings(self, items: Sequence[Item], texts: Sequence[str]) -> list[float]:
        """A rating from 1 to 10 for each reply; an answer without a rating is a `UserError`."""
        pairs = zip(items, texts, strict=True)
        return self._rate([self._rating_prompt(item.question, text) for item, text in pairs], items)

    def win_rate(self, items: Sequence[Item], first: Sequence[str], second: Sequence[str]) -> Score:
        """Share of pairs whose `first` reply is judged better; each pair is shown in both orders.

        Per item 1 for a win in both orders, 0 for a loss in both, else 0.5, which cancels a judge's
        position bias (Zheng et al. 2023, arXiv 2306.05685, section 3.4). An answer that names no
        side is a `UserError`.
        """
        triples = list(zip(items, first, second, strict=True))
        prompts = [self._pair_prompt(item.question, a, b) for item, a, b in triples]
        prompts += [self._pair_prompt(item.question, b, a) for item, a, b in triples]
        points = self._prefer(prompts, [*items, *items])
        in_order = points[: len(items)]
        swapped = points[len(items) :]
        return score_of([(a + 1.0 - b) / 2 for a, b in zip(in_order, swapped, strict=True)])

    def _rate(self, prompts: Sequence[str], items: Sequence[Item]) -> list[float]:
        """The rating in each answer."""
        return self._read(prompts, items, rating, "no rating from 1 to 10")

    def _prefer(self, prompts: Sequence[str], items: Sequence[Item]) -> list[float]:
        """1 if the answer prefers reply A, 0 for B, 0.5 for a tie."""
        sides = self._read(prompts, items, preferred, "no better reply")
        return [_POINTS[side] for side in sides]

    def _read(
        self,
        prompts: Sequence[str],
        items: Sequence[Item],
        reader: Callable[[str], T | None],
        missing: str,
    ) -> list[T]:
        """What `reader` finds in each answer."""
        found = []
        for item, answer in zip(items, self.complete(prompts), strict=True):
            value = reader(answer)
            if value is None:
                why = f"the judge gave example {item.id} {missing} but {answer[:80]!r}"
                raise UserError(f"{why}; use a better judge")
            found.append(value)
        return found

    def _rating_prompt(self, question: str, reply: str) -> str:
        return (
            "Rate the reply to an instruction on a scale from 1 to 10.\n"
            f"Rubric: {self.rubric}\n\nInstruction: {question}\n\nReply: {reply}\n\n"
            'Begin your answer with "Rating: N/10", then give the reason in one sentence.'
        )

    def _pair_prompt(self, question: str, a: str, b: str) -> str:
        return (
            "Which of two replies to an instruction is better?\n"
            f"Rubric: {self.rubric}\n\nInstruction: {question}\n\nReply A: {a}\n\nReply B: {b}\n\n"
            'Begin your answer with "Better: A", "Better: B" or "Better: tie", then give the '
            "reason in one sentence."
        )


def _variable(name: str) -> str:
    value = os.environ.get(f"{_PREFIX}{name}", "")
    if not value:
        why = f"{_PREFIX}{name} is not set; set it to the endpoint's {name.lower()}"
        raise InvalidOption("metric", "judge", why)
    return value


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

    def _rate(self, prompts: Sequence[str], items: Sequence[Item]) -> list[float]:
        """The mean rating from 1 to 10, weighted by the likelihoods of the ratings."""
        shares = self._shares(prompts, [f"Rating: {int(rating)}/10" for rating in _RATINGS])
        return (shares @ _RATINGS).tolist()

    def _prefer(self, prompts: Sequence[str], items: Sequence[Item]) -> list[float]:
        """The probability of A if the answer is A or B."""
        return self._shares(prompts, ["Better: A", "Better: B"])[:, 0].tolist()

    def _shares(self, prompts: Sequence[str], answers: Sequence[str]) -> torch.Tensor:
        """P(answer) among these answers, (prompts, answers) float64."""
        chats = [self._engine.chat(prompt) for prompt in prompts]
        logprobs = self._engine.loglikelihood(
            [(chat, answer) for chat in chats for answer in answers]
        )
        return (
            torch.tensor(logprobs, dtype=torch.float64).view(len(prompts), len(answers)).softmax(-1)
        )


def load_local_judge(spec: str, device: str = "cpu") -> LocalJudge:
    """A judge from a model's directory or hub id; it stays in memory besides the search's base.

    Raises:
        UserError: the judge cannot be loaded.
    """
    where = pick_device(device)
    model, tokenizer = load_model(resolve_base(spec), pick_dtype("auto", where), where)
    return LocalJudge(TransformersEngine(model, tokenizer))


def judge_metric(spec: str, cache: Path | None, device: str) -> dict[str, Any]:
    """The metrics ``judge`` and ``judge:RUBRIC.txt``: the model ``SWARM_LLM_JUDGE_MODEL`` at
    ``SWARM_LLM_JUDGE_URL``; see `ReplyMetric.load`.

    Raises:
        UserError: a variable or the file is missing.
    """
    file = spec.partition(":")[2]
    rubric = RUBRIC
    if file:
        try:
            rubric = user_path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = f"cannot be read ({error}); give a text file"
            raise InvalidOption("metric", spec, why) from error
    url = _variable("URL")
    model = _variable("MODEL")
    server = Json(url, f"{_PREFIX}KEY", "the judge", _WHEN_DOWN)
    client = ChatClient(server, model, cache)
    judge = Judge(client, rubric)
    return {
        "rate": judge.ratings,
        "compare": judge.win_rate,
        "usage": client.usage.copy,
        "depends": digest([url, model, rubric]),
    }


def local_judge_metric(spec: str, cache: Path | None, device: str) -> dict[str, Any]:
    """The metric ``local-judge:MODEL``; see `ReplyMetric.load`."""
    model = spec.partition(":")[2]
    judge = load_local_judge(model, device)
    return {
        "rate": judge.ratings,
        "compare": judge.win_rate,
        "depends": resolve_base(model).fingerprint,
    }


@dataclass(frozen=True)
class Completion:
    """An endpoint's response; ``tokens`` of prompt and completion as counted by the endpoint, 0 if
    it does not count.
    """

    text: str
    tokens: int


class ChatClient:
    """Sends user turns to an endpoint; repeated requests are answered from a cache.

    Args:
        server: server whose base URL ends in /v1.
        model: the server's name of the model.
        cache: JSONL file of responses by exact request; None: memory only.
        max_tokens: default length limit of a response.

    Attributes:
        usage: number of responses, cached ones included, and their prompt and completion tokens.
    """

    def __init__(
        self, server: Json, model: str, cache: Path | None = None, max_tokens: int = 256
    ) -> None:
        self._server = server
        self._model = model
        self._max_tokens = max_tokens
        self._cache = AppendLog(cache, None, lambda row: wrong_field(row, _CACHED))
        self._lock = threading.Lock()
        self.usage = dict.fromkeys(("requests", *_COUNTS), 0)
        self._completions: dict[str, Completion] = {}
        for row in self._cache.repaired():
            self._remember(row["key"], row["text"], row["usage"])

    def __call__(self, prompts: Sequence[str]) -> list[str]:
        """The greedy responses, as texts; see `complete`."""
        return [completion.text for completion in self.complete(prompts)]

    def complete(
        self, prompts: Sequence[str], options: Mapping[str, Any] | None = None
    ) -> list[Completion]:
        """The responses to user turns, in order, greedy by default.

        Args:
            prompts: user turns.
            options: fields of the protocol: ``temperature``, ``seed``, ``max_tokens``, ...

        Raises:
            UserError: the endpoint refuses, does not respond, or speaks another protocol.
        """
        distinct = list(dict.fromkeys(prompts))
        with ThreadPoolExecutor(max_workers=8) as pool:
            answers = pool.map(lambda prompt: self._answer(prompt, options or {}), distinct)
            try:
                replies = dict(zip(distinct, answers, strict=True))
            finally:  # after a failure, do not wait until all others have failed
                pool.shutdown(cancel_futures=True)
        return [replies[prompt] for prompt in prompts]

    def _answer(self, prompt: str, options: Mapping[str, Any]) -> Completion:
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "max_tokens": self._max_tokens,
            **options,
        }
        key = digest([self._server.url, body])
        with self._lock:
            if key in self._completions:
                return self._completions[key]
        reply = self._server.post("/chat/completions", body)
        try:
            content = reply["choices"][0]["message"]["content"] or ""  # "" for thoughts alone
            text = content.encode(errors="replace").decode()  # unpaired surrogates cannot be stored
            usage = reply.get("usage") or {}
            counts = [max(int(usage.get(name) or 0), 0) for name in _COUNTS]
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            raise UserError(
                f"{self._server.url} answers otherwise than documented: no text in choices, message, "
                "content; use an endpoint that speaks OpenAI's protocol"
            ) from error
        with self._lock:
            self._cache.append({"key": key, "text": text, "usage": counts})
            return self._remember(key, text, counts)

    def _remember(self, key: str, text: str, counts: Sequence[int]) -> Completion:
        for name, n in zip(self.usage, (1, *counts), strict=True):
            self.usage[name] += n
        return self._completions.setdefault(key, Completion(text, sum(counts)))
