"""Graphs of models that read each other's messages, found by a swarm over adjacency matrices
(docs/how-to/graphs.md).
"""
