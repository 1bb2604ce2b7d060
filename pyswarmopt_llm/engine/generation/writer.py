"""Whole replies by the resident model, of one candidate.

What writes them is imported when there is something to write.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.batching import KEYS_PER_TOKEN
from pyswarmopt_llm.engine.mixing import Mixing
from pyswarmopt_llm.engine.resident import ResidentModel

if TYPE_CHECKING:
    from pyswarmopt_llm.engine.generation.decoder import Decoder
    from pyswarmopt_llm.engine.generation.write import Draw

log = logging.getLogger(__name__)

_LONG = 32  # new tokens from which a reply is meant to end by itself
# prompts, maximum number of new tokens, sampling
Call = tuple[tuple[str, ...], int, "Draw | None"]


class ReplyWriter(ResidentModel):
    """Writes replies; arguments as for `ResidentModel`."""

    def __init__(
        self, model: Any, tokenizer: Any, batch_tokens: int = 1024, mixing: Mixing | None = None
    ) -> None:
        super().__init__(model, tokenizer, batch_tokens, mixing)
        self._texts: dict[Call, list[str]] = {}  # of the candidate that is loaded
        self._cut_off, self._told = 0, False  # replies that ended by length, of this call

    def load(self, patch: Patch) -> None:
        """See `ResidentModel.load`."""
        self._texts.clear()
        super().load(patch)

    def generate(
        self, prompts: Sequence[str], max_new_tokens: int = 64, draw: Draw | None = None
    ) -> list[str]:
        """Continuations without special tokens, greedy or as drawn; finished rows leave the batch.

        A drawn text depends on its seed, not on the other prompts. Several scores of the same
        replies cost one writing: they are kept until the next `load`.
        """
        call = (tuple(prompts), max_new_tokens, draw)
        if call not in self._texts:
            self._texts[call] = self._written_now(*call)
        return list(self._texts[call])

    def _batches(
        self, encoded: Sequence[tuple[int, ...]], max_new_tokens: int
    ) -> list[tuple[int, ...]]:
        """Indices of the prompts that are continued together, of similar length."""
        from pyswarmopt_llm.engine.generation.write import batches_of_similar_length

        lengths = [len(ids) + max_new_tokens for ids in encoded]
        return batches_of_similar_length(lengths, KEYS_PER_TOKEN * self.batch_tokens)

    def _written_now(
        self, prompts: Sequence[str], max_new_tokens: int, draw: Draw | None
    ) -> list[str]:
        """Continuations by the candidate that is loaded."""
        from pyswarmopt_llm.engine.generation.few_rows import rearranged_weights

        encoded = self.encode_prompts(prompts, max_new_tokens)
        texts: dict[int, str] = {}
        with rearranged_weights(self.model, max_new_tokens):
            for batch in self._batches(encoded, max_new_tokens):
                rows = None if draw is None else draw.rows(batch)
                written = self._write([encoded[i] for i in batch], max_new_tokens, rows)
                texts |= zip(batch, written, strict=True)
                self._tell(len(texts), len(prompts))
        self._tell_of_cut_off(len(prompts), max_new_tokens)
        return [texts[i] for i in range(len(prompts))]

    def _tell_of_cut_off(self, count: int, max_new_tokens: int) -> None:
        """Say once that replies end by their length, where a tenth of many does."""
        cut, self._cut_off = self._cut_off, 0
        if not self._told and max_new_tokens >= _LONG and 10 * cut >= count >= 4:
            self._told = True
            log.warning(
                "%d of %d replies reached max_new_tokens, %d, and end in the middle",
                cut,
                count,
                max_new_tokens,
            )

    def _write(
        self, prompts: Sequence[tuple[int, ...]], max_new_tokens: int, draw: Draw | None = None
    ) -> list[str]:
        """Continuations of a batch; it is halved when memory runs out."""
        try:
            decoder = self.decoder(prompts, max_new_tokens)
            return self._replies(decoder, len(prompts), max_new_tokens, draw)
        except RuntimeError as error:
            self._smaller_batches(error, len(prompts))
        half = len(prompts) // 2
        texts = []
        for part in (range(half), range(half, len(prompts))):
            rows = None if draw is None else draw.rows(part)
            texts += self._write([prompts[i] for i in part], max_new_tokens, rows)
        return texts

    def _replies(
        self, decoder: Decoder, n: int, max_new_tokens: int, draw: Draw | None
    ) -> list[str]:
        """The texts of a decoder's n rows."""
        from pyswarmopt_llm.engine.generation.write import greedy, sampled

        if draw is None:
            replies = greedy(decoder, n, self.stops(), max_new_tokens)
        else:
            replies = sampled(decoder, self.stops(), max_new_tokens, draw)
        self.tokens_fed += decoder.tokens_fed
        self._cut_off += sum(len(ids) == max_new_tokens for ids in replies)
        return [self.tokenizer.decode(ids, skip_special_tokens=True) for ids in replies]

    def decoder(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> Decoder:
        """A decoder of prompts, given as token ids, by the model with the candidate's weights."""
        return self.passes.decoder(prompts, max_new_tokens, self.batch_tokens, self.pad())
