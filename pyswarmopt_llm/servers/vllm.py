"""vLLM's server; routes and fields as its documentation and source have them in version 0.30.

``/v1/load_lora_adapter`` and ``/v1/unload_lora_adapter`` exist where it was started with
VLLM_ALLOW_RUNTIME_LORA_UPDATING; ``/v1/completions`` takes token ids, ``prompt_logprobs`` and,
since 0.30, ``logprob_token_ids``: the log-probabilities of an item's letters in one call.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.http import Refusal
from pyswarmopt_llm.engine.batching import TokenPair
from pyswarmopt_llm.servers.http import Http
from pyswarmopt_llm.servers.server import LoraFiles, by_context, reading

_TOKENS = 128  # at most in `logprob_token_ids`
# vLLM's default of the log-probabilities that it returns; those before 0.30 give the most likely
# ones
_TOP = 20


class Vllm(LoraFiles):
    """See `CandidateServer`.

    Args:
        http: the connection.
        version: as the server says.
        folder: see `LoraFiles`.
        dtype: see `LoraFiles`.
        together: candidates in flight.
    """

    likelihoods = True

    def __init__(
        self, http: Http, version: str, folder: Path | None, dtype: torch.dtype, together: int
    ) -> None:
        super().__init__(folder, dtype)
        self._http, self.together = http, together
        self.name = f"vLLM {version} at {http.url}"
        self._model, self.base, self.window = self.running()

    @property
    def failures(self) -> int:
        """See `CandidateServer.failures`."""
        return self._http.failures

    def running(self) -> tuple[str, str, int | None]:
        """See `CandidateServer.running`: the base's name, its source and its window."""
        with reading(self.name):
            cards = self._http.get("/v1/models")["data"]
            base = next(card for card in cards if not card.get("parent"))
            return str(base["id"]), str(base.get("root") or base["id"]), base.get("max_model_len")

    def tokens(self, text: str) -> list[int]:
        """See `CandidateServer.tokens`."""
        body = {"model": self._model, "prompt": text, "add_special_tokens": False}
        with reading(self.name):
            return list(self._http.post("/tokenize", body)["tokens"])

    def chat_tokens(self, user: str) -> list[int] | None:
        """See `CandidateServer.chat_tokens`."""
        turn = {"role": "user", "content": user}
        body = {"model": self._model, "messages": [turn], "add_generation_prompt": True}
        try:
            answer = self._http.post("/tokenize", body)
        except Refusal:  # the model has no chat template
            return None
        with reading(self.name):
            return list(answer["tokens"])

    def add(self, name: str, path: str) -> None:
        """See `LoraFiles.add`."""
        try:
            self._http.send("/v1/load_lora_adapter", {"lora_name": name, "lora_path": path})
        except Refusal as refusal:
            if refusal.status == 404 and "Not Found" in refusal.text:
                raise UserError(
                    f"{self.name} has no route to load adapters; start it with "
                    "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True "
                    "and its option enable-lora"
                ) from refusal
            raise

    def remove(self, name: str) -> None:
        """See `LoraFiles.remove`."""
        self._http.tell("/v1/unload_lora_adapter", {"lora_name": name})

    def score(self, candidate: str | None, pairs: Sequence[TokenPair]) -> list[list[Any]]:
        """See `CandidateServer.score`; continuations of one token are read from the next token's
        distribution.
        """
        values: dict[int, list[Any]] = {}
        ids = sorted({continuation[0] for _, continuation in pairs if len(continuation) == 1})
        if 0 < len(ids) <= _TOKENS:
            values = self._next_tokens(candidate, pairs, ids)
        rest = [place for place in range(len(pairs)) if place not in values]
        if rest:
            values |= zip(
                rest, self._texts(candidate, [pairs[place] for place in rest]), strict=True
            )
        return [values[place] for place in range(len(pairs))]

    def _next_tokens(
        self, candidate: str | None, pairs: Sequence[TokenPair], ids: Sequence[int]
    ) -> dict[int, list[Any]]:
        """Place -> value, of the continuations of one token as far as the server gives them."""
        contexts = by_context(
            pairs, [place for place, pair in enumerate(pairs) if len(pair[1]) == 1]
        )
        options = {"logprobs": _TOP, "logprob_token_ids": ids, "return_tokens_as_token_ids": True}
        choices = self._complete(candidate, list(contexts), 1, **options)
        values = {}
        with reading(self.name):
            for choice, places in zip(choices, contexts.values(), strict=True):
                logprobs = choice["logprobs"]["top_logprobs"][0]
                for place in places:
                    token = f"token_id:{pairs[place][1][0]}"
                    if token in logprobs:
                        values[place] = [logprobs[token]]
        return values

    def _texts(self, candidate: str | None, pairs: Sequence[TokenPair]) -> list[list[Any]]:
        whole = [context + continuation for context, continuation in pairs]
        choices = self._complete(candidate, whole, 1, prompt_logprobs=1)
        values = []
        with reading(self.name):
            for choice, ids, (context, _) in zip(choices, whole, pairs, strict=True):
                by_place = choice["prompt_logprobs"]
                scored = range(len(context), len(ids))
                values.append([by_place[i][str(ids[i])]["logprob"] for i in scored])
        return values

    def generate(
        self, candidate: str | None, prompts: Sequence[Sequence[int]], max_new_tokens: int
    ) -> list[str]:
        """See `CandidateServer.generate`."""
        choices = self._complete(candidate, prompts, max_new_tokens)
        with reading(self.name):
            return [str(choice["text"]) for choice in choices]

    def _complete(
        self, candidate: str | None, prompts: Sequence[Sequence[int]], new: int, **options: Any
    ) -> list[Any]:
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
        with reading(self.name):
            by_index = {choice["index"]: choice for choice in answer["choices"]}
            return [by_index[index] for index in range(len(prompts))]
