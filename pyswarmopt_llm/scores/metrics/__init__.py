"""Metrics and objectives: from an engine with a candidate loaded to a `Score`."""
