"""A graph of models as a directory: ``graph.json`` says who reads whom; the models stay where they are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.paths import user_path
from pyswarmopt_llm.common.interfaces import Node
from pyswarmopt_llm.models.files import atomic_directory
from pyswarmopt_llm.models.side_by_side import Member
from pyswarmopt_llm.spaces.mixture.files import member_rows, read_with_members

FORMAT = 1
NAME = "graph.json"


@dataclass(frozen=True)
class GraphFile:
    """A graph that is not loaded.

    Attributes:
        members: where they lie.
        nodes: in the order of calling; the last one answers.
    """

    members: tuple[Member, ...]
    nodes: tuple[Node, ...]


def holds_graph(folder: str | Path) -> bool:
    """Whether a directory holds a graph instead of a model."""
    return (user_path(folder) / NAME).is_file()


def write_graph(graph: GraphFile, out: Path) -> None:
    """Write ``out/graph.json``, whole or not at all.

    Raises:
        UserError: `out` exists already, or cannot be made.
    """
    names = [member.name for member in graph.members]
    nodes = [
        {"model": {name: c for name, c in zip(names, node.model, strict=True) if c != 0.0}, "reads": list(node.reads)}
        for node in graph.nodes
    ]
    with atomic_directory(out) as folder:
        content = {"format": FORMAT, "members": member_rows(graph.members), "nodes": nodes}
        (folder / NAME).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_graph(folder: str | Path) -> GraphFile:
    """Read a graph and look at its members' files.

    Raises:
        UserError: it is damaged; a member is not there any more, or not what it was when the graph was made.
    """
    file = user_path(folder) / NAME
    content, members = read_with_members(file, FORMAT)
    names = [member.name for member in members]
    try:
        nodes = tuple(
            Node(tuple(float(row["model"].get(name, 0.0)) for name in names), tuple(map(int, row["reads"])))
            for row in content["nodes"]
        )
        unknown = {name for row in content["nodes"] for name in row["model"]} - {*names}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{file}: damaged ({type(error).__name__}: {error}); restore it") from error
    if not nodes or unknown or any(not 0 <= k < place for place, node in enumerate(nodes) for k in node.reads):
        raise UserError(f"{file}: damaged (a node reads what does not come before it, or is no member); restore it")
    return GraphFile(members, nodes)
