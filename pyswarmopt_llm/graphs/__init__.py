"""Graphs of models that read each other's messages, found by a swarm over adjacency matrices (docs/graphs.md)."""

from pyswarmopt_llm.graphs.engine import GraphEngine
from pyswarmopt_llm.graphs.opening import open_graph

__all__ = ["GraphEngine", "open_graph"]
