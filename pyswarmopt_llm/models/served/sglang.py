"""SGLang's server; routes and fields as its documentation and `io_struct.py` have them in November
2026.

Adapters are loaded by path. The route that takes tensors is left alone: CVE-2026-15969.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.models.engines.batching import TokenPair
from pyswarmopt_llm.models.served.http import Http
from pyswarmopt_llm.models.served.server import LoraFiles, by_context, reading


class Sglang(LoraFiles):
    """See `CandidateServer`.

    Args:
        http: the connection.
        model: what ``/get_model_info`` answers.
        folder: see `LoraFiles`.
        dtype: see `LoraFiles`.
        together: candidates in flight.
    """

    likelihoods = True

    def __init__(
        self, http: Http, model: Any, folder: Path | None, dtype: torch.dtype, together: int
    ) -> None:
        super().__init__(folder, dtype)
        self._http, self.together = http, together
        server = http.greet("/server_info") or http.greet("/get_server_info") or {}
        self.name = f"SGLang {server.get('version', '')}".rstrip() + f" at {http.url}"
        self.base = str(model.get("model_path", ""))
        self.window: int | None = server.get("context_length")

    def tokens(self, text: str) -> list[int]:
        """See `CandidateServer.tokens`."""
        answer = self._http.post("/tokenize", {"prompt": text, "add_special_tokens": False})
        with reading(self.name):
            return list(answer["tokens"])

    def chat_tokens(self, user: str) -> None:
        """See `CandidateServer.chat_tokens`: no route gives them."""

    def add(self, name: str, path: str) -> None:
        """See `LoraFiles.add`."""
        answer = self._http.post("/load_lora_adapter", {"lora_name": name, "lora_path": path})
        with reading(self.name):
            if not answer["success"]:
                raise UserError(
                    f"{self.name} does not load the candidate: {answer['error_message']}"
                )

    def remove(self, name: str) -> None:
        """See `LoraFiles.remove`."""
        self._http.tell("/unload_lora_adapter", {"lora_name": name})

    def score(self, candidate: str | None, pairs: Sequence[TokenPair]) -> list[float]:
        """See `CandidateServer.score`; continuations of one token are read from the next token's
        distribution.
        """
        single = [place for place, (_, continuation) in enumerate(pairs) if len(continuation) == 1]
        longer = [place for place, (_, continuation) in enumerate(pairs) if len(continuation) > 1]
        values = dict(
            zip(
                single,
                self._next_tokens(candidate, [pairs[place] for place in single]),
                strict=True,
            )
        )
        values |= zip(
            longer, self._texts(candidate, [pairs[place] for place in longer]), strict=True
        )
        return [values[place] for place in range(len(pairs))]

    def _next_tokens(self, candidate: str | None, pairs: Sequence[TokenPair]) -> list[float]:
        contexts = by_context(pairs)
        ids = [sorted({pairs[place][1][0] for place in places}) for places in contexts.values()]
        options = {"return_logprob": True, "logprob_start_len": -1, "token_ids_logprob": ids}
        answers = self._generate(candidate, list(contexts), 1, options)
        values: dict[int, float] = {}
        with reading(self.name):
            for answer, places in zip(answers, contexts.values(), strict=True):
                logprobs = {
                    entry[1]: entry[0]
                    for entry in answer["meta_info"]["output_token_ids_logprobs"][0]
                }
                values |= {place: float(logprobs[pairs[place][1][0]]) for place in places}
        return [values[place] for place in range(len(pairs))]

    def _texts(self, candidate: str | None, pairs: Sequence[TokenPair]) -> list[float]:
        starts = [len(context) - 1 for context, _ in pairs]
        whole = [context + continuation for context, continuation in pairs]
        answers = self._generate(
            candidate, whole, 1, {"return_logprob": True, "logprob_start_len": starts}
        )
        sums = []
        with reading(self.name):
            for answer, (_, continuation) in zip(answers, pairs, strict=True):
                # The first entry has no value, and where it stands depends on the version: the last
                # ones count.
                entries = answer["meta_info"]["input_token_logprobs"][-len(continuation) :]
                if tuple(entry[1] for entry in entries) != continuation:
                    raise ValueError("log-probabilities of other tokens")
                sums.append(sum(float(entry[0]) for entry in entries))
        return sums

    def generate(
        self, candidate: str | None, prompts: Sequence[Sequence[int]], max_new_tokens: int
    ) -> list[str]:
        """See `CandidateServer.generate`."""
        answers = self._generate(candidate, prompts, max_new_tokens, {})
        with reading(self.name):
            return [str(answer["text"]) for answer in answers]

    def _generate(
        self,
        candidate: str | None,
        prompts: Sequence[Sequence[int]],
        new: int,
        options: dict[str, Any],
    ) -> list[Any]:
        if not prompts:
            return []
        sampling = {
            "temperature": 0.0,
            "top_p": 1.0,
            "repetition_penalty": 1.0,
            "max_new_tokens": new,
        }
        body = {"input_ids": [list(ids) for ids in prompts], "sampling_params": sampling, **options}
        if candidate is not None:
            body["lora_path"] = [candidate] * len(prompts)
        answers = self._http.post("/generate", body)
        with reading(self.name):
            return [answers[index] for index in range(len(prompts))]
