#!/usr/bin/env python3
"""Does a search with labels hand over less than fine-tuning? Regret on real tasks.

Regret is the test score of the best of {best expert, base fine-tuned, best expert fine-tuned} minus
that of what the rule of `swarm-llm search` hands over. Every job, TASK:LABELS:SEED, stores what
such a rule may look at: margins of dev items, of what is trained by cross-fitting, and test
outcomes item by item; so other rules can be tried without a model. A mixture is not among the
starts here. The two trained models are also combined: their changes added up, halves of both,
which are cross-fitted, too, and the mean of their predictions.

`CHOOSE` is for looking and `CLAIM` for claims; both were named before the first job ran. Labels
that a small dev split lacks come from test, which keeps the other items.

    python research/benchmarks/regret.py run --data DATA --experts EXPERTS \\
        --out research/evidence/regret.jsonl --jobs banking:200:0 mmlu:50:0
    python research/benchmarks/regret.py table --out research/evidence/regret.jsonl

DATA has tasks/TASK.json and eval/TASK.json, EXPERTS a folder per expert. What is there is not run
again. A job takes ten to thirty minutes of one core.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import softmax

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.interfaces import LowRank, Patch, Score
from pyswarmopt_llm.scores.choices import fold_epochs
from pyswarmopt_llm.searching.prepare import prepare
from pyswarmopt_llm.searching.train_on_labels import BEHIND, FAVOUR, best_start, softened
from pyswarmopt_llm.training.fitting import Fitting, not_worse

CLAIM = ("mmlu:200", "stem:200", "commonsense:200", "normad_country:200", "hellaswag:200")
CLAIM += ("mmlu:50", "stem:50", "commonsense:50")
CLAIM += ("medqa:200", "scifact:200")  # named on 26 November 2026, before they ran
CHOOSE = ("banking:200", "completion:200", "medmcqa:200", "intent:200", "science:200", "graph:200")
CHOOSE += ("generalist:200", "banking:50", "completion:50", "science:50", "medmcqa:50", "graph:50")
CHOOSE += ("normad_country:50", "intent:50")
TEST = 250
RACED = 48  # dev items on which all experts are scored; the best four see the others
SPLITS = 200  # of the test items into halves
STARTS = ("base", "expert")
HANDED = ("expert", "base tuned", "expert tuned")  # one of these is handed over
FloatArray = npt.NDArray[np.float64]


def cross_fit(fitting: Fitting, score: Callable[[list[int]], Sequence[Any]]) -> list[Any]:
    """The outcome of each item by what was trained without its fold.

    Args:
        fitting: with folds.
        score: indices of items -> their outcomes, by the model that is loaded.
    """
    outcomes: dict[int, Any] = {}
    for fold, patch in fitting.without_folds():
        fitting.engine.load(patch)
        outcomes |= zip(fold, score(fold), strict=True)
    return [outcomes[index] for index in range(len(fitting.items))]


def drawn(data: Path, task: str, labels: int, seed: int) -> dict[str, Any]:
    """Dev and test items of a job."""
    paths = (data / "tasks" / f"{task}.json", data / "eval" / f"{task}.json")
    splits = json.loads(next(filter(Path.exists, paths)).read_text(encoding="utf-8"))
    dev, test = splits["dev"], splits["test"]
    if len(dev) < labels:
        order = random.Random(5).sample(test, len(test))
        dev, test = dev + order[: labels - len(dev)], order[labels - len(dev) :]
    dev = random.Random(1000 + seed).sample(dev, labels)
    return {"dev": dev, "test": random.Random(1).sample(test, min(TEST, len(test)))}


class Study:
    """A job: the base and the best expert, alone and trained."""

    def __init__(self, base: str, experts: Sequence[str], file: Path, seed: int) -> None:
        config = SearchConfig(
            base=base,
            experts=tuple(experts),
            tasks=(str(file),),
            out=str(file.with_suffix("")),
            scoring="likelihood",
            threads=1,
            seed=seed,
        )
        self.job = prepare(config)
        answer_formats = dict.fromkeys(self.job.tasks, "likelihood")
        (self.dev,) = self.job.utilities("dev", answer_formats).values()
        (self.test,) = self.job.utilities("test", answer_formats).values()
        self.choices = self.job.choices(answer_formats)
        self.seed, self.folder = seed, file.with_suffix("")

    def scored(self, patch: Patch, places: Sequence[int] | None = None) -> Score:
        """Dev items of a model."""
        self.job.engine.load(patch)
        return self.dev(self.job.engine, places)

    def on_test(self, patch: Patch) -> list[dict[str, float]]:
        """Of each test item the log-likelihood per byte of its options."""
        self.job.engine.load(patch)
        return self.test.option_scores(self.job.engine)

    def lengths(self) -> list[float]:
        """Of each test item the mean length of its options in bytes."""
        options = ((item.choices or {}).values() for item in self.test.items)
        return [float(np.mean([len(text.encode()) for text in texts])) for texts in options]

    def right(self, scores: Sequence[Mapping[str, float]]) -> str:
        """1 for each test item whose right option has the highest score, else 0."""
        answers = [max(of_item, key=of_item.__getitem__) for of_item in scores]
        return "".join(str(int(value)) for value in self.test.judge(answers))

    def best_expert(self) -> tuple[str, Patch]:
        """The best of the four that lead on the first items, and its name."""
        count = min(RACED, len(self.choices))
        first = sorted(random.Random(7).sample(range(len(self.choices)), count))
        names = self.job.pool.space.expert_names
        patches = [self.job.pool.space.realise(vertex) for vertex in self.job.pool.space.vertices()]
        led = [self.scored(patch, first).value for patch in patches]
        four = sorted(range(len(names)), key=lambda k: -led[k])[:4]
        best = max(four, key=lambda k: self.scored(patches[k]).value)
        return names[best], patches[best]

    def row(self) -> dict[str, Any]:
        """Everything that is stored of the job."""
        name, expert = self.best_expert()
        models: dict[str, Any] = {}
        fittings: list[Fitting] = []
        predicted: list[list[dict[str, float]]] = []
        for start, patch in zip(STARTS, (Patch(), expert), strict=True):
            dev = margins(self.scored(patch).margins)
            models[start] = {"dev": dev, "test": self.right(self.on_test(patch))}
            fittings.append(self.fitting(start, patch))
            scores = self.on_test(fittings[-1].whole())
            models[f"{start} tuned"] = {
                "dev": self.cross_fitted(fittings[-1]),
                "test": self.right(scores),
            }
            predicted.append(scores)
        base, tuned = (fitting.whole() for fitting in fittings)
        halves = Halves(*fittings)
        models["halves"] = {
            "dev": self.cross_fitted(halves),
            "test": self.right(self.on_test(halves.whole())),
        }
        models["sum"] = {"test": self.right(self.on_test(base.with_low_rank(tuned.low_rank)))}
        predictions = list(map(mean_prediction, *predicted, self.lengths()))
        models["predictions"] = {"test": self.right(predictions)}
        return {"best": name, "models": models}

    def fitting(self, name: str, start: Patch) -> Fitting:
        """What is trained from a start, kept on disk."""
        return Fitting(
            self.job.engine,
            start,
            self.choices,
            self.job.pool.experts[0],
            self.seed,
            self.folder / name,
            fold_epochs(len(self.choices)),
        )

    def cross_fitted(self, fitting: Any) -> list[float]:
        """Margins of dev, each by what was trained without it."""
        return margins(
            cross_fit(fitting, lambda places: self.dev(self.job.engine, places).margins or ())
        )


class Halves:
    """The mean of two fittings' models, as a fitting: see `Fitting.without_folds`."""

    def __init__(self, first: Fitting, second: Fitting) -> None:
        self.first, self.second = first, second
        self.engine, self.items = first.engine, first.items

    def without_folds(self) -> Iterator[tuple[list[int], Patch]]:
        """The items of each fold, and the mean of what was trained without these."""
        pairs = zip(self.first.without_folds(), self.second.without_folds(), strict=True)
        for (fold, one), (_, other) in pairs:
            yield fold, mean_of(one, other)

    def whole(self) -> Patch:
        """The mean of what was trained on all items."""
        return mean_of(self.first.whole(), self.second.whole())


def mean_of(one: Patch, other: Patch) -> Patch:
    """The model whose changes are the mean of two models'."""
    return Patch(halved(one)).with_low_rank(halved(other))


def halved(patch: Patch) -> dict[str, LowRank]:
    """Half of a model's changes."""
    return {
        weight: LowRank(b=change.b / 2, a=change.a) for weight, change in patch.low_rank.items()
    }


def mean_prediction(
    first: Mapping[str, float], second: Mapping[str, float], length: float
) -> dict[str, float]:
    """The mean of two models' probabilities of an item's options.

    Args:
        first: option -> log-likelihood per byte.
        second: of the other model.
        length: mean bytes of an option, which makes log-likelihoods of them, as in training.

    Example:
        >>> round(mean_prediction({"A": 0.0, "B": 0.0}, {"A": 9.0, "B": 0.0}, 8.0)["A"], 3)
        0.75
    """
    both = [softmax(length * np.array(list(scores.values()))) for scores in (first, second)]
    return dict(zip(first, np.mean(both, axis=0).tolist(), strict=True))


def margins(values: Any) -> list[float]:
    """Of each item the closest rival's margin."""
    return [round(min(of_item), 3) for of_item in values]


def expected(margins: Sequence[float]) -> Score:
    """The score that margins of dev let expect, as a search reads them."""
    return softened([[margin] for margin in margins])


def handed_over(models: Mapping[str, Any]) -> str:
    """The model that the search's rule keeps."""
    values = {start: expected(models[f"{start} tuned"]["dev"]) for start in STARTS}
    best = best_start(values)
    kept = not_worse(values[best], expected(models["expert"]["dev"]), BEHIND)
    return f"{best} tuned" if kept else "expert"


def soft(margins: Sequence[float]) -> FloatArray:
    """What an item counts by its margin, as a search counts it."""
    return np.array(expected(margins).per_item)


def ruled(
    models: Mapping[str, Any],
    favour: float = FAVOUR,
    behind: float = BEHIND,
    hedge: str = "",
    near: float = 1.0,
    by: Callable[[Sequence[float]], FloatArray] = soft,
) -> str:
    """The model that another rule keeps; with these defaults `handed_over`.

    Args:
        models: of a job.
        favour: standard errors by which the best expert may be behind as a start.
        behind: those by which a trained model may be behind the untrained expert.
        hedge: a combination of the two trained models that is handed over where they are close.
        near: standard errors that are close.
        by: margins of dev -> what an item counts.
    """
    base, expert, alone = (
        by(models[name]["dev"]) for name in ("base tuned", "expert tuned", "expert")
    )
    lead = leads(base, expert) - favour
    best, dev = ("base tuned", base) if lead > 0 else ("expert tuned", expert)
    if hedge and abs(lead) < near:
        best, dev = hedge, (base + expert) / 2
    return best if leads(dev, alone) >= -behind else "expert"


def leads(one: FloatArray, other: FloatArray) -> float:
    """The mean difference of items, in its standard errors.

    Example:
        >>> leads(np.array([1.0, 1.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0, 1.0]))
        1.0
    """
    difference = one - other
    error = difference.std(ddof=1) / math.sqrt(difference.size)
    return float(difference.mean() / error) if error else 0.0


def better_on_test(models: Mapping[str, Any]) -> str:
    """The better of the two trained models: what a perfect rule that never declines keeps."""
    return max(("base tuned", "expert tuned"), key=lambda name: accuracy(models[name]))


def right_or_wrong(margins: Sequence[float]) -> FloatArray:
    """An item counts 1 if its margin is positive."""
    return (np.array(margins) > 0).astype(float)


RULES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "the search's": handed_over,
    "training is never declined": partial(ruled, behind=math.inf),
    "training is declined at one standard error": partial(ruled, behind=1.0),
    "base and expert are alike as starts": partial(ruled, favour=0.0),
    "always the expert, fine-tuned": partial(ruled, favour=math.inf, behind=math.inf),
    "items count right or wrong": partial(ruled, by=right_or_wrong),
    "halves of both, if they are within one standard error": partial(ruled, hedge="halves"),
    "mean of their predictions, if they are": partial(ruled, hedge="predictions"),
    "the better one on test (no rule)": better_on_test,
}


def rules_table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Lines of a Markdown table: mean and worst regret of each rule, on jobs of either kind.

    A combination may be ahead of the best of the three, which counts as a regret below 0.
    """
    yield "| mean and worst regret | to choose on | to claim on |"
    yield "| --- | ---: | ---: |"
    for name, rule in RULES.items():
        cells = []
        for kind in ("choose", "claim"):
            lost = [
                max(accuracy(row["models"][one]) for one in HANDED) - accuracy(row["models"][own])
                for row in rows
                if kind_of(row) == kind and (own := rule(row["models"])) in row["models"]
            ]
            cells.append(f"{100 * np.mean(lost):.1f}, {100 * np.max(lost):.1f} ({len(lost)})")
        yield f"| {name} | {' | '.join(cells)} |"


def kind_of(row: Mapping[str, Any]) -> str:
    """Whether a job is to ``claim`` on or to ``choose`` on."""
    task, labels, _ = row["job"].split(":")
    return "claim" if f"{task}:{labels}" in CLAIM else "choose"


def accuracy(model: Mapping[str, Any]) -> float:
    """The share of test items that are answered rightly."""
    return float(model["test"].count("1") / len(model["test"]))


def by_halves(tests: Mapping[str, str], handed: str) -> float:
    """Regret without the luck of the best of three: the best model on one half of the test items minus
    the model handed over, on the other half; the mean of `SPLITS` drawn splits.

    Args:
        tests: model -> 1 or 0 for each test item.
        handed: the model handed over.

    Example:
        >>> by_halves({"x": "1111", "y": "0000"}, "y"), by_halves({"x": "1111", "y": "0000"}, "x")
        (1.0, 0.0)
    """
    right = {name: np.array(list(test), dtype=float) for name, test in tests.items()}
    rng, lost = np.random.default_rng(0), []
    for _ in range(SPLITS):
        order = rng.permutation(len(right[handed]))
        halves = order[: len(order) // 2], order[len(order) // 2 :]
        for first, second in (halves, halves[::-1]):
            best = max(right, key=lambda name: right[name][first].mean())
            lost.append(right[best][second].mean() - right[handed][second].mean())
    return float(np.mean(lost))


def table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Lines of a Markdown table: a job each, and the means."""
    heads = ["best expert", "base, fine-tuned", "best expert, fine-tuned", "handed over", "regret"]
    heads.append("by halves")
    yield f"| {TEST} test examples | kind | {' | '.join(heads)} |"
    yield "| --- | --- |" + " ---: |" * len(heads)
    kinds: dict[str, list[tuple[float, float]]] = {"claim": [], "choose": []}
    for row in rows:
        models = row["models"]
        task, labels, seed = row["job"].split(":")
        kind = kind_of(row)
        scores = [accuracy(models[name]) for name in HANDED]
        handed = handed_over(models)
        tests = {name: models[name]["test"] for name in HANDED}
        lost = (max(scores) - accuracy(models[handed]), by_halves(tests, handed))
        kinds[kind].append(lost)
        cells = [f"{score:.3f}" for score in (*scores, accuracy(models[handed]))]
        cells += [f"{100 * value:.1f}" for value in lost]
        yield f"| {task}, {labels} labels, seed {seed} | {kind} | {' | '.join(cells)} |"
    for kind, values in kinds.items():
        if values:
            means = 100 * np.mean(values, axis=0)
            worst = 100 * np.max(values, axis=0)
            both = [f"{mean:.1f}, {most:.1f}" for mean, most in zip(means, worst, strict=True)]
            yield f"| mean of {len(values)}, worst | {kind} | | | | | {' | '.join(both)} |"


def run(options: argparse.Namespace) -> None:
    done = {row["job"] for row in read(options.out)}
    experts = sorted(str(path) for path in options.experts.iterdir() if path.is_dir())
    for job in options.jobs:
        if job in done:
            continue
        began = time.perf_counter()
        task, labels, seed = job.split(":")
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"{task}.json"
            items = drawn(options.data, task, int(labels), int(seed))
            file.write_text(json.dumps(items), encoding="utf-8")
            row = {"job": job, **Study(options.base, experts, file, int(seed)).row()}
        with options.out.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")
        print(job, row["best"], f"{time.perf_counter() - began:.0f} s", flush=True)


def read(path: Path) -> list[dict[str, Any]]:
    """The stored jobs; none without the file."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("run", "table"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--base", default="embedded:smollm2-135m")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--experts", type=Path)
    parser.add_argument("--jobs", nargs="+", default=[f"{job}:0" for job in (*CLAIM, *CHOOSE)])
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.what == "run":
        run(options)
    else:
        print("\n".join(table(read(options.out))))


if __name__ == "__main__":
    main()
