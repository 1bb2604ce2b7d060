"""A graph in a directory, ready to be asked."""

from __future__ import annotations

from pathlib import Path

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.models.side_by_side import load_members
from pyswarmopt_llm.spaces.graph.engine import GraphEngine
from pyswarmopt_llm.spaces.graph.files import read_graph
from pyswarmopt_llm.spaces.graph.mixing import mixer


def open_graph(
    folder: str | Path, dtype: str = "auto", device: str = "auto", threads: int | None = None
) -> GraphEngine:
    """Load the graph in a directory such as RUN/best, ready to be asked.

    Args:
        folder: holds ``graph.json``.
        dtype: of the weights, as in a search.
        device: where they go.
        threads: CPU threads (None: as torch finds them).

    Raises:
        UserError: the file is damaged, or a member cannot be loaded or is not what it was.
    """
    file = read_graph(folder)
    engine = GraphEngine(load_members(file.members, dtype, device, threads), mixer(file.members))
    try:
        engine.load(Patch(graph=file.nodes))
    except ValueError as error:
        raise UserError(f"{folder}: {error}") from error
    return engine
