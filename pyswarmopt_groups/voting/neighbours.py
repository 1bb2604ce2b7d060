"""The dev items nearest to an item, by embeddings from a base that is loaded anyway."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from pyswarmopt_groups.context import GroupContext
from pyswarmopt_groups.members.cache import CachedMember
from pyswarmopt_groups.members.local import LanguageModel, LocalMember
from pyswarmopt_groups.members.protocol import Member
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.metrics.classifiers.classifier import padded_batches
from pyswarmopt_llm.tasks import Item


@torch.inference_mode()
def embed(engine: LanguageModel, texts: Sequence[str]) -> NDArray[np.float64]:
    """The mean of the last layer's hidden states over a text's tokens, scaled to length 1: (N, hidden) float64.

    Uses the loaded candidate. The dot product of two embeddings is their cosine similarity. The texts get no chat
    template, whose tokens would make all of them alike.
    """
    encoded = [engine.encode_prompt(text) for text in texts]
    embeddings = np.empty((len(texts), int(engine.model.get_input_embeddings().weight.shape[1])))
    for indices, ids, mask in padded_batches(encoded, int(engine.tokenizer.pad_token_id), engine.model.device):
        states = engine.model.base_model(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask[..., None]
        means = (states.float() * weights).sum(1) / weights.sum(1)
        embeddings[indices] = torch.nn.functional.normalize(means, dim=-1).double().cpu().numpy()
    return embeddings


def embedding_member(members: Sequence[Member]) -> LocalMember:
    """The first member that is a single model in this process.

    Raises:
        UserError: there is none.
    """
    for member in members:
        inner = member.member if isinstance(member, CachedMember) else member
        if isinstance(inner, LocalMember) and inner.base.engine in inner.models:
            return inner
    raise UserError("embeddings need a model in this process, no member is one; choose another strategy")


class Neighbourhood:
    """The dev items of a group's task, embedded with the bare base of one member; `neighbours` count as near."""

    def __init__(self, context: GroupContext, neighbours: int) -> None:
        member = embedding_member(context.members)
        self._base, (self._model,) = member.base, member.models
        self._points = self._embed([item.question for item in context.dev.items])
        self._right = context.dev.right
        self._k = min(neighbours, len(context.dev.items))

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float64]:
        self._base.load(Patch())
        return embed(self._model, texts)

    def right_nearby(self, items: Sequence[Item]) -> tuple[NDArray[np.int64], list[int]]:
        """Per member and item the number of right answers on the k nearest dev items, (n, items); tokens per item.

        Nearest by cosine similarity; ties go to the earlier item.
        """
        questions = [item.question for item in items]
        nearest = np.argsort(-(self._embed(questions) @ self._points.T), axis=1, kind="stable")[:, : self._k]
        tokens = [len(self._model.tokenizer(text)["input_ids"]) for text in questions]
        return self._right[:, nearest].sum(axis=2), tokens
