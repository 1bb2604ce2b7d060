#!/usr/bin/env python3
"""Whether the forecast of `inspect --quantize` ranks what rounding costs adapters on their own tasks.

    python research/benchmarks/rounding_forecast.py --outcomes runs/rounding-forecast.jsonl --adapters \\
        EXPERTS/intent=DATA/tasks/intent.json runs/demo/best=builtin:five-desks:40

A line for each adapter and model, with 1 or 0 for each test item: the model is ``base``, ``full`` (base and
adapter apart) or a format, in which the two are merged and rounded. With a format comes the forecast: slope and
correlation. Lines that are there already are not computed again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from pyswarmopt_llm.experts.adapter import read_adapter
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.formats import find_format
from pyswarmopt_llm.formats.survival import survival
from pyswarmopt_llm.use.config import EvalConfig
from pyswarmopt_llm.use.evaluate import evaluate

FORMATS = ("q4_1", "q4_0", "nf4", "q8_0")


@dataclass(frozen=True)
class Line:
    """An outcome.

    Attributes:
        adapter, model: what was scored; an adapter by its folder's name, or by its run's.
        items: 1 or 0 for each test item, as text.
        slope, correlation: the forecast, for a format.
    """

    adapter: str
    model: str
    items: str
    slope: float | None = None
    correlation: float | None = None


def name_of(adapter: str) -> str:
    """The name of an adapter's folder, or of its run."""
    folder = Path(adapter)
    return folder.parent.name if folder.name == "best" else folder.name


def lines(
    adapter: str, task: str, done: set[tuple[str, str]], options: argparse.Namespace
) -> Iterator[Line]:
    """The lines of an adapter that are not there yet."""
    own = name_of(adapter)
    formats = [name for name in FORMATS if (own, name) not in done]
    for model, used in {"base": None, "full": adapter}.items():
        if (own, model) not in done:
            yield Line(own, model, items_of(task, used, None, options))
    base = resolve_base(options.base)
    forecasts = survival(base, read_adapter(adapter), [find_format(name) for name in formats])
    for name, forecast in zip(formats, forecasts, strict=True):
        items = items_of(task, adapter, name, options)
        yield Line(own, name, items, forecast.whole.slope, forecast.whole.correlation)


def items_of(
    task: str, adapter: str | None, quantize: str | None, options: argparse.Namespace
) -> str:
    """1 or 0 for each test item."""
    config = EvalConfig(
        base=options.base,
        adapter=adapter,
        task=task,
        quantize=quantize,
        dev=options.dev,
        test=options.test,
        scoring="likelihood",
        threads=1,
    )
    return "".join(str(round(value)) for value in evaluate(config).score.per_item)


def read(file: Path) -> list[Line]:
    """The lines of a file; none if it is not there."""
    texts = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [Line(**json.loads(text)) for text in texts]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outcomes", type=Path, required=True)
    parser.add_argument("--adapters", nargs="+", default=[], metavar="ADAPTER=TASK")
    parser.add_argument("--base", default="embedded:smollm2-135m")
    parser.add_argument("--dev", type=int, default=100)
    parser.add_argument("--test", type=int, default=200)
    options = parser.parse_args()
    for pair in options.adapters:
        adapter, _, task = pair.partition("=")
        done = {(line.adapter, line.model) for line in read(options.outcomes)}
        for line in lines(adapter, task, done, options):
            with options.outcomes.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(line)) + "\n")
            print(line.adapter, line.model, line.items.count("1"), line.slope or "", flush=True)


if __name__ == "__main__":
    main()
