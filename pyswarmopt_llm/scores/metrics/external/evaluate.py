"""Metrics of the Hugging Face `evaluate` library as scores per item."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import InvalidOption, UserError, first_line
from pyswarmopt_llm.common.extras import optional
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.statistics import LARGEST
from pyswarmopt_llm.scores.tasks import Item


class EvaluateMetric:
    """An `evaluate` metric, computed item by item, so that its standard error is known.

    For a metric that is a mean over items (exact match, ROUGE, METEOR, SARI, ...) the mean equals
    the library's value. Corpus-level metrics (such as Matthews correlation) are refused. A metric
    of lists of references gets all of an item's, a metric of single references the first.

    Args:
        spec: folder with a metric's script (works offline) or hub name; ``rouge#rougeL`` selects
            one of several values (default: the value with the metric's name, or the only one).

    Raises:
        UserError: `evaluate` is not installed, or the metric cannot be loaded.
    """

    def __init__(self, spec: str) -> None:
        name, _, self._key = spec.partition("#")
        self._name = spec
        evaluate = optional("evaluate", f"`metric` evaluate:{spec}")
        path = user_path(name)
        if path.exists() and os.sep not in name:
            # Otherwise the library would run a script with that name here.
            raise InvalidOption(
                "metric",
                f"evaluate:{spec}",
                f"there is also a {name} here; write ./{name} if you mean that",
            )
        try:
            # A separate cache: concurrent runs would lock each other's files.
            self._cache = tempfile.TemporaryDirectory(prefix="swarm-llm-evaluate-")
            self._metric: Any = evaluate.load(
                str(path) if path.exists() else name, cache_dir=self._cache.name
            )
        except (ImportError, OSError, ValueError, RuntimeError, TypeError) as error:
            raise UserError(
                f"`metric` evaluate:{spec}: {first_line(error).rstrip('.')}; give a metric's folder, or "
                "its name online"
            ) from error
        self._refuse_errors()

    def _refuse_errors(self) -> None:
        """Refuse a metric that counts errors, as word error rates do: a search makes it larger.

        Raises:
            InvalidOption: a wrong reply has more than the right one.
        """
        try:
            right = self._value(["the cat sat on the mat"], "the cat sat on the mat")
            wrong = self._value(["the cat sat on the mat"], "no dogs here")
        except UserError:  # it takes other texts than these
            return
        if right < wrong:
            raise InvalidOption(
                "metric",
                f"evaluate:{self._name}",
                "is larger for worse replies; write a function that returns its negative",
            )

    def __call__(self, items: Sequence[Item], texts: Sequence[str]) -> list[float]:
        """One value per item."""
        return [
            self._value(item.references, text.strip())
            for item, text in zip(items, texts, strict=True)
        ]

    def _value(self, references: list[str], text: str) -> float:
        # Some metrics take one reference per item, others a list, SQuAD's its own records.
        answers = {"text": references, "answer_start": [0] * len(references)}
        squad = ({"id": "1", "prediction_text": text}, {"id": "1", "answers": answers})
        for prediction, reference in ((text, references[0]), (text, references), squad):
            try:
                result = self._metric.compute(predictions=[prediction], references=[reference])
            except (ValueError, TypeError) as error:
                problem = error
                continue
            return self._number(result)
        raise InvalidOption(
            "metric",
            f"evaluate:{self._name}",
            f"does not take texts ({first_line(problem)}); use another",
        )

    def _number(self, result: dict[str, Any]) -> float:
        key = self._key or next((k for k in (self._metric.name, "score") if k in result), None)
        if key is None and len(result) == 1:
            key = next(iter(result))
        if key is None or key not in result:
            names = ", ".join(result)
            raise UserError(
                f"`metric` evaluate:{self._name}: gives {names}; say which: "
                f"evaluate:{self._metric.name}#NAME"
            )
        value = float(result[key])
        if not abs(value) <= LARGEST:
            raise UserError(
                f"`metric` evaluate:{self._name}: {key} is {value} for one example; use a metric "
                "that is a mean over examples"
            )
        return value


def evaluate_metric(spec: str, cache: Path | None, device: str) -> dict[str, Any]:
    """The metric ``evaluate:NAME``; see `ReplyMetric.load`."""
    return {"rate": EvaluateMetric(spec.partition(":")[2])}
