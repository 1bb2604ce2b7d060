"""Texts as points, by the hidden states of a model that is loaded anyway."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.groups.members.cache import Remembered
from pyswarmopt_llm.groups.members.local import LocalMember, Seat
from pyswarmopt_llm.groups.members.protocol import Member
from pyswarmopt_llm.models.engines.transformers import TransformersEngine

_BATCH_TOKENS = 4096


@torch.inference_mode()
def embed(engine: TransformersEngine, texts: Sequence[str]) -> NDArray[np.float64]:
    """The mean of the last layer's hidden states over a text's tokens, scaled to length 1: (N, hidden) float64.

    Whatever the engine has loaded speaks. Nearness is then the dot product, the cosine of the angle.

    Args:
        engine: a model.
        texts: without a chat template, so that what all have in common does not make them alike.
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


def base_of(members: Sequence[Member]) -> Seat:
    """The seat of the first member that is a single model in this process: its bare base can embed texts.

    Raises:
        UserError: there is none.
    """
    for member in members:
        asked = member.member if isinstance(member, Remembered) else member
        if isinstance(asked, LocalMember) and isinstance(asked.seat.engine, TransformersEngine):
            return asked.seat
    raise UserError("embeddings need a model in this process, all members are elsewhere; choose another strategy")


def embed_with(seat: Seat, texts: Sequence[str]) -> NDArray[np.float64]:
    """`embed` by the bare base of a seat."""
    engine = seat.take(Patch())
    if not isinstance(engine, TransformersEngine):  # `base_of` says that it is
        raise TypeError("a mixture has no hidden states of its own")
    return embed(engine, texts)


__all__ = ["base_of", "embed", "embed_with"]
