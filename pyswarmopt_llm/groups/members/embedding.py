"""Text embeddings: hidden states of a model that is loaded anyway."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.groups.members.cache import CachedMember
from pyswarmopt_llm.groups.members.local import LocalMember
from pyswarmopt_llm.groups.members.protocol import Member
from pyswarmopt_llm.models.engines.transformers import TransformersEngine

_BATCH_TOKENS = 4096


@torch.inference_mode()
def embed(engine: TransformersEngine, texts: Sequence[str]) -> NDArray[np.float64]:
    """The mean of the last layer's hidden states over a text's tokens, scaled to length 1: (N, hidden) float64.

    Uses the candidate that the engine has loaded. The dot product of two embeddings is their cosine similarity.

    Args:
        engine: a model.
        texts: without a chat template, whose common tokens would make all texts alike.
    """
    encoded = [engine.encode_prompt(text) for text in texts]
    found = np.empty((len(texts), int(engine.model.get_input_embeddings().weight.shape[1])))
    order = sorted(range(len(texts)), key=lambda i: len(encoded[i]), reverse=True)
    while order:
        size = max(1, _BATCH_TOKENS // len(encoded[order[0]]))
        now, order = order[:size], order[size:]
        width, pad = len(encoded[now[0]]), int(engine.tokenizer.pad_token_id)
        ids = torch.tensor([[*encoded[i], *[pad] * (width - len(encoded[i]))] for i in now])
        mask = torch.tensor([[1] * len(encoded[i]) + [0] * (width - len(encoded[i])) for i in now])
        device = engine.model.device
        states = engine.model.base_model(input_ids=ids.to(device), attention_mask=mask.to(device)).last_hidden_state
        weights = mask.to(device)[..., None]
        means = (states.float() * weights).sum(1) / weights.sum(1)
        found[now] = torch.nn.functional.normalize(means, dim=-1).double().cpu().numpy()
    return found


class Embedder:
    """Embeds texts with the bare base of the first member that is a single model in this process.

    Args:
        members: of a group.

    Raises:
        UserError: there is no such member.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        inner = [member.member if isinstance(member, CachedMember) else member for member in members]
        local = [member for member in inner if isinstance(member, LocalMember) and member.base.engine in member.engines]
        if not local:
            raise UserError("embeddings need a model in this process, no member is one; choose another strategy")
        self._base, (self._engine,) = local[0].base, local[0].engines

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """See `embed`."""
        self._base.load(Patch())
        return embed(self._engine, texts)

    def count(self, text: str) -> int:
        """Tokens of a text, special ones included."""
        return len(self._engine.tokenizer(text)["input_ids"])


__all__ = ["Embedder", "embed"]
