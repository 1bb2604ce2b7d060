"""vLLM's server, from 0.12 on; routes and fields as its documentation and source have them in version 0.30.

``/v1/load_lora_adapter`` and ``/v1/unload_lora_adapter`` exist where it was started with
VLLM_ALLOW_RUNTIME_LORA_UPDATING; ``/v1/completions`` takes token ids, ``prompt_logprobs`` and, since 0.30,
``logprob_token_ids``: the log-probabilities of an item's letters in one call.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.models.engines.batching import TokenPair
from pyswarmopt_llm.models.served.http import Http, Refusal
from pyswarmopt_llm.models.served.server import LoraFiles, by_context, read, rows

_TOKENS = 128  # at most in `logprob_token_ids`
_TOP = 20  # vLLM's default of the log-probabilities that it returns; those before 0.30 give the most likely ones


class Vllm(LoraFiles):
    """See `CandidateServer`.

    Args:
        http: the connection.
        version: as the server says.
        folder, dtype: see `LoraFiles`.
        together: candidates in flight.
    """

    likelihoods = True

    def __init__(self, http: Http, version: str, folder: Path | None, dtype: torch.dtype, together: int) -> None:
        super().__init__(folder, dtype)
        self._http, self.together = http, together
        self.name = f"vLLM {version} at {http.url}"
        models = read(http.get("/v1/models"), lambda answer: answer["data"], self.name)
        base = read(models, lambda cards: next(card for card in cards if not card.get("parent")), self.name)
        self._model = read(base, lambda card: str(card["id"]), self.name)
        self.base = str(base.get("root") or self._model)
        self.window: int | None = base.get("max_model_len")

    def tokens(self, text: str) -> list[int]:
        """See `CandidateServer.tokens`."""
        body = {"model": self._model, "prompt": text, "add_special_tokens": False}
        return read(self._http.post("/tokenize", body), lambda answer: list(answer["tokens"]), self.name)

    def add(self, name: str, path: str) -> None:
        """See `LoraFiles.add`."""
        try:
            self._http.post("/v1/load_lora_adapter", {"lora_name": name, "lora_path": path})
        except Refusal as refusal:
            if refusal.status == 404 and "No adapter" not in refusal.text:
                raise UserError(
                    f"{self.name} has no route to load adapters; start it with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True "
                    "and its option enable-lora"
                ) from refusal
            raise

    def remove(self, name: str) -> None:
        """See `LoraFiles.remove`."""
        self._http.tell("/v1/unload_lora_adapter", {"lora_name": name})

    def score(self, candidate: str | None, pairs: Sequence[TokenPair]) -> list[float]:
        """See `CandidateServer.score`; continuations of one token are read from the next token's distribution."""
        values: dict[int, float] = {}
        ids = sorted({continuation[0] for _, continuation in pairs if len(continuation) == 1})
        if 0 < len(ids) <= _TOKENS:
            values = self._next_tokens(candidate, pairs, ids)
        rest = [place for place in range(len(pairs)) if place not in values]
        if rest:
            values |= zip(rest, self._given(candidate, [pairs[place] for place in rest]), strict=True)
        return [values[place] for place in range(len(pairs))]

    def _next_tokens(self, candidate: str | None, pairs: Sequence[TokenPair], ids: Sequence[int]) -> dict[int, float]:
        """Place -> value, of the continuations of one token as far as the server gives them."""
        contexts = by_context([pair for pair in pairs if len(pair[1]) == 1])
        options = {"logprobs": _TOP, "logprob_token_ids": ids, "return_tokens_as_token_ids": True}
        choices = self._complete(candidate, list(contexts), 1, **options)
        top = [read(row, lambda row: row["logprobs"]["top_logprobs"][0], self.name) for row in choices]
        logprobs = dict(zip(contexts, top, strict=True))
        values = {}
        for place, (context, continuation) in enumerate(pairs):
            if len(continuation) == 1 and (value := logprobs[context].get(f"token_id:{continuation[0]}")) is not None:
                values[place] = float(value)
        return values

    def _given(self, candidate: str | None, pairs: Sequence[TokenPair]) -> list[float]:
        whole = [context + continuation for context, continuation in pairs]
        choices = self._complete(candidate, whole, 1, prompt_logprobs=1)
        sums = []
        for row, ids, (context, _) in zip(choices, whole, pairs, strict=True):
            listed = read(row, lambda row: row["prompt_logprobs"], self.name)
            places = range(len(context), len(ids))
            sums.append(read(listed, lambda at: sum(float(at[i][str(ids[i])]["logprob"]) for i in places), self.name))
        return sums

    def generate(self, candidate: str | None, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[str]:
        """See `CandidateServer.generate`."""
        choices = self._complete(candidate, prompts, max_new_tokens)
        return [read(row, lambda row: str(row["text"]), self.name) for row in choices]

    def _complete(self, candidate: str | None, prompts: Sequence[Sequence[int]], new: int, **options: Any) -> list[Any]:
        body = {
            "model": self._model if candidate is None else candidate,
            "prompt": [list(ids) for ids in prompts],
            "max_tokens": new,
            "temperature": 0.0,
            "top_p": 1.0,
            "repetition_penalty": 1.0,  # the model's generation_config.json may say otherwise
            **options,
        }
        answer = self._http.post("/v1/completions", body)
        choices = read(answer, lambda answer: sorted(answer["choices"], key=lambda row: row["index"]), self.name)
        return rows(choices, len(prompts), self.name)
