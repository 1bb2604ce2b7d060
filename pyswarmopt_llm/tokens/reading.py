"""A member in the middle of a text: its next token, and cheap copies that continue differently."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from pyswarmopt.base.arrays import Floats, Ints
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.engine.batching import shared_prefix
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.tokens.vocabulary import token_bytes

_NONE = -1  # no token
_PREFIXES = 10_000  # most prefixes whose tokens are cached
Layers = list[tuple[Tensor, Tensor]]  # keys and values of each layer


class TextModel:
    """A member that writes text: its engine, and its tokens sorted by their bytes, so that tokens
    with a common prefix form a range.

    Args:
        engine: the member.

    Raises:
        UserError: its tokenizer does not define the bytes of tokens, or its layers cache more than
            keys and values.

    Attributes:
        engine: as given.
        texts: bytes of the M distinct text tokens, sorted.
        ids: their ids, (M,), in the same order (equal bytes by id).
        ends: ids that end a text.
        place: text -> its first place in `texts`.
    """

    def __init__(self, engine: TransformersEngine) -> None:
        if not engine.passes.windows:
            kind = engine.model.config.get_text_config().model_type
            raise UserError(
                f"{kind} models do not accept a mask and a position per token, so they cannot be "
                "mixed with models that have other tokenizers; use members with the same tokenizer"
            )
        self.engine = engine
        self.ends = sorted(engine.stops())
        # Tokens beyond the output layer's rows never occur; rows beyond the tokens mean nothing.
        size = int(engine.model.get_output_embeddings().weight.shape[0])
        self._tokens = token_bytes(engine.tokenizer)[:size]
        known = sorted(
            (token, i) for i, token in enumerate(self._tokens) if token and i not in self.ends
        )
        self.texts = [token for token, _ in known]
        self.ids = np.array([i for _, i in known], dtype=np.int64)
        self.place = {text: k for k, text in reversed([*enumerate(self.texts)])}
        self._longest = max(map(len, self.texts))
        self.continuing = lru_cache(_PREFIXES)(self._find)

    def _find(self, prefix: bytes) -> tuple[int, int, Ints]:
        """Where the tokens with exactly these bytes begin in `texts`, where the longer ones do, and
        the next byte of each longer one.
        """
        n = len(prefix)
        start = bisect_left(self.texts, prefix)
        longer = bisect_right(self.texts, prefix, start)
        stop = bisect_right(self.texts, prefix, longer, key=lambda text: text[:n])
        following = [text[n] for text in self.texts[longer:stop]]
        return start, longer, np.array(following, dtype=np.int64)

    def next_bytes(self, prefix: bytes, mass: Floats) -> Floats:
        """Sum of `mass` ((M,), in sorted order) over the tokens that start with these bytes, by
        their next byte: (256,).
        """
        _, longer, following = self.continuing(prefix)
        sums = np.zeros(256)
        np.add.at(sums, following, mass[longer : longer + len(following)])
        return sums

    def begin(self, user: str) -> Text:
        """Read a user's turn in the member's chat template."""
        return Text(self, self.engine.encode_prompt(self.engine.chat(user)))

    def encode(self, written: bytes) -> list[int]:
        """Ids of the tokens that spell what is written so far: the tokenizer's own, or the longest
        ones first where it would change the text, or in an incomplete character.
        """
        text = written.decode(errors="ignore")
        ids = self.engine.tokenizer(text, add_special_tokens=False)["input_ids"]
        spelt = [self._tokens[i] or b"" for i in ids if i < len(self._tokens)]
        if b"".join(spelt) == written:
            return ids
        return self.cut(written) or ids

    def cut(self, text: bytes) -> list[int] | None:
        """Ids that spell `text`, longest token first; None if impossible."""
        ids = []
        while text:
            sizes = range(min(self._longest, len(text)), 0, -1)
            size = next((size for size in sizes if text[:size] in self.place), 0)
            if not size:
                return None
            ids.append(int(self.ids[self.place[text[:size]]]))
            text = text[size:]
        return ids


class Text:
    """A text with its keys, values and next-token distribution; `read` returns a new text.

    The forward pass runs on first use. Control tokens other than end tokens cannot be written, so
    their probability is dropped and the rest rescaled to sum to 1.

    Args:
        text_model: the member.
        ids: the text, at least one token.
        before: an earlier text of the same member; keys and values of the common start are reused.

    Attributes:
        text_model: as given.
        ids: as given.
    """

    def __init__(
        self, text_model: TextModel, ids: Sequence[int], before: Text | None = None
    ) -> None:
        self.text_model = text_model
        self.ids = tuple(ids)
        self._before = before

    def read(self, ids: Sequence[int]) -> Text:
        """The same member with a longer or other text; the common start is not computed again, and
        unused texts are never computed.
        """
        return Text(self.text_model, ids, self)

    @property
    def full(self) -> bool:
        """Whether the member's context window has no room for another token."""
        window = self.text_model.engine.window
        return window is not None and len(self.ids) >= window

    @property
    def texts(self) -> Floats:
        """Probability of each text token, (M,), in the vocabulary's order."""
        return self._outcome[0]

    @property
    def end(self) -> float:
        """Probability that the text ends here."""
        return self._outcome[1]

    @cached_property
    def _outcome(self) -> tuple[Floats, float, Layers]:
        """`texts`, `end`, and all keys and values.

        All layers keep all tokens; the model's masks apply its windows.
        """
        known = 0
        layers: Layers = []
        if self._before is not None:
            known = shared_prefix([self.ids, (*self._before.ids, _NONE)])
            layers = [(k[..., :known, :], v[..., :known, :]) for k, v in self._before._outcome[2]]
            self._before = None  # frees memory that is no longer needed
        engine = self.text_model.engine
        cache = DynamicCache(layers)
        with torch.inference_mode():
            out: Any = engine.model(
                input_ids=torch.tensor([self.ids[known:]], device=engine.model.device),
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
        expected = out.logits[0, -1].double().softmax(-1).cpu().numpy()
        texts = expected[self.text_model.ids]
        end = expected[self.text_model.ends].sum()
        total = texts.sum() + end
        keys_and_values = [(layer.keys, layer.values) for layer in cache.layers]
        return texts / total, float(end / total), keys_and_values
