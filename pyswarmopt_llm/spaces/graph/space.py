"""Models that read each other's messages: positions are adjacency matrices (Feng et al. 2025, arXiv 2502.04510)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pyswarmopt_llm.common.interfaces import Node, Patch
from pyswarmopt_llm.models.side_by_side import Member
from pyswarmopt_llm.spaces.graph.decode import called, g_decode
from pyswarmopt_llm.spaces.graph.files import GraphFile, read_graph, write_graph
from pyswarmopt_llm.spaces.position import as_vector


class _Graphs(ABC):
    """What both spaces of graphs share: a position as a file."""

    _members: tuple[Member, ...]

    @abstractmethod
    def realise(self, position: Tensor) -> Patch:
        """The graph at `position`."""

    def save(self, position: Tensor, out: Path) -> None:
        """Write a directory with ``graph.json``: the members' names, places and fingerprints, and who reads whom.

        Raises:
            UserError: `out` exists already.
        """
        write_graph(GraphFile(self._members, self.realise(position).graph), out)

    def read(self, folder: Path) -> Patch:
        """The graph that `save` wrote, to the bit.

        Raises:
            UserError: the file is damaged, or a member is not what it was.
        """
        return Patch(graph=read_graph(folder).nodes)


class GraphSpace(_Graphs):
    """Flat adjacency matrices of n models as positions, n * n numbers, row by row.

    A matrix is decoded with draws. They are seeded by `seed` and the position itself, so that a position stands for one
    graph, whenever it is asked for.

    Args:
        members: models and adapters.
        seed: of the draws.
    """

    name = "graph"

    def __init__(self, members: Sequence[Member], seed: int = 0) -> None:
        self._members, self._seed = tuple(members), seed
        self.expert_names = tuple(member.name for member in members)
        self._models = [tuple(row) for row in torch.eye(len(members), dtype=torch.float64).tolist()]

    @property
    def size(self) -> int:
        """Number of coordinates: one for each pair of models, in both directions, and each model's diagonal."""
        return len(self._members) ** 2

    def vertices(self) -> Tensor:
        """Matrices that stand for one model alone, (n, n * n) float64.

        No likelihood is above 0 but on the diagonal, which is 1 for all others: they have an out-degree, so they do not
        answer, and no edges, so they are not heard.
        """
        eye = torch.eye(len(self._members), dtype=torch.float64)
        return torch.stack([torch.diag(1.0 - own) for own in eye]).flatten(1)

    def starts(self, count: int, seed: int) -> Tensor:
        """The models alone, and up to `count` in all matrices with entries drawn from U(0, 1), as in the paper."""
        random = np.random.default_rng([seed, 3]).random((max(0, count - len(self._members)), self.size))
        return torch.cat([self.vertices(), torch.from_numpy(random)])

    def coefficients(self, position: Tensor) -> Tensor:
        """What share of the graph's models each expert is, (n,) float64, summing to 1."""
        return torch.tensor([node.model for node in self.realise(position).graph], dtype=torch.float64).mean(0)

    def realise(self, position: Tensor) -> Patch:
        """The graph at `position`."""
        flat = as_vector(position, self.size).to(torch.float64).numpy()
        rng = np.random.default_rng([self._seed, 4, *np.frombuffer(flat.tobytes(), dtype=np.uint32).tolist()])
        readers = g_decode(flat.reshape(len(self._members), -1), rng)
        return Patch(graph=called(readers, self._models))

    def placed(self, position: Tensor) -> PlacedSpace:
        """The space of the models at the nodes of the graph at `position`."""
        return PlacedSpace(self._members, self.realise(position).graph)


class PlacedSpace(_Graphs):
    """Models at the m nodes of a graph that stays as it is: positions are m * n coefficients, node by node.

    Args:
        members: adapters of one base.
        graph: who reads whom.

    Attributes:
        places: m.
    """

    name = "graph"

    def __init__(self, members: Sequence[Member], graph: Sequence[Node]) -> None:
        self._members, self._graph = tuple(members), tuple(graph)
        self.expert_names = tuple(member.name for member in members)
        self.places = len(self._graph)

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return self.places * len(self._members)

    def vertices(self) -> Tensor:
        """Each expert at all nodes: (n, m * n) float64."""
        return torch.eye(len(self._members), dtype=torch.float64).repeat(1, self.places)

    def starts(self, count: int, seed: int) -> Tensor:
        """The vertices."""
        return self.vertices()

    def coefficients(self, position: Tensor) -> Tensor:
        """The mean of the nodes' coefficients, (n,) float64."""
        return as_vector(position, self.size).to(torch.float64).view(self.places, -1).mean(0)

    def realise(self, position: Tensor) -> Patch:
        """The graph with the models at `position`."""
        rows = as_vector(position, self.size).to(torch.float64).view(self.places, -1).tolist()
        return Patch(graph=tuple(Node(tuple(row), node.reads) for row, node in zip(rows, self._graph, strict=True)))
