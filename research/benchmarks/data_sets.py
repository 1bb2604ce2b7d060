#!/usr/bin/env python3
"""Model Swarms on the data sets of its paper: single ones, and domains of two jointly.

Files are those of the authors' repository (BunsenFeng/model_swarm, data/eval), in one folder: --data.
The rows are the constant answer (the answer that is most frequent on dev), the best single expert, Model Swarms
with 12 particles and 10 iterations (every example scored, one set of coefficients), base and best expert
fine-tuned, and the default search. Two files of a domain count by their harmonic mean.

    python research/benchmarks/data_sets.py --data DATA --experts EXPERTS --out runs/data-sets \\
        --outcomes research/evidence/data-sets.jsonl --names mmlu_pro nlgraph legal

A line of the outcomes is a row: 1 or 0 for each test example of each file. What is there is not run again.

What is left out: kinds of NLGraph that are not answered with yes or no; test questions that dev has, too;
all but one of questions that occur several times, of Knowledge Crosswords whatever their options, and its
worked example. Both legal files repeat dev examples in test, so theirs are halves of one list without
duplicates.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from several_experts import default_search, paper

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.files.regular import write_json
from pyswarmopt_llm.scores.tasks.items import normalise

Items = list[dict[str, Any]]
Splits = Mapping[str, Items]
Outcomes = Mapping[str, str]
"""File name -> 1 or 0 for each test example."""


@dataclass(frozen=True)
class DataSet:
    """A data set or domain.

    Attributes:
        files: names of its files.
        prepare: from the published splits of a file to those that are used.
        dev: examples of each file that a search sees.
        test: at most so many test examples of each file.
    """

    files: tuple[str, ...]
    prepare: Callable[[Splits], Splits]
    dev: int = 100
    test: int = 1000


def text_of(item: Mapping[str, Any]) -> str:
    """What an example asks: question and options, whatever their order."""
    options = sorted(map(normalise, item.get("choices", {}).values()))
    return " ".join([normalise(item["question"]), *options])


def distinct(splits: Splits, key: Callable[[Mapping[str, Any]], str] = text_of) -> Splits:
    """Without test examples that dev has, too, and without repetitions, by what `key` gives."""
    seen: set[str] = set()
    kept: dict[str, Items] = {}
    for split in ("dev", "test"):
        kept[split] = []
        for item in splits[split]:
            if key(item) not in seen:
                kept[split].append(item)
            seen.add(key(item))
    return kept


def distinct_questions(splits: Splits) -> Splits:
    """Each question once: some are asked again with other wrong options."""
    return distinct(splits, lambda item: normalise(item["question"]))


def yes_or_no(splits: Splits) -> Splits:
    """The kinds of problems with yes or no for an answer, as choices."""
    options = {"A": "Yes", "B": "No"}
    letters = {text: letter for letter, text in options.items()}
    chosen = {
        split: [
            {**item, "choices": options, "answer": letters[item["answer"]]}
            for item in splits[split]
            if item["answer"] in letters
        ]
        for split in ("dev", "test")
    }
    return distinct(chosen)


def halves(splits: Splits) -> Splits:
    """Dev and test are halves of all examples, each of which counts once."""
    items = distinct({"dev": splits["dev"] + splits["test"], "test": []})["dev"]
    items = random.Random(0).sample(items, len(items))
    middle = len(items) // 2
    return {"dev": items[:middle], "test": items[middle:]}


DATA_SETS = {
    "mmlu_pro": DataSet(("mmlu_pro",), distinct),
    "nlgraph": DataSet(("nlgraph",), yes_or_no),
    "hellaswag": DataSet(("hellaswag",), distinct),
    "knowledge_crosswords": DataSet(("knowledge_crosswords",), distinct_questions),
    "truthfulqa": DataSet(("truthfulqa",), distinct),
    "legal": DataSet(("hearsay", "citation_prediction_classification"), halves),
    "cultural": DataSet(("normad_country", "normad_value"), distinct, 100, 500),
    "medical": DataSet(("medqa", "medmcqa"), distinct, 100, 500),
    "scientific": DataSet(("scifact", "stem"), distinct, 100, 500),
}


def used_files(name: str, data: Path, out: Path) -> tuple[str, ...]:
    """Write the task files of a data set, the same in every process; their paths."""
    source = DATA_SETS[name]
    paths = []
    for file in source.files:
        published = json.loads((data / f"{file}.json").read_text(encoding="utf-8"))
        splits = source.prepare(published)
        rng = random.Random(f"{name}:{file}")
        sizes = {"dev": source.dev, "test": source.test}
        drawn = {
            split: rng.sample(splits[split], min(size, len(splits[split])))
            for split, size in sizes.items()
        }
        path = out / "tasks" / name / f"{file}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, drawn)
        paths.append(str(path))
    return tuple(paths)


def constant_answer(file: str) -> str:
    """1 for each test example whose answer is the most frequent one of dev, else 0.

    Where all examples have the same options it is a text, else the letter.
    """
    splits = json.loads(Path(file).read_text(encoding="utf-8"))
    counts = Counter(item["answer"] for item in splits["dev"])
    most = counts.most_common(1)[0][0]
    return "".join(str(int(item["answer"] == most)) for item in splits["test"])


def rows(name: str, config: SearchConfig) -> Iterator[tuple[str, Outcomes]]:
    """Method, and its outcomes by file."""
    yield "constant", {Path(file).stem: constant_answer(file) for file in config.tasks}
    # Neither of the two uses the folder that `several_experts` hands over.
    yield from paper(config, None)  # type: ignore[arg-type]
    yield from default_search(config, None)  # type: ignore[arg-type]


def run(names: Sequence[str], seed: int, options: argparse.Namespace) -> None:
    """Run the data sets that have no line of their last row yet."""
    outcomes: Path = options.outcomes
    lines = outcomes.read_text(encoding="utf-8").splitlines() if outcomes.exists() else []
    done = {(row["task"], row["seed"]) for row in map(json.loads, lines)}
    experts = tuple(str(path) for path in sorted(options.experts.iterdir()) if path.is_dir())
    for name in names:
        if (name, seed) in done:
            continue
        config = SearchConfig(
            base=options.base,
            experts=experts,
            tasks=used_files(name, options.data, options.out),
            out=str(options.out / "runs" / f"{name}-{seed}"),
            scoring="likelihood",
            threads=1,
            seed=seed,
        )
        found = list(rows(name, config))
        with outcomes.open("a", encoding="utf-8") as file:
            for method, test in found:
                row = {"method": method, "task": name, "seed": seed, "test": test}
                file.write(json.dumps(row) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", default="embedded:smollm2-135m")
    parser.add_argument("--data", type=Path, required=True, help="folder with NAME.json")
    parser.add_argument("--experts", type=Path, required=True, help="a folder per expert")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--outcomes", type=Path, required=True)
    parser.add_argument("--names", nargs="+", default=list(DATA_SETS), choices=DATA_SETS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    run(options.names, options.seed, options)


if __name__ == "__main__":
    main()
