"""Metrics and objectives: from an engine with a candidate loaded to a `Score`."""

from pyswarmopt_llm.common.statistics import interval, score_of
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy

__all__ = ["Accuracy", "interval", "score_of"]
