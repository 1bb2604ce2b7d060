"""Whole replies by the resident model, of one candidate or of several at once.

What writes them is imported when there is something to write.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.models.engines.batching import KEYS_PER_TOKEN
from pyswarmopt_llm.models.engines.mixing import Mixing, RowMixing
from pyswarmopt_llm.models.engines.resident import ResidentModel

if TYPE_CHECKING:
    from pyswarmopt_llm.models.engines.generation.decoder import Decoder
    from pyswarmopt_llm.models.engines.generation.write import Draw

# prompts, maximum number of new tokens, sampling
Call = tuple[tuple[str, ...], int, "Draw | None"]


class ReplyWriter(ResidentModel):
    """Writes replies; arguments as for `ResidentModel`."""

    def __init__(
        self, model: Any, tokenizer: Any, batch_tokens: int = 1024, mixing: Mixing | None = None
    ) -> None:
        super().__init__(model, tokenizer, batch_tokens, mixing)
        self._expected = Expected()
        self._texts: dict[Call, list[str]] = {}  # of the candidate that is loaded

    def load(self, patch: Patch) -> None:
        """See `ResidentModel.load`."""
        self._texts.clear()
        super().load(patch)

    @property
    def mixes_rows(self) -> bool:
        """See `interfaces.ExpectingEngine`: where candidates are added at run time."""
        return isinstance(self._mixing, RowMixing) and bool(self._passes.windows)

    def expect(self, patches: Sequence[Patch]) -> None:
        """See `interfaces.ExpectingEngine`."""
        self._expected.replace(patches)

    def generate(self, prompts: Sequence[str], max_new_tokens: int = 64) -> list[str]:
        """Greedy continuations, without special tokens; finished sequences leave the batch.

        Several scores of the same replies cost one writing: they are kept until the next `load`.
        """
        return self._written(prompts, max_new_tokens)

    def sample(self, prompts: Sequence[str], draw: Draw, max_new_tokens: int = 64) -> list[str]:
        """Sampled continuations, one per prompt; a text depends on its seed, not on the other
        prompts.
        """
        return self._written(prompts, max_new_tokens, draw)

    def generation_batches(
        self, prompts: Sequence[str], max_new_tokens: int = 64
    ) -> list[tuple[int, ...]]:
        """The prompts of each batch of `generate`, of similar length; a batch passed alone stays
        one batch.
        """
        return self._generation_batches(
            self.encode_prompts(prompts, max_new_tokens), max_new_tokens
        )

    def _generation_batches(
        self, encoded: Sequence[tuple[int, ...]], max_new_tokens: int
    ) -> list[tuple[int, ...]]:
        from pyswarmopt_llm.models.engines.generation.write import batches_of_similar_length

        lengths = [len(ids) + max_new_tokens for ids in encoded]
        return batches_of_similar_length(lengths, KEYS_PER_TOKEN * self.batch_tokens)

    def _written(
        self, prompts: Sequence[str], max_new_tokens: int, draw: Draw | None = None
    ) -> list[str]:
        """Continuations, greedy or sampled, written once for each candidate."""
        call = (tuple(prompts), max_new_tokens, draw)
        if call not in self._texts:
            self._texts[call] = self._written_now(call)
        return list(self._texts[call])

    def _written_now(self, call: Call) -> list[str]:
        prompts, max_new_tokens, draw = call
        texts = self._expected.replies(self._candidate, call)
        if texts is None:
            encoded = self.encode_prompts(prompts, max_new_tokens)
            self._write_ahead(call, encoded)
            texts = self._expected.replies(self._candidate, call)
        return (
            self._written_alone(prompts, encoded, max_new_tokens, draw) if texts is None else texts
        )

    def _write_ahead(self, call: Call, encoded: Sequence[tuple[int, ...]]) -> None:
        """Write the replies of as many expected candidates together as a batch has room for, if it
        has for several.
        """
        _, max_new_tokens, draw = call
        longest = max(map(len, encoded), default=0) + max_new_tokens
        room = KEYS_PER_TOKEN * self.batch_tokens // (longest * max(len(encoded), 1))
        group = self._expected.group(self._candidate, room)
        if len(group) < 2 or not self.mixes_rows or not isinstance(self._mixing, RowMixing):
            return
        from pyswarmopt_llm.models.engines.generation.few_rows import rearranged_weights
        from pyswarmopt_llm.models.engines.generation.several import SeveralDecoder

        self._merged = None
        settings = (max_new_tokens, self.batch_tokens, self.pad(), self._mixing, group)
        decoder = SeveralDecoder(self._passes, encoded, *settings)
        rows = None if draw is None else draw.rows([*range(len(encoded))] * len(group))
        try:
            with rearranged_weights(self._model, max_new_tokens):
                texts = self._replies(decoder, len(encoded) * len(group), max_new_tokens, rows)
        except RuntimeError as error:
            self._smaller_batches(error, len(encoded) * len(group))
            self._expected.replace([])
            return
        for k, patch in enumerate(group):
            start = k * len(encoded)
            self._expected.keep(patch, call, texts[start : start + len(encoded)])

    def _written_alone(
        self,
        prompts: Sequence[str],
        encoded: Sequence[tuple[int, ...]],
        max_new_tokens: int,
        draw: Draw | None,
    ) -> list[str]:
        """Continuations by the candidate that is loaded."""
        from pyswarmopt_llm.models.engines.generation.few_rows import rearranged_weights

        texts: dict[int, str] = {}
        with closing(self._shares(prompts)) as shares:
            for places in shares:
                batches = self._generation_batches([encoded[i] for i in places], max_new_tokens)
                with rearranged_weights(self.model, max_new_tokens):
                    for batch in batches:
                        chosen = [places[k] for k in batch]
                        rows = None if draw is None else draw.rows(chosen)
                        written = self._write([encoded[i] for i in chosen], max_new_tokens, rows)
                        texts |= zip(chosen, written, strict=True)
        return [texts[i] for i in range(len(prompts))]

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
        from pyswarmopt_llm.models.engines.generation.write import greedy, sampled

        if draw is None:
            replies = greedy(decoder, n, self.stops(), max_new_tokens)
        else:
            replies = sampled(decoder, self.stops(), max_new_tokens, draw)
        self.tokens_fed += decoder.tokens_fed
        return [self.tokenizer.decode(ids, skip_special_tokens=True) for ids in replies]

    def decoder(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> Decoder:
        """A decoder of prompts, given as token ids, by the model with the candidate's weights."""
        return self.passes.decoder(prompts, max_new_tokens, self.batch_tokens, self.pad())


class Expected:
    """Candidates that will be loaded, and replies of theirs that were written with others'."""

    def __init__(self) -> None:
        self._patches: list[Patch] = []
        self._texts: dict[tuple[int, Call], list[str]] = {}

    def replace(self, patches: Sequence[Patch]) -> None:
        """Forget the previous ones."""
        self._patches = list(patches)
        self._texts.clear()

    def group(self, patch: Patch, size: int) -> list[Patch]:
        """The candidates that are written together with one, itself among them: the same ones
        whichever of them is first, so that a search that is resumed has the same batches.
        """
        place = self._place(patch)
        if place is None or size < 2:
            return [patch]
        start = place // size * size
        return self._patches[start : start + size]

    def keep(self, patch: Patch, call: Call, texts: list[str]) -> None:
        """Replies of a candidate, which another call like this one needs, too."""
        place = self._place(patch)
        if place is not None:
            self._texts[place, call] = texts

    def replies(self, patch: Patch, call: Call) -> list[str] | None:
        """Those that `keep` was given; None if there are none."""
        place = self._place(patch)
        return None if place is None else self._texts.get((place, call))

    def _place(self, patch: Patch) -> int | None:
        return next((k for k, other in enumerate(self._patches) if other is patch), None)
