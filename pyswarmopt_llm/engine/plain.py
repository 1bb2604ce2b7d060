"""Passes of models whose layers do not take a mask and position ids per token: recurrent ones, linear
attention, chunks, distances by index.

A row is a whole text, nothing is shared between rows, and rows of one batch have one length: there
is no padding, which such layers may look at.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.engine.batching import Batch, BatchPlan, TokenPair, build_row, in_batches
from pyswarmopt_llm.engine.passes import Decoder, Passes

_STATES = ("past_key_values", "cache_params", "state")  # as models of transformers return theirs


class PlainPasses(Passes):
    """See `Passes`.

    Args:
        model: a transformers causal LM.
        counts: whether the positions of its texts are 0, 1, 2, ...
    """

    def __init__(self, model: Any, counts: bool = True) -> None:
        super().__init__(model)
        self.windows = {}
        # told, since not every cache knows how many tokens it has read
        known = inspect.signature(model.forward).parameters
        self.tells_positions = counts and "position_ids" in known
        kind = model.config.get_text_config().model_type
        self.note = (
            f"{kind}: it does not take a mask and a position for each token, so every text is read whole "
            "and nothing that texts share is computed once: slower, with the same results"
        )

    def plan(self, pairs: Sequence[TokenPair], batch_tokens: int) -> BatchPlan:
        """See `Passes.plan`."""
        by_length = defaultdict(list)
        for index, (context, continuation) in enumerate(pairs):
            row = build_row(context, [(index, continuation)])
            by_length[len(row.tokens)].append(row)
        alike = [by_length[length] for length in sorted(by_length, reverse=True)]
        return BatchPlan((), tuple(b for rows in alike for b in in_batches(rows, batch_tokens, 0)))

    def logits(self, batch: Batch, cache: object) -> Tensor:
        """See `Passes.logits`; there is no prefix."""
        return self.of_ids(batch.input_ids, batch.heads, use_cache=False).logits[0]

    def of_ids(self, ids: Tensor, heads: Tensor, **options: Any) -> Any:
        """The model's output, with the logits at these of its (B * L) positions."""
        with self.vocabulary_only_at(heads):
            return self.model(input_ids=ids.to(self.model.device), **options)

    def decoder(
        self, prompts: Sequence[Sequence[int]], max_new_tokens: int, batch_tokens: int
    ) -> Decoder:
        """See `Passes.decoder`."""
        return PlainDecoder(self, prompts)


class PlainDecoder(Decoder):
    """See `Decoder`; texts that have ended are read on beside those of their length, which changes
    nothing.

    Args:
        passes: the model's.
        prompts: token ids, any lengths.
    """

    def __init__(self, passes: PlainPasses, prompts: Sequence[Sequence[int]]) -> None:
        rows_of = defaultdict[int, list[int]](list)
        for row, ids in enumerate(prompts):
            rows_of[len(ids)].append(row)
        self._passes = passes
        self._groups = [
            _Texts(rows, torch.tensor([list(prompts[row]) for row in rows]))
            for rows in rows_of.values()
        ]
        self._rows = list(range(len(prompts)))
        self._latest = torch.zeros(len(prompts), dtype=torch.int64)

    def read(self) -> Tensor:
        """See `Decoder.read`."""
        self.tokens_fed += sum(texts.ids.numel() for texts in self._groups)
        return self._logits()

    def step(self, tokens: Tensor) -> Tensor:
        """See `Decoder.step`."""
        self.tokens_fed += len(tokens)
        self._latest[self._rows] = tokens.cpu()
        for texts in self._groups:
            texts.ids = torch.cat([texts.ids, self._latest[texts.rows][:, None]], dim=1)
        return self._logits()

    @torch.inference_mode()
    def _logits(self) -> Tensor:
        found: dict[int, Tensor] = {}
        for texts in self._groups:
            found |= zip(texts.rows, self._after(texts), strict=True)
        return torch.stack([found[row] for row in self._rows])

    def _after(self, texts: _Texts) -> Tensor:
        """The logits after the texts, (R, V); without a state they are read from the beginning."""
        turns_at = self._passes.turns_at
        if turns_at is not None and texts.ids.shape[1] == turns_at + 1:
            texts.state = {}  # of the other way to read
        ids = texts.ids[:, -1:] if texts.state else texts.ids
        options = dict(texts.state)
        if self._passes.tells_positions:
            positions = torch.arange(texts.ids.shape[1])[-ids.shape[1] :]
            options["position_ids"] = positions.expand(ids.shape).to(self._passes.model.device)
        ends = torch.arange(1, len(ids) + 1) * ids.shape[1] - 1
        output = self._passes.of_ids(ids, ends, use_cache=True, **options)
        texts.state = {name: output[name] for name in _STATES if output.get(name) is not None}
        logits: Tensor = output.logits[0]
        return logits

    def keep(self, rows: Sequence[int]) -> None:
        """See `Decoder.keep`."""
        self._rows = [self._rows[index] for index in rows]
        self._groups = [texts for texts in self._groups if {*texts.rows} & {*self._rows}]


@dataclass
class _Texts:
    """Texts of one length, (R, L) ids, that one state of the model goes on with."""

    rows: list[int]
    ids: Tensor
    state: dict[str, Any] = field(default_factory=dict)
