"""A new customer: requests to four businesses as dev, to a fifth as test, for each of five businesses.

    python research/benchmarks/new_customers.py runs/customers --seeds 20 \\
        --outcomes research/evidence/customers.jsonl

The experts are those of the demo without the one of the fifth business. A line for each method,
business and seed holds 1 for a right answer of a test item, 0 for a wrong one. Beside what a search
holds there are the fine-tuned best expert at lower strengths, and `left-out`: of the best expert, the
mixture and the fine-tuned expert at three strengths, the one with the best score on each business of
dev, trained without it. Seeds 0 to 19 are for looking, 20 and above for claims.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from demo_table import FOUND, TUNED
from few_controls import LIKELIHOOD, Finished, Outcome, signs

from pyswarmopt_llm.api import resume, search
from pyswarmopt_llm.cli.demo import demo_search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.published.builtin import builtin_task
from pyswarmopt_llm.scores.choices import Choices
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.searching.prepare import prepare
from pyswarmopt_llm.training.trainer import fit

BUSINESSES = ("bank", "travel", "clinic", "shop", "internet")
LABELS = 12  # of each of the four businesses
ITEMS = (20, 40)  # dev and test questions of a business; all 60 test the fifth
STRENGTHS = (1.0, 0.75, 0.5)
METHODS = {"best": "search", **FOUND, **TUNED}


def config_of(business: str, seed: int, folder: Path) -> SearchConfig:
    """The search for a new business."""
    out = folder / f"{business}-{seed}"
    others = [name for name in BUSINESSES if name != business]
    dev = [item for name in others for item in items_of(name, seed)[:LABELS]]
    file = folder / f"{business}-{seed}.json"
    splits = {"dev": dev, "test": items_of(business, seed)}
    file.write_text(json.dumps(splits), encoding="utf-8")
    demo = demo_search(seed, out)
    experts = tuple(path for path in demo.experts if Path(path).name != business)
    task = (str(file),)
    return replace(demo, experts=experts, tasks=task, dev=4 * LABELS, test=sum(ITEMS), threads=1)


def items_of(business: str, seed: int) -> list[dict[str, Any]]:
    """The requests to a business, those of its dev split first."""
    task = builtin_task(f"requests-{business}", seed, *ITEMS)
    rows = [asdict(item) for item in (*task.dev, *task.test)]
    kept = ("id", "question", "choices", "answer")
    return [{name: row[name] for name in kept} for row in rows]


def outcomes(config: SearchConfig) -> Iterator[Outcome]:
    """Every method's outcome, for one new business."""
    out = Path(config.out)
    result = (resume(out) if (out / "run.json").exists() else search(config)).result
    for name, method in METHODS.items():
        test = result["models"].get(name, {}).get("test")
        if test:
            items = next(iter(test["tasks"].values()))["items"]
            yield method, items, result["models"][name]["dev"]["value"]
    yield from tuned(config, result)


def tuned(config: SearchConfig, result: Mapping[str, Any]) -> Iterator[Outcome]:
    """The fine-tuned best expert at each strength, and what leaving a business out chooses."""
    job = prepare(replace(config, out=f"{config.out}-alone"))
    (task,) = job.tasks
    found = Finished(task, job, result)
    start = job.pool.space.realise(found.single())
    items = job.choices({task: LIKELIHOOD})
    known = left_out(found, start, items)
    whole = fitted(found, start, items)
    scores = {}
    for strength in STRENGTHS:
        job.engine.load(whole.scaled(strength))
        scores[strength] = signs(job.utilities("test", {task: LIKELIHOOD})[task](job.engine))
        yield f"tuned-{strength:g}", scores[strength], known[strength]
    models = result["models"]
    untrained = {name: models[name]["dev"]["value"] for name in ("best_single", "mixture")}
    best = max(STRENGTHS, key=known.__getitem__)
    name = max(untrained, key=untrained.__getitem__)
    chosen, value = scores[best], known[best]
    if untrained[name] > value:
        chosen = next(iter(models[name]["test"]["tasks"].values()))["items"]
        value = untrained[name]
    yield "left-out", chosen, value


def left_out(found: Finished, start: Patch, items: list[Choices]) -> dict[float, float]:
    """Strength -> accuracy on dev, each business answered by a model trained on the three others."""
    right = dict.fromkeys(STRENGTHS, 0.0)
    dev = found.job.tasks[found.task].dev
    for place in range(0, len(items), LABELS):
        rest = items[:place] + items[place + LABELS :]
        patch = fitted(found, start, rest)
        for strength in STRENGTHS:
            found.job.engine.load(patch.scaled(strength))
            right[strength] += answered(found, dev[place : place + LABELS])
    return {strength: count / len(items) for strength, count in right.items()}


def answered(found: Finished, items: tuple[Item, ...]) -> float:
    """Number of items that the loaded model answers."""
    engine = found.job.engine
    return sum(Accuracy(items, LIKELIHOOD, engine.chat)(engine).per_item)


def fitted(found: Finished, start: Patch, items: list[Choices]) -> Patch:
    """The start after training on items."""
    job = found.job
    lora = fit(job.engine, start, items, job.pool.experts[0], job.config.seed)
    return start.with_low_rank(lora.low_rank)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--businesses", nargs="+", default=BUSINESSES, choices=BUSINESSES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[20])
    parser.add_argument("--outcomes", type=Path, required=True)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        for business in options.businesses:
            rows = list(outcomes(config_of(business, seed, options.folder)))
            with options.outcomes.open("a", encoding="utf-8") as out:
                for method, items, dev in rows:
                    key = {"business": business, "seed": seed, "method": method}
                    out.write(json.dumps({**key, "dev": round(dev, 4), "test": items}) + "\n")
            scores = {method: round(items.count("1") / len(items), 3) for method, items, _ in rows}
            print(business, seed, scores, flush=True)


if __name__ == "__main__":
    main()
