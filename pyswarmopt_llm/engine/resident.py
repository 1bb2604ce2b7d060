"""One resident base, and candidates that are put into it."""

from __future__ import annotations

import logging
from typing import Any

import torch

from pyswarmopt_llm.common.errors import NoRoomError
from pyswarmopt_llm.common.hardware import out_of_memory
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.base import BaseEngine, PromptTokenizer, window_of
from pyswarmopt_llm.engine.mixing import Mixing, PatchedWeights
from pyswarmopt_llm.engine.packed_attention import use_packed_attention
from pyswarmopt_llm.engine.passes import Passes, passes_of

log = logging.getLogger(__name__)


class ResidentModel(PromptTokenizer, BaseEngine):
    """A causal language model with candidates patched onto it, for the engines that run it.

    Args:
        model: a transformers causal LM in eval mode, on its device.
        tokenizer: the model's tokenizer, with a pad token.
        batch_tokens: padded tokens per forward pass; halved when memory runs out.
        mixing: puts candidates into the model, and takes them out exactly; default:
            `PatchedWeights`, which changes its weights in place.

    Attributes:
        batch_tokens: as given.
        name: of the base, for error messages.
        tokens_fed: tokens sent through the model so far, padding excluded.
    """

    def __init__(
        self, model: Any, tokenizer: Any, batch_tokens: int = 1024, mixing: Mixing | None = None
    ) -> None:
        super().__init__(tokenizer, window_of(model.config))
        self._model, self.name = model, "the base"
        self.batch_tokens = batch_tokens
        self.tokens_fed = 0
        self._mixing = mixing or PatchedWeights(model)
        self._candidate = Patch()
        self._merged: Patch | None = self._candidate
        self._short_of_memory = False
        self._passes = passes_of(model)
        if self._passes.note:
            self.notes = {"batches": self._passes.note}
        use_packed_attention(model)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the model's weights."""
        return self._model.dtype

    @property
    def parameter_names(self) -> tuple[str, ...]:  # type: ignore[override]  # read-only here
        """See `interfaces.Engine`."""
        return self._mixing.parameter_names

    @property
    def model(self) -> Any:
        """The model with the candidate's weights."""
        if self._merged is not self._candidate:
            self._merged = None  # until an interrupted merge is repeated
            self._mixing.load(self._candidate)
            self._merged = self._candidate
        return self._model

    @property
    def passes(self) -> Passes:
        """Forward passes of the model with the candidate's weights."""
        _ = self.model
        return self._passes

    def load(self, patch: Patch) -> None:
        """Make the resident model ``base + patch``; see `Mixing.load`."""
        self._merged = None
        self._candidate = patch
        changed = patch.low_rank or patch.full_rank or patch.dense
        self._passes.name = f"{self.name} with what is added to it" if changed else self.name
        _ = self.model

    def _smaller_batches(self, error: RuntimeError, rows: int) -> None:
        """Handle an error of a batch: if memory ran out, halve later batches and warn once; else
        raise it.
        """
        if not out_of_memory(error):
            raise error
        if rows == 1:
            raise NoRoomError(
                "out of memory with a single item in the batch; use a smaller base or shorter items"
            )
        if not self._short_of_memory:
            log.warning(
                "out of memory with %d tokens per batch: continuing with smaller batches",
                self.batch_tokens,
            )
            self._short_of_memory = True
            self.halve_batches()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def halve_batches(self) -> bool:
        """Make later batches smaller; whether they could be."""
        could, self.batch_tokens = self.batch_tokens > 1, max(self.batch_tokens // 2, 1)
        return could

    def stops(self) -> frozenset[int]:
        """Tokens that end a turn: the tokenizer's and those of the model's generation config."""
        named = self.model.generation_config.eos_token_id
        listed = named if isinstance(named, list) else [named]
        return frozenset(int(i) for i in [self.tokenizer.eos_token_id, *listed] if i is not None)
