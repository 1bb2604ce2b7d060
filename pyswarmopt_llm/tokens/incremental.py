"""A model in the middle of a text: its next token, and cheap copies that read on differently."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad
from transformers.cache_utils import DynamicCache

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.tokens.alphabet import token_bytes
from pyswarmopt_llm.tokens.vocabulary import Vocabulary

Layers = list[tuple[Tensor, Tensor]]  # keys and values of each layer

_ROWS = 32  # texts in one forward pass: more save little, and their keys and values take memory


@dataclass(frozen=True)
class TextModel:
    """A member that writes text: its engine and its vocabulary."""

    engine: TransformersEngine
    vocabulary: Vocabulary

    @classmethod
    def of(cls, engine: TransformersEngine) -> TextModel:
        """A text model backed by an engine.

        Raises:
            UserError: its tokenizer does not say which bytes a token stands for, or its layers keep
                more than keys and values.
        """
        if not engine.passes.windows:
            kind = engine.model.config.get_text_config().model_type
            raise UserError(
                f"{kind}: its layers do not take a mask and position ids per token, so it cannot "
                "be mixed with models of other tokenizers; use members of one tokenizer"
            )
        size = int(engine.model.get_output_embeddings().weight.shape[0])
        # Rows of the output layer beyond the tokenizer's tokens stand for nothing, tokens beyond
        # them are never given.
        tokens = (token_bytes(engine.tokenizer) + [None] * size)[:size]
        return cls(engine, Vocabulary(tokens, engine.stops()))

    def begin(self, user: str) -> IncrementalDecoder:
        """Read a user's turn in the member's chat template."""
        return IncrementalDecoder(self, self.engine.encode_prompt(self.engine.chat(user)))

    def encode(self, text: str) -> list[int]:
        """Ids of a piece of the answer, nothing added."""
        return [int(i) for i in self.engine.tokenizer(text, add_special_tokens=False)["input_ids"]]


class IncrementalDecoder:
    """A text with its key-value cache and the distribution of what comes next. Immutable: `read`
    gives a new one.

    The forward pass runs on first use, or for many decoders at once in `run_pending`. Control
    tokens other than those that end a text cannot be written, so their probability is left out and
    the rest scaled to sum to 1.

    Args:
        text_model: the member.
        ids: the text, at least one token.
        before: a decoder of the same member to take keys and values from, as far as its text is the
            same.

    Attributes:
        text_model: as given.
        ids: as given.
    """

    def __init__(
        self, text_model: TextModel, ids: Sequence[int], before: IncrementalDecoder | None = None
    ) -> None:
        self.text_model, self.ids = text_model, tuple(ids)
        self._before = before
        self._expected: NDArray[np.float64] | None = None
        self._layers: Layers = []

    @property
    def pending(self) -> bool:
        """Whether the forward pass is still to be run."""
        return self._expected is None

    def read(self, ids: Sequence[int]) -> IncrementalDecoder:
        """The same member with another text; what both begin with is not computed again."""
        return IncrementalDecoder(self.text_model, ids, self)

    @property
    def expected(self) -> NDArray[np.float64]:
        """The distribution of the next token, (V,); reads the text if need be."""
        if self._expected is None:
            run_pending([self])
        if self._expected is None:
            raise RuntimeError("a decoder was not read")
        return self._expected

    def known(self) -> tuple[Layers, int]:
        """Keys and values of what this text and the one before begin with, leaving a token to read;
        shared, not copied.

        All layers keep all tokens; the model's masks know of its windows.
        """
        if self._before is None:
            return [], 0
        earlier = self._before
        if earlier.pending:
            run_pending([earlier])
        most = min(len(self.ids) - 1, len(earlier.ids))
        read = next((k for k in range(most) if self.ids[k] != earlier.ids[k]), most)
        return [(k[..., :read, :], v[..., :read, :]) for k, v in earlier._layers], read

    def note(self, expected: NDArray[np.float64], layers: Layers) -> None:
        """Take in the outcome of the forward pass; the decoder before is needed no more.

        Args:
            expected: the distribution of the next token, (V,).
            layers: keys and values of every layer, (1, heads, T, size).
        """
        self._expected, self._layers, self._before = expected, layers, None

    @property
    def full(self) -> bool:
        """Whether another token would not fit into the member's context window."""
        window = self.text_model.engine.window
        return window is not None and len(self.ids) >= window

    @cached_property
    def texts(self) -> NDArray[np.float64]:
        """Probability of each text token, (M,), in the order of the vocabulary."""
        return self.expected[self.text_model.vocabulary.ids] / self._total

    @cached_property
    def end(self) -> float:
        """Probability that the text ends here."""
        return float(self.expected[self.text_model.vocabulary.ends].sum() / self._total)

    @cached_property
    def _total(self) -> float:
        vocabulary = self.text_model.vocabulary
        return float(self.expected[vocabulary.ids].sum() + self.expected[vocabulary.ends].sum())


def run_pending(decoders: Iterable[IncrementalDecoder]) -> None:
    """Run the forward passes that decoders still wait for, batched: each model once for all texts
    that go together.

    A forward pass for one token costs about as much as one for several texts' next token, since it
    is spent on reading the weights.
    """
    groups: dict[tuple[int, int], list[tuple[IncrementalDecoder, Layers, int]]] = {}
    for decoder in {id(decoder): decoder for decoder in decoders if decoder.pending}.values():
        layers, read = decoder.known()
        # Behind texts that were read, new tokens have to be as many in each row: no padding between
        # old and new.
        width = len(decoder.ids) - read if read else 0
        groups.setdefault((id(decoder.text_model.engine), width), []).append(
            (decoder, layers, read)
        )
    for group in groups.values():
        for start in range(0, len(group), _ROWS):
            _forward(group[start : start + _ROWS])


@torch.inference_mode()
def _forward(rows: Sequence[tuple[IncrementalDecoder, Layers, int]]) -> None:
    """One pass over rows that are padded on the left, so that all end at the same column."""
    engine = rows[0][0].text_model.engine
    model: Any = engine.model
    old = max(read for _, _, read in rows)
    new = max(len(decoder.ids) - read for decoder, _, read in rows)
    ids = torch.zeros(len(rows), new, dtype=torch.int64)
    mask = torch.zeros(len(rows), old + new, dtype=torch.int64)
    for row, (decoder, _, read) in enumerate(rows):
        ids[row, new - len(decoder.ids) + read :] = torch.tensor(decoder.ids[read:])
        mask[row, old + new - len(decoder.ids) :] = 1
    at = (mask.cumsum(-1) - 1).clamp(min=0)[:, old:]
    past = [_padded([layers[k] for _, layers, _ in rows], old) for k in range(len(rows[0][1]))]
    cache = DynamicCache(past) if past else DynamicCache()
    out = model(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        position_ids=at.to(model.device),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=torch.tensor([-1], device=model.device),
    )
    expected = out.logits[:, -1].double().softmax(-1).cpu().numpy()
    for row, (decoder, _, read) in enumerate(rows):
        engine.tokens_fed += len(decoder.ids) - read
        part = slice(row, row + 1), slice(None), slice(old + new - len(decoder.ids), None)
        layers = [(layer.keys[part], layer.values[part]) for layer in cache.layers]
        decoder.note(expected[row], layers)


def _padded(parts: Sequence[tuple[Tensor, Tensor]], width: int) -> tuple[Tensor, Tensor]:
    """One layer's keys and values of several texts, padded on the left to `width` tokens."""
    keys, values = (
        torch.cat([pad(part[i], (0, 0, width - part[i].shape[-2], 0)) for part in parts])
        for i in (0, 1)
    )
    return keys, values
