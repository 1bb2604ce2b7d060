"""Several metrics of the same items: their labels, and the error of their combination."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.scores.metrics.combine import Combine, slopes


def of_the_same_items(combine: Combine) -> Combine:
    """The combination for several scores of the same items, which are not independent: its standard
    error is that of the items' combined values (delta method).

    Example:
        >>> from pyswarmopt_llm.scores.metrics.combine import arithmetic
        >>> long = score_of([0.25, 0.5, 1.0])
        >>> short = score_of([0.75, 0.5, 0.0])  # what one score gains the other loses
        >>> arithmetic([long, short]).stderr > 0.1, of_the_same_items(arithmetic)([long, short]).stderr
        (True, 0.0)
    """

    def combined(scores: Sequence[Score]) -> Score:
        total = combine(scores)
        if len({len(score.per_item) for score in scores}) > 1 or len(scores[0].per_item) < 2:
            return total
        rises = slopes(combine, [score.value for score in scores])
        parts = [slope * np.array(s.per_item) for slope, s in zip(rises, scores, strict=True)]
        return replace(total, stderr=score_of(np.sum(parts, axis=0)).stderr)

    return combined


def metric_labels(specs: Sequence[str]) -> dict[str, str]:
    """Label -> metric, for several metrics of one task: a function's name, or the metric's kind,
    extended by its file or model if not unique.

    Raises:
        InvalidOption: a metric is given twice.

    Example:
        >>> metric_labels(["mine.py:short", "judge", "reward:a/kind", "reward:b/true"])
        {'short': 'mine.py:short', 'judge': 'judge', 'reward-kind': 'reward:a/kind', 'reward-true': 'reward:b/true'}
        >>> list(metric_labels(["a.py:score", "b.py:score"]))
        ['a-score', 'b-score']
    """
    kinds = list(map(_label, specs))
    labels: dict[str, str] = {}
    for spec, kind in zip(specs, kinds, strict=True):
        label = _label(spec, whole=kinds.count(kind) > 1)
        if label in labels:
            raise InvalidOption("metric", spec, f"a second metric that is called {label}")
        labels[label] = spec
    return labels


def _label(spec: str, whole: bool = False) -> str:
    """A function's name or the metric's kind; `whole`: with its file or model."""
    if ".py:" in spec:
        file, _, function = spec.rpartition(":")
        return f"{Path(file).stem}-{function}" if whole else function
    kind, _, argument = spec.partition(":")
    return f"{kind}-{Path(argument).stem}" if whole and argument else kind
