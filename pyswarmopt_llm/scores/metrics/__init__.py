"""Metrics and objectives: the `Score` of an engine's loaded candidate."""
