"""A member in the middle of a text: its next token, and cheap copies that continue differently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from pyswarmopt.base.arrays import Floats
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.tokens.vocabulary import Vocabulary, token_bytes

Layers = list[tuple[Tensor, Tensor]]  # keys and values of each layer


@dataclass(frozen=True)
class TextModel:
    """A member that writes text: engine and vocabulary."""

    engine: TransformersEngine
    vocabulary: Vocabulary

    @classmethod
    def of(cls, engine: TransformersEngine) -> TextModel:
        """A text model backed by an engine.

        Raises:
            UserError: its tokenizer does not define the bytes of tokens, or its layers cache more
                than keys and values.
        """
        if not engine.passes.windows:
            kind = engine.model.config.get_text_config().model_type
            raise UserError(
                f"{kind} models do not accept a mask and a position per token, so they cannot be "
                "mixed with models that have other tokenizers; use members with the same tokenizer"
            )
        size = int(engine.model.get_output_embeddings().weight.shape[0])
        # The output layer may have more rows than the tokenizer has tokens; those rows mean
        # nothing, and tokens beyond the rows never occur.
        tokens = (token_bytes(engine.tokenizer) + [None] * size)[:size]
        return cls(engine, Vocabulary(tokens, engine.stops()))

    def begin(self, user: str) -> Text:
        """Read a user's turn in the member's chat template."""
        return Text(self, self.engine.encode_prompt(self.engine.chat(user)))

    def encode(self, written: bytes) -> list[int]:
        """Ids of the tokens that spell what is written so far: the tokenizer's own, or the longest
        ones first where it would change the text, or in an incomplete character.
        """
        text = written.decode(errors="ignore")
        ids = self.engine.tokenizer(text, add_special_tokens=False)["input_ids"]
        if self.vocabulary.spell(ids) == written:
            return ids
        return self.vocabulary.cut(written) or ids


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
        before = self._before
        if "_outcome" in vars(self):
            before = self
        return Text(self.text_model, ids, before)

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
            known = self._shared_with(self._before)
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
        engine.tokens_fed += len(self.ids) - known
        expected = out.logits[0, -1].double().softmax(-1).cpu().numpy()
        texts = expected[self.text_model.vocabulary.ids]
        end = expected[self.text_model.vocabulary.ends].sum()
        total = texts.sum() + end
        keys_and_values = [(layer.keys, layer.values) for layer in cache.layers]
        return texts / total, float(end / total), keys_and_values

    def _shared_with(self, earlier: Text) -> int:
        """Number of tokens at the start shared with an earlier text; at least one is left to read."""
        most = min(len(self.ids) - 1, len(earlier.ids))
        return next((k for k in range(most) if self.ids[k] != earlier.ids[k]), most)
