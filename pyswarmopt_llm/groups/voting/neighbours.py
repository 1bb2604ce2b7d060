"""The dev items nearest to an item, by embeddings from a base that is loaded anyway."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pyswarmopt_llm.groups.context import GroupContext
from pyswarmopt_llm.groups.members.embedding import Embedder
from pyswarmopt_llm.tasks import Item


class Neighbourhood:
    """The embedded dev items of a group's task.

    Args:
        context: with dev items, and a model in this process.
    """

    def __init__(self, context: GroupContext) -> None:
        self._embed = Embedder(context.members)
        self._points = self._embed([item.question for item in context.dev.items])
        self._right = context.dev.right
        self._k = min(context.settings.neighbours, len(context.dev.items))

    def right_nearby(self, items: Sequence[Item]) -> tuple[NDArray[np.int64], list[int]]:
        """Per member and item how many of the k nearest dev items it answers correctly, (n, items); tokens per item.

        Nearest by cosine similarity; ties go to the earlier item.
        """
        questions = [item.question for item in items]
        nearest = np.argsort(-(self._embed(questions) @ self._points.T), axis=1, kind="stable")[:, : self._k]
        return self._right[:, nearest].sum(axis=2), [self._embed.count(text) for text in questions]


__all__ = ["Neighbourhood"]
