"""A model in the middle of a text: what it expects next, and cheap copies that read on in different ways."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.cache_utils import DynamicCache

from pyswarmopt_llm.engines.transformers_engine import TransformersEngine
from pyswarmopt_llm.tokens.alphabet import token_bytes
from pyswarmopt_llm.tokens.vocabulary import Vocabulary


@dataclass(frozen=True)
class Voice:
    """A member that can be asked for text: its engine and its vocabulary."""

    engine: TransformersEngine
    vocabulary: Vocabulary

    @classmethod
    def of(cls, engine: TransformersEngine) -> Voice:
        """The voice of an engine.

        Raises:
            UserError: its tokenizer does not say which bytes a token stands for.
        """
        size = int(engine.model.get_output_embeddings().weight.shape[0])
        # Rows of the output layer beyond the tokenizer's tokens stand for nothing, tokens beyond them are never given.
        tokens = (token_bytes(engine.tokenizer) + [None] * size)[:size]
        return cls(engine, Vocabulary(tokens, engine.stops()))

    def hear(self, user: str) -> Reader:
        """Read a user's turn in the member's chat template."""
        return Reader(self, self.engine.encode_prompt(self.engine.chat(user)))

    def encode(self, text: str) -> list[int]:
        """Ids of a piece of the answer, nothing added."""
        return [int(i) for i in self.engine.tokenizer(text, add_special_tokens=False)["input_ids"]]


class Reader:
    """A text that a member has read, and what it expects next. Never changes: `read` gives a new one.

    Control tokens other than those that end a text cannot be written, so their probability is left out and the rest
    scaled to sum to 1.

    Args:
        voice: the member.
        ids: the text, at least one token.
        before: a reader of the same member to take keys and values from, as far as its text is the same.

    Attributes:
        voice: as given.
        ids: as given.
    """

    def __init__(self, voice: Voice, ids: Sequence[int], before: Reader | None = None) -> None:
        self.voice, self.ids = voice, tuple(ids)
        self._cache, known = (DynamicCache(), 0) if before is None else before._until(self.ids)
        self._next = self._read(known)

    @torch.inference_mode()
    def _read(self, known: int) -> NDArray[np.float64]:
        model: Any = self.voice.engine.model
        at = torch.arange(known, len(self.ids), device=model.device)[None]
        new = torch.tensor([self.ids[known:]], device=model.device)
        last = torch.tensor([-1], device=model.device)
        out = model(input_ids=new, position_ids=at, past_key_values=self._cache, use_cache=True, logits_to_keep=last)
        self.voice.engine.tokens_fed += len(self.ids) - known
        return out.logits[0, -1].double().softmax(-1).cpu().numpy()

    def _until(self, ids: tuple[int, ...]) -> tuple[DynamicCache, int]:
        """Keys and values of what this text and `ids` begin with, leaving a token to read; they are shared, not copied.

        A cache without the model's config keeps all tokens in every layer; the model's masks know of its windows.
        """
        most = min(len(ids) - 1, len(self.ids))
        known = next((k for k in range(most) if ids[k] != self.ids[k]), most)
        cache = copy.copy(self._cache)
        cache.layers = [copy.copy(layer) for layer in self._cache.layers]  # a layer replaces its tensors as it grows
        if known < len(self.ids):
            cache.crop(known - len(self.ids))  # a negative number: so many tokens from the end
        return cache, known

    def read(self, ids: Sequence[int]) -> Reader:
        """The same member with another text; what both begin with is not computed again."""
        return Reader(self.voice, ids, self)

    @property
    def full(self) -> bool:
        """Whether another token would not fit into the member's context window."""
        window = self.voice.engine.window
        return window is not None and len(self.ids) >= window

    @cached_property
    def texts(self) -> NDArray[np.float64]:
        """Probability of each text token, (M,), in the order of the vocabulary."""
        return self._next[self.voice.vocabulary.ids] / self._total

    @cached_property
    def end(self) -> float:
        """Probability that the text ends here."""
        return float(self._next[self.voice.vocabulary.ends].sum() / self._total)

    @cached_property
    def _total(self) -> float:
        vocabulary = self.voice.vocabulary
        return float(self._next[vocabulary.ids].sum() + self._next[vocabulary.ends].sum())
