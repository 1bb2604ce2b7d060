"""Models that read each other's messages; positions are adjacency matrices (Feng et al. 2025, arXiv
2502.04510).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pyswarmopt.base.arrays import Floats
from pyswarmopt_groups.graph.engine import GraphEngine, Node
from pyswarmopt_llm.common.config import PARTICLES, SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.interfaces import Engine, Patch
from pyswarmopt_llm.mix.kind import Pool, SpaceKind
from pyswarmopt_llm.tokens.members import (
    TokenMember,
    load_members,
    open_members,
    pool_of,
    read_members,
    undamaged,
    write_members,
)

FILE = "graph.json"
TOP_P = 0.8  # as in the paper
_NO_DEGREE = 1e-9  # replaces an out-degree of 0, whose inverse must be finite


class GraphSpace:
    """A space of flattened adjacency matrices of n models: n * n numbers, row by row.

    Decoding a matrix draws random numbers, seeded by `seed` and the position, so a position always
    gives the same graph.

    Args:
        members: models and adapters.
        seed: seed of the draws.
    """

    name = "graph"

    def __init__(self, members: Sequence[TokenMember], seed: int = 0) -> None:
        self._members = tuple(members)
        self._seed = seed
        self.expert_names = tuple(member.name for member in members)

    def save(self, position: Tensor, out: Path) -> None:
        """Write a directory with ``graph.json``: the members' names, paths and fingerprints, and
        who reads whom.

        Raises:
            UserError: `out` exists already.
        """
        nodes = [
            {"model": self.expert_names[node.expert], "reads": list(node.reads)}
            for node in self.realise(position).graph
        ]
        write_members(Path(out) / FILE, self._members, nodes=nodes)

    def read(self, folder: Path) -> Patch:
        """The graph written by `save`, to the bit.

        Raises:
            UserError: the file is damaged, or a member has changed.
        """
        return read_graph(folder)[1]

    @property
    def size(self) -> int:
        """Number of coordinates: one for each ordered pair of models, and each model's diagonal."""
        return len(self._members) ** 2

    def vertices(self) -> Tensor:
        """Matrices for single models, (n, n * n) float64.

        Only the diagonal is above 0: it is 1 for all other models. These have an out-degree, so
        they do not answer, and no edges, so nothing reads their messages.
        """
        eye = torch.eye(len(self._members), dtype=torch.float64)
        return torch.stack([torch.diag(1.0 - row) for row in eye]).flatten(1)

    def starts(self, count: int, seed: int) -> Tensor:
        """The single models, and up to `count` matrices in total, with entries drawn from U(0, 1)
        as in the paper.
        """
        random = np.random.default_rng([seed, 3]).random(
            (max(0, count - len(self._members)), self.size)
        )
        return torch.cat([self.vertices(), torch.from_numpy(random)])

    def coefficients(self, position: Tensor) -> Tensor:
        """The share of each expert among the graph's models, (n,) float64, summing to 1."""
        used = torch.tensor([node.expert for node in self.realise(position).graph])
        return torch.bincount(used, minlength=len(self._members)).double() / len(used)

    def realise(self, position: Tensor) -> Patch:
        """The graph at `position`."""
        flat = position.detach().to("cpu", torch.float64).numpy()
        rng = np.random.default_rng(
            [self._seed, 4, *np.frombuffer(flat.tobytes(), dtype=np.uint32).tolist()]
        )
        readers = g_decode(flat.reshape(len(self._members), -1), rng)
        return Patch(graph=called(readers))


def read_graph(folder: str | Path) -> tuple[tuple[TokenMember, ...], Patch]:
    """The members of a saved graph, and the graph; the members' files are checked, not loaded.

    Raises:
        UserError: the file is damaged, or a member is missing or has changed.
    """
    file = user_path(folder) / FILE
    content, members = read_members(file)
    names = [member.name for member in members]
    with undamaged(file):
        nodes = tuple(
            Node(names.index(row["model"]), tuple(map(int, row["reads"])))
            for row in content["nodes"]
        )
    if not nodes or any(not 0 <= k < index for index, node in enumerate(nodes) for k in node.reads):
        raise UserError(f"{file} is damaged (a node reads a later node); restore it")
    return members, Patch(graph=nodes)


def open_graph(
    folder: str | Path, dtype: str = "auto", device: str = "auto", threads: int | None = None
) -> GraphEngine:
    """Load the graph of a directory such as RUN/best.

    Args:
        folder: directory with ``graph.json``.
        dtype: dtype of the weights, as in a search.
        device: where the models run.
        threads: CPU threads; None: PyTorch's choice.

    Raises:
        UserError: the file is damaged, or a member cannot be loaded or has changed.
    """
    members, patch = read_graph(folder)
    engine = GraphEngine(load_members(members, dtype, device, threads))
    engine.load(patch)
    return engine


def prepare(kind: SpaceKind, config: SearchConfig) -> tuple[Pool, Engine]:
    """The members of a search, loaded, and the space of graphs over them.

    Raises:
        UserError: a member cannot be loaded, they do not fit together, or all particles would be single models.
    """
    particles = config.particles or PARTICLES
    if particles <= len(config.experts):
        first = (
            f": the first {len(config.experts)} are single experts, and only the rest are graphs"
        )
        raise InvalidOption("particles", particles, f"{first}; use more particles than experts")
    members, loaded = open_members(config)
    return pool_of(GraphSpace(members, config.seed), members), GraphEngine(loaded)


Graph = SpaceKind(
    "graph",
    make=prepare,
    library="",
    saved_as=FILE,
    open=open_graph,
    description=(
        "A directed acyclic graph over {experts} `graph.json` says which model reads whose "
        "messages; the models stay where they are. Use this directory as a base model:"
    ),
    size=lambda experts: experts**2,  # a matrix of models
)


def g_decode(
    adjacency: Floats, rng: np.random.Generator, top_p: float = TOP_P
) -> dict[int, list[int]]:
    """Draw a directed acyclic graph from a continuous adjacency matrix (G-decode).

    Entry a_uv of the matrix is the likelihood that model u passes its message to model v. The
    answering model is drawn first, by inverse out-degree; then the others one by one, by
    out-degree, each joined to models drawn before it, so no cycle can arise.

    Edge (u, v) to an earlier model v has probability exp(a_uv) / sum_i exp(a_ui), i over all models
    drawn before u. Likelihoods are not negative: entries of 0 or below never become edges (the
    paper's pruning by a threshold, here 0).

    Args:
        adjacency: (n, n); as in the paper, its diagonal only counts in out-degrees.
        rng: random source.
        top_p: share of the probability from which models are drawn (nucleus sampling, Holtzman et
            al. 2020).

    Returns:
        Model -> models that read its message, in drawing order, the answering model first.

    Example:
        >>> chain = np.array([[0.0, 9.0, 0.0], [0.0, 0.0, 99.0], [0.0, 0.0, 0.0]])
        >>> g_decode(chain, np.random.default_rng(0))
        {2: [], 1: [2], 0: [1]}
    """
    degree = np.maximum(adjacency.clip(min=0.0).sum(1), _NO_DEGREE)
    end = _nucleus_draw(1.0 / degree, rng, top_p)
    readers: dict[int, list[int]] = {end: []}
    left = [u for u in range(len(degree)) if u != end]
    while left:
        u = left.pop(_nucleus_draw(degree[left], rng, top_p))
        drawn = list(readers)
        likely = np.exp(adjacency[u, drawn] - adjacency[u, drawn].max())
        joined = (rng.random(len(drawn)) < likely / likely.sum()) & (adjacency[u, drawn] > 0.0)
        readers[u] = [v for v, there in zip(drawn, joined, strict=True) if there]
    return readers


def called(readers: dict[int, list[int]]) -> tuple[Node, ...]:
    """The graph in calling order, the answering model last; unread models are left out.

    Example:
        >>> called({2: [], 1: [2], 0: []})  # as `g_decode` gives them
        (Node(expert=1, reads=()), Node(expert=2, reads=(0,)))
    """
    read: list[int] = []  # readers come before the models they read
    for u, readers_of_u in readers.items():
        if not read or any(v in read for v in readers_of_u):
            read.append(u)
    order = read[::-1]
    nodes = []
    for v in order:
        reads = [index for index, u in enumerate(order) if v in readers[u]]
        nodes.append(Node(v, tuple(reads)))
    return tuple(nodes)


def _nucleus_draw(weights: Floats, rng: np.random.Generator, top_p: float) -> int:
    """An index drawn by weight among the fewest heaviest ones with a joint share of `top_p`."""
    order = np.argsort(-weights, kind="stable")
    shares = weights[order] / weights.sum()
    kept = int(np.searchsorted(shares.cumsum(), top_p)) + 1
    return int(order[rng.choice(min(kept, len(order)), p=shares[:kept] / shares[:kept].sum())])
