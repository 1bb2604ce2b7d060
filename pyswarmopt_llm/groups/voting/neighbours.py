"""Which dev items are nearest to an item, by the embeddings of a base that is loaded anyway."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pyswarmopt_llm.groups.context import Room
from pyswarmopt_llm.groups.members.embedding import base_of, embed_with
from pyswarmopt_llm.tasks import Item

Array = NDArray[np.float64]


class Neighbourhood:
    """The dev items of a room as points.

    Args:
        room: with dev items, and a model in this process.
    """

    def __init__(self, room: Room) -> None:
        self._seat = base_of(room.members)
        self._points = embed_with(self._seat, [item.question for item in room.dev.items])
        self._right = room.dev.right
        self._k = min(room.settings.neighbours, len(room.dev.items))

    def right_nearby(self, items: Sequence[Item]) -> tuple[NDArray[np.int64], list[int]]:
        """How many of the k nearest dev items each member answers rightly, (n, items), and what embedding cost.

        Nearest by the cosine; of equally near items the earlier one counts.
        """
        questions = [item.question for item in items]
        nearness = embed_with(self._seat, questions) @ self._points.T
        nearest = np.argsort(-nearness, axis=1, kind="stable")[:, : self._k]
        engine = self._seat.engine
        tokenizer = engine.tokenizer  # type: ignore[union-attr]  # `base_of` gives a single model
        cost = [len(tokenizer(text)["input_ids"]) for text in questions]
        return self._right[:, nearest].sum(axis=2), cost


__all__ = ["Neighbourhood"]
