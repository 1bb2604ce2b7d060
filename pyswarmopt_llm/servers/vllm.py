"""vLLM's server; routes and fields as in the documentation and source of version 0.30.

``/v1/load_lora_adapter`` and ``/v1/unload_lora_adapter`` exist if the server was started with
VLLM_ALLOW_RUNTIME_LORA_UPDATING; ``/v1/completions`` takes token ids, ``prompt_logprobs`` and,
since 0.30, ``logprob_token_ids``: the log-probabilities of an item's letters in one call.
"""

from __future__ import annotations

import itertools
import logging
import shutil
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import pad

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.http import Json, Refusal, documented
from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.engine.batching import TokenPair
from pyswarmopt_llm.experts.files import write_adapter
from pyswarmopt_llm.servers.engine import CandidateServer, in_order

log = logging.getLogger(__name__)
_TOKENS = 128  # most ids in `logprob_token_ids`
# vLLM's default number of returned log-probabilities; versions before 0.30 return the most likely
# ones
_TOP = 20


class Vllm(CandidateServer):
    """See `CandidateServer`; a candidate is the name of a LoRA folder.

    Args:
        http: the connection.
        version: version reported by the server.
        folder: folder for candidates, visible to both; None: a temporary folder, for a server of
            the same user on this machine.
        dtype: dtype of the stored factors.
        together: simultaneous candidates.

    Raises:
        UserError: no such folder.
    """

    likelihoods = True
    written = "text"

    def __init__(
        self, http: Json, version: str, folder: Path | None, dtype: torch.dtype, together: int
    ) -> None:
        if folder is not None and not folder.is_dir():
            raise UserError(
                f"`server_folder` {folder}: no such directory; create it where the server sees "
                "it, too"
            )
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="swarm-llm-")
        self._folder = folder or Path(self._temporary.name if self._temporary else "")
        self._dtype = dtype
        self._numbers = itertools.count(1)
        # an earlier run may have left a candidate with this number
        self._run = uuid.uuid4().hex[:8]
        self.http = http
        self.together = together
        self.name = f"vLLM {version} at {http.url}"
        self._model, self.base, self.window = self.running()

    def running(self) -> tuple[str, str, int | None]:
        """See `CandidateServer.running`: the base's name, its source and its window."""
        cards = self.http.get("/v1/models")
        with documented(self.name):
            base = next(card for card in cards["data"] if not card.get("parent"))
            return str(base["id"]), str(base.get("root") or base["id"]), base.get("max_model_len")

    def to_cut(self, text: str) -> dict[str, Any]:
        """See `CandidateServer.to_cut`."""
        return {"model": self._model, "prompt": text, "add_special_tokens": False}

    def started_with(self, name: str) -> str | None:
        """See `CandidateServer.started_with`."""
        cards = self.http.get("/v1/models")
        with documented(self.name):
            names = [str(card["id"]) for card in cards["data"] if card.get("parent")]
        return name if name in names else None

    def load(self, patch: Patch) -> str | None:
        """See `CandidateServer.load`."""
        if not patch.low_rank:
            return None
        changes = {name.removesuffix(".weight"): change for name, change in patch.low_rank.items()}
        # The server gives all modules the rank and scale in the file's config, so all get the
        # largest rank.
        rank = max(change.a.shape[0] for change in changes.values())
        factors = {module: self._padded(change, rank) for module, change in changes.items()}
        targets = {module.rpartition(".")[2] for module in changes}

        name = f"candidate-{self._run}-{next(self._numbers)}"
        path = self._folder / name
        try:
            write_adapter(path, factors, base_model_name="", target_modules=targets)
            body = {"lora_name": name, "lora_path": str(path.resolve())}
            self.http.send("/v1/load_lora_adapter", body)
        except Refusal as refusal:
            if "already been loaded" in refusal.text:  # its answer was lost, and it was asked again
                return name
            shutil.rmtree(path, ignore_errors=True)
            raise self._why_refused(refusal) from refusal
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise
        return name

    def unload(self, candidate: str | None) -> None:
        """See `CandidateServer.unload`; ignored if the server no longer has the candidate."""
        if candidate is None:
            return
        shutil.rmtree(self._folder / candidate, ignore_errors=True)
        try:
            self.http.send("/v1/unload_lora_adapter", {"lora_name": candidate}, once=True)
        except UserError as error:
            log.debug("%s", error.text)

    def _padded(self, change: LowRank, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
        missing = rank - change.a.shape[0]
        b = pad(change.b, (0, missing))
        a = pad(change.a, (0, 0, 0, missing))
        return b.to(self._dtype), a.to(self._dtype)

    def _why_refused(self, refusal: Refusal) -> UserError:
        if refusal.status == 404 and "Not Found" in refusal.text:
            return UserError(
                f"{self.name} has no route to load adapters; start it with "
                "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True and its option enable-lora"
            )
        doubts = f"does it see {self._folder} (`server_folder`), and take adapters of this rank?"
        return UserError(f"{refusal.text}; {doubts}")

    def score(self, candidate: str | None, pairs: Sequence[TokenPair]) -> list[list[Any]]:
        """See `CandidateServer.score`; continuations of one token are read from the next-token
        distribution, as far as the server returns it.
        """
        known = self._next_tokens(candidate, [pair for pair in pairs if len(pair[1]) == 1])
        others = list(dict.fromkeys(pair for pair in pairs if pair not in known))
        if others:
            known |= self._texts(candidate, others)
        return [known[pair] for pair in pairs]

    def _next_tokens(
        self, candidate: str | None, pairs: Sequence[TokenPair]
    ) -> dict[TokenPair, list[Any]]:
        ids = sorted({token for _, (token,) in pairs})
        if not 0 < len(ids) <= _TOKENS:
            return {}
        contexts = list(dict.fromkeys(context for context, _ in pairs))
        options = {"logprobs": _TOP, "logprob_token_ids": ids, "return_tokens_as_token_ids": True}
        choices = self.complete(candidate, contexts, 1, **options)
        with documented(self.name):
            tops = (choice["logprobs"]["top_logprobs"][0] for choice in choices)
            top_of = dict(zip(contexts, tops, strict=True))
            return {
                (context, (token,)): [top_of[context][f"token_id:{token}"]]
                for context, (token,) in pairs
                if f"token_id:{token}" in top_of[context]
            }

    def _texts(
        self, candidate: str | None, pairs: Sequence[TokenPair]
    ) -> dict[TokenPair, list[Any]]:
        texts = [context + continuation for context, continuation in pairs]
        choices = self.complete(candidate, texts, 1, prompt_logprobs=1)
        values = {}
        with documented(self.name):
            for choice, ids, pair in zip(choices, texts, pairs, strict=True):
                rows = choice["prompt_logprobs"]
                scored = range(len(pair[0]), len(ids))
                values[pair] = [rows[i][str(ids[i])]["logprob"] for i in scored]
        return values

    def complete(
        self, candidate: str | None, prompts: Sequence[Sequence[int]], new: int, **options: Any
    ) -> list[Any]:
        """See `CandidateServer.complete`."""
        body = {
            "model": self._model if candidate is None else candidate,
            "prompt": [list(ids) for ids in prompts],
            "max_tokens": new,
            "temperature": 0.0,
            "top_p": 1.0,
            "repetition_penalty": 1.0,  # the model's generation_config.json may differ
            **options,
        }
        answer = self.http.post("/v1/completions", body)
        with documented(self.name):
            return in_order(answer["choices"], len(prompts))
