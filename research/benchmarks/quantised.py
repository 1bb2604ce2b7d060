#!/usr/bin/env python3
"""What rounding to a file of few bits costs a search's result, and what `search --quantize` wins back.

    python research/benchmarks/quantised.py runs/quantised --outcomes runs/quantised.jsonl \\
        --tasks demo --seeds 0 1 2 --formats q4_1 q4_0 q8_0 nf4
    python research/benchmarks/quantised.py runs/quantised --outcomes runs/quantised.jsonl \\
        --tasks DATA/tasks/intent.json --experts EXPERTS/* --seeds 0 1 2 --formats q4_1 nf4
    python research/benchmarks/quantised.py runs/quantised --outcomes runs/quantised.jsonl \\
        --base runs/dithered --dither embedded:smollm2-135m --tasks demo --seeds 0 --formats q4_1

A line for each task, seed, format and method, with 1 or 0 for each test item:

- ``base``: the base, rounded;
- ``full``: the result of a search without a format, as it is served apart from its base (the ceiling);
- ``rounded``: the same, merged and each weight rounded to the nearest value;
- ``strength``: the same at the one strength that is best on dev after rounding;
- ``search``: the result of `search --quantize`, whose weights are rounded together.

``slope`` is the forecast of `inspect --quantize` for ``full``. Lines that are there already are not computed
again, and a run that was interrupted is resumed: the same command goes on where it stopped. A search with a
format takes what it scores and trains before rounding from the search without one. ``--dither`` first writes
a base that is off the grid of Q4_1: one that is on it, with noise of half a step of that format.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from pyswarmopt_llm.api import resume
from pyswarmopt_llm.api import search as start
from pyswarmopt_llm.cli.demo import demo_search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.events import Event
from pyswarmopt_llm.common.interfaces import Engine
from pyswarmopt_llm.experts.adapter import read_adapter
from pyswarmopt_llm.experts.base import load_model, resolve_base
from pyswarmopt_llm.experts.full_model import copy_companions
from pyswarmopt_llm.formats import find_format
from pyswarmopt_llm.formats.survival import survival
from pyswarmopt_llm.mix.load import adapter_patch
from pyswarmopt_llm.run.record import RESULTS, TRAINED, unpack
from pyswarmopt_llm.searching.prepare import Job, prepare

EMBEDDED = "smollm2-135m"
STRENGTHS = (1.0, 1.5, 2.0, 3.0, 4.0)  # factors of a model's change
METHODS = ("base", "full", "rounded", "strength", "search")


@dataclass(frozen=True)
class Line:
    """An outcome.

    Attributes:
        task, seed, format, method: what was scored.
        train: whether the searches trained on dev.
        items: 1 or 0 for each test item, as text.
        base: name of the base.
        strength: factor of the model, if it was chosen.
        slope: forecast for ``rounded``.
    """

    task: str
    seed: int
    format: str
    method: str
    train: str
    items: str
    base: str = EMBEDDED
    strength: float | None = None
    slope: float | None = None

    @property
    def key(self) -> tuple[str, int, str, str, str, str]:
        """What a line is of."""
        return (self.task, self.seed, self.format, self.method, self.train, self.base)

    @property
    def score(self) -> float:
        """Share of right answers."""
        return self.items.count("1") / len(self.items)


def result_of(config: SearchConfig, like: Path | None = None) -> Mapping[str, Any]:
    """The result of a finished, begun or new run.

    Args:
        config: its settings.
        like: a run that differs only in its format; what it scored and trained before rounding is taken over.
    """
    run = Path(config.out)
    result = run / "result.json"
    if result.exists():
        return dict(json.loads(result.read_text(encoding="utf-8")))
    if not (run / "run.json").exists():
        begin(config)
        if like is not None:
            take_over(like, run)
    return resume(run).result


def begin(config: SearchConfig) -> None:
    """Write a run that has scored nothing yet."""

    def stop(event: Event) -> None:
        if event.kind == "start":
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        start(config, stop)


def take_over(source: Path, run: Path) -> None:
    """Copy the scores and the LoRAs of a finished search that are not rounded."""
    texts = (source / RESULTS).read_text(encoding="utf-8").splitlines()
    kept = [text for text in texts if json.loads(text)["what"] in ("search", f"search {TRAINED}")]
    (run / RESULTS).write_text("".join(f"{text}\n" for text in kept), encoding="utf-8")
    if (source / TRAINED).exists():
        shutil.copytree(source / TRAINED, run / TRAINED)


def test_items(result: Mapping[str, Any], name: str = "best") -> str:
    """1 or 0 for each test item of a model in a result."""
    (task,) = result["models"][name]["test"]["tasks"].values()
    return "".join(str(round(value)) for value in unpack(task["items"]))


class Rounded:
    """Scores the result of a run, merged and rounded.

    Args:
        config: the search without a format.
        name: the format.
    """

    def __init__(self, config: SearchConfig, name: str) -> None:
        self._job: Job = prepare(replace(config, out=f"{config.out}-again", quantize=name))
        self._patch = adapter_patch(config.base, f"{config.out}/best")

    def items(self, split: str, strength: float) -> list[float]:
        """The scores of the items of a split."""
        engine: Engine = self._job.engine
        engine.load(replace(self._patch.scaled(strength), format=self._job.format))
        formats: dict[str, Any] = dict.fromkeys(self._job.tasks, "likelihood")
        (utility,) = self._job.utilities(split, formats).values()
        return list(utility(engine).per_item)

    def strongest(self) -> float:
        """The strength that is best on dev; of equal ones the least."""
        return max(STRENGTHS, key=lambda strength: mean(self.items("dev", strength)))


def forecast(config: SearchConfig, name: str) -> float:
    """The slope that `inspect --quantize` prints for a run's result."""
    adapter = read_adapter(f"{config.out}/best")
    (found,) = survival(resolve_base(config.base), adapter, [find_format(name)])
    return found.whole.slope


def lines(
    config: SearchConfig,
    task: str,
    name: str,
    done: set[Any],
    methods: Sequence[str] = METHODS,
) -> Iterator[Line]:
    """The lines of a task, a seed and a format that are not there yet."""
    asked = Line(task, config.seed, name, "", config.train, "", name_of(config.base))
    left = [method for method in methods if replace(asked, method=method).key not in done]
    if not left:
        return
    full = result_of(config)
    if "full" in left:
        yield replace(asked, method="full", items=test_items(full))
    if {"rounded", "strength"} & set(left):
        model = Rounded(config, name)
        found = {"rounded": 1.0}
        if "strength" in left:
            found["strength"] = model.strongest()
        for method in filter(left.__contains__, found):
            items = "".join(str(round(v)) for v in model.items("test", found[method]))
            slope = forecast(config, name) if method == "rounded" else None
            line = replace(asked, method=method, items=items, slope=slope)
            yield replace(line, strength=found[method])
    if {"base", "search"} & set(left):
        rounded = replace(config, quantize=name, out=f"{config.out}-{name}")
        best = result_of(rounded, Path(config.out))
        yield replace(asked, method="search", items=test_items(best))
        yield replace(asked, method="base", items=test_items(best, "base"))


def name_of(base: str) -> str:
    """The name of a base without its folder."""
    return Path(base.rpartition(":")[2]).name


@torch.no_grad()
def dither(source: str, folder: Path) -> None:
    """Write a base whose weights are as far from the grid of Q4_1 as those that it was made from may have been."""
    base = resolve_base(source)
    model, _ = load_model(base, torch.float32)
    noise = torch.Generator().manual_seed(0)
    for name in find_format("q4_1").layout(model):
        value = model.get_parameter(name)
        blocks = value.view(-1, 32)
        steps = (blocks.amax(1, keepdim=True) - blocks.amin(1, keepdim=True)) / 15
        blocks += steps * (torch.rand(blocks.shape, generator=noise) - 0.5)
    model.to(torch.bfloat16).save_pretrained(folder)
    copy_companions(base, folder)


def config_of(task: str, seed: int, train: str, options: argparse.Namespace) -> SearchConfig:
    """The search of a task and a seed, without a format."""
    name = Path(task).stem
    base = name_of(options.base)
    of_base = "" if base == EMBEDDED else f"{base}-"
    out = str(options.folder / f"{of_base}{name}-{seed}-{train}")
    if task == "demo":
        return replace(demo_search(seed, Path(out), full=True), train=train, base=options.base)
    return SearchConfig(
        base=options.base,
        experts=tuple(options.experts),
        tasks=(task,),
        out=out,
        dev=options.dev,
        test=options.test,
        scoring="likelihood",
        seed=seed,
        train=train,
    )


def read(file: Path) -> dict[Any, Line]:
    """The lines of a file by key; none if it is not there."""
    texts = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    found = [Line(**json.loads(text)) for text in texts]
    return {line.key: line for line in found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--outcomes", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", default=["demo"])
    parser.add_argument("--base", default="embedded:smollm2-135m")
    parser.add_argument("--experts", nargs="+", default=[])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--formats", nargs="+", default=["q4_1", "q4_0", "q8_0", "nf4"])
    parser.add_argument("--train", nargs="+", default=["off"], choices=["off", "on"])
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--dev", type=int, default=200)
    parser.add_argument("--test", type=int, default=500)
    parser.add_argument("--dither", metavar="BASE", help="write --base, a folder, from this base")
    options = parser.parse_args()
    if options.dither and not Path(options.base).exists():
        dither(options.dither, Path(options.base))
    for task in options.tasks:
        stem = Path(task).stem
        for seed in options.seeds:
            for train in options.train:
                config = config_of(task, seed, train, options)
                for name in options.formats:
                    done = set(read(options.outcomes))
                    for line in lines(config, stem, name, done, options.methods):
                        if line.key in done:
                            continue
                        with options.outcomes.open("a", encoding="utf-8") as file:
                            file.write(json.dumps(asdict(line)) + "\n")
                        print(*line.key, f"{line.score:.3f}", line.strength or "", flush=True)


if __name__ == "__main__":
    main()
