"""Graphs of models that read each other's messages, found by a swarm over adjacency matrices (docs/graphs.md)."""

from pyswarmopt_llm.spaces.graph.engine import GraphEngine
from pyswarmopt_llm.spaces.graph.opening import open_graph

__all__ = ["GraphEngine", "open_graph"]
