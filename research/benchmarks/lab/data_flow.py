"""Evolutionary merging with both of its halves: of weights, and of the layers that a text passes.

    python research/benchmarks/lab/lab.py make --out runs/lab
    python research/benchmarks/lab/data_flow.py --lab runs/lab --outcomes research/evidence/data-flow.jsonl

Akiba et al. 2024 (arXiv 2403.13187). Weights: a weight and a density for each model and layer in a DARE-TIES
merge. Data flow: the layers of all models one after the other, r times; an indicator says of each whether it is
passed (above 0), and the input of layer j is scaled by W_ij where it comes from layer i. Embeddings and
head are those of the first model, the best on dev, whose layers are passed at first. Both halves: the data
flow of the merge and the three models, the merge first. CMA-ES, sigma 1/6, maximises minus the loss of the
right answers to 60 dev items, 150 candidates each. W depends here on the models of i and j alone; of
weights, what belongs to no layer has a
weight of its own.

Models are the laboratory's three fine-tunes of all weights. Beside it: the base, the best of the three, their
average, and their layers one after the other without a search (the first two models, as merges of layers by
hand are made). A line is a method, a task and a seed: 1 for each right answer of 500, the loss on dev, and
the layers that are passed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cma
import numpy as np
import numpy.typing as npt
import torch
from frozen import correct, loss, right_answers, share
from torch import Tensor, nn

from pyswarmopt_llm.common.files.append_log import AppendLog
from pyswarmopt_rivals.methods.rules.sparsify import drop_and_rescale, elect_and_merge

REPEATS, CANDIDATES, SIGMA, DEV = 2, 150, 1 / 6, 60
MODELS, TASKS = ("letters", "places", "rest"), ("t4", "t5", "t6")
Floats = npt.NDArray[np.float64]
State = Mapping[str, Tensor]


class Scaled(nn.Module):
    """A layer whose input is scaled.

    Args:
        layer: of a model, which is not copied.
        scale: of its hidden states.
    """

    def __init__(self, layer: nn.Module, scale: float) -> None:
        super().__init__()
        self.layer, self.scale = layer, scale

    def forward(self, hidden: Tensor, *more: Any, **named: Any) -> Any:
        """The layer's output."""
        return self.layer(self.scale * hidden, *more, **named)


class DataFlow:
    """Layers of several models of transformers as one model; embeddings and head are the first's.

    Args:
        models: of one architecture.
        repeats: how often all layers stand one after the other.
    """

    def __init__(self, models: Sequence[Any], repeats: int) -> None:
        self.models = models
        self.layers = [layer for model in models for layer in model.model.layers]
        self.owners = [k for k, model in enumerate(models) for _ in model.model.layers]
        self.places = list(range(len(self.layers))) * repeats
        self.size = len(self.places) + len(models) ** 2

    def start(self) -> Floats:
        """The first model: its layers once, all scales 1."""
        indicators = np.full(len(self.places), -2 * SIGMA)
        indicators[: len(self.models[0].model.layers)] = 2 * SIGMA
        return np.concatenate([indicators, np.ones(len(self.models) ** 2)])

    def path(self, x: Floats) -> list[tuple[int, float]]:
        """The layers that are passed, and the scale of each one's input; the first has 1."""
        indicators, scales = x[: len(self.places)], x[len(self.places) :]
        table = scales.reshape(len(self.models), len(self.models))
        passed = [layer for layer, value in zip(self.places, indicators, strict=True) if value > 0]
        steps = zip([None, *passed], passed, strict=False)
        return [
            (j, 1.0 if i is None else float(table[self.owners[i], self.owners[j]]))
            for i, j in steps
        ]

    def logits(self, path: Sequence[tuple[int, float]], inputs: Any) -> Tensor:
        """Of the model that a path makes."""
        first = self.models[0]
        before, count = first.model.layers, first.config.num_hidden_layers
        first.model.layers = nn.ModuleList(Scaled(self.layers[j], scale) for j, scale in path)
        first.config.num_hidden_layers = len(path)
        try:
            found: Tensor = first(**inputs, use_cache=False).logits
        finally:
            first.model.layers, first.config.num_hidden_layers = before, count
        return found


class Weights:
    """DARE-TIES merges with a weight and a density for each model and layer.

    Args:
        base: weights of the model that the others were trained from.
        models: theirs.
        seed: of what is dropped, the same for all merges.
    """

    def __init__(self, base: State, models: Sequence[State], seed: int) -> None:
        self._base, self._seed = base, seed
        self._changes = {
            name: torch.stack([of[name] - value for of in models]) for name, value in base.items()
        }
        self.groups = sorted({group_of(name) for name in base})
        self._count = len(models)
        self.size = 2 * self._count * len(self.groups)

    def start(self) -> Floats:
        """Weight and density of a half each."""
        return np.full(self.size, 0.5)

    def merged(self, x: Floats) -> dict[str, Tensor]:
        """The merge; densities are kept between a tenth and 1."""
        table = torch.tensor(x, dtype=torch.float32).view(len(self.groups), 2, self._count)
        generator = torch.Generator().manual_seed(self._seed)
        found = {}
        for name, change in self._changes.items():
            weights, densities = table[self.groups.index(group_of(name))]
            kept = densities.clamp(0.1, 1.0).view(-1, *[1] * (change.ndim - 1))
            thinned = drop_and_rescale(change, kept, generator)
            found[name] = self._base[name] + elect_and_merge(thinned, weights)
        return found


def group_of(parameter: str) -> str:
    """The layer of a parameter, or nothing.

    Example:
        >>> group_of("model.layers.3.mlp.up_proj.weight"), group_of("model.norm.weight")
        ('3', '')
    """
    return parameter.split("layers.")[1].split(".")[0] if "layers." in parameter else ""


def evolved(score: Callable[[Floats], float], start: Floats, seed: int, count: int) -> Floats:
    """The best of so many candidates of CMA-ES, which maximises a score."""
    options = {"seed": seed + 1, "verbose": -9, "maxfevals": count}
    search = cma.CMAEvolutionStrategy(start, SIGMA, options)
    best, found = start, score(start)
    while not search.stop():
        candidates = search.ask()
        values = [score(x) for x in candidates]
        search.tell(candidates, [-value for value in values])
        if max(values) > found:
            best, found = candidates[int(np.argmax(values))], max(values)
    return np.asarray(best)


def loaded(folder: Path) -> Any:
    """A model of transformers."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return model.requires_grad_(False)


def plain(model: Any, inputs: Any) -> Tensor:
    """Logits."""
    found: Tensor = model(**inputs, use_cache=False).logits
    return found


def copied(model: Any, weights: State) -> Any:
    """The model's like with other weights."""
    from copy import deepcopy

    like = deepcopy(model)
    like.load_state_dict(dict(weights), strict=False)
    return like


def state(model: Any) -> State:
    """Weights by name, tied ones once."""
    return {name: value.detach() for name, value in model.named_parameters()}


class Judge:
    """Dev loss and test answers of models on a task."""

    def __init__(self, lab: Path, task: str) -> None:
        from transformers import AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(lab / "base")
        splits = json.loads((lab / "tasks" / f"{task}.json").read_text(encoding="utf-8"))
        self._dev, self._test = right_answers(self._tokenizer, splits["dev"][:DEV]), splits["test"]

    def score(self, logits_of: Any) -> float:
        """Minus the loss of the right answers on dev."""
        with torch.no_grad():
            return -float(loss(logits_of, self._dev, self._tokenizer.pad_token_id))

    def line(self, logits_of: Any) -> dict[str, Any]:
        """What a line says of a model."""
        test = correct(logits_of, self._tokenizer, self._test)
        return {"test": test, "dev": round(self.score(logits_of), 4)}


def flowing(
    judge: Judge, models: Sequence[Any], seed: int, count: int
) -> tuple[Any, list[tuple[int, float]]]:
    """Logits and path of the best data flow."""
    flow = DataFlow(models, REPEATS)

    def score(x: Floats) -> float:
        path = flow.path(x)
        return judge.score(partial(flow.logits, path)) if path else -1e9

    path = flow.path(evolved(score, flow.start(), seed, count))
    return partial(flow.logits, path), path


def rows(options: argparse.Namespace, task: str) -> Iterator[dict[str, Any]]:
    """Lines of a task."""
    judge, base = Judge(options.lab, task), loaded(options.lab / "base")
    models = [loaded(options.lab / "full" / name) for name in MODELS]
    models.sort(key=lambda model: -judge.score(partial(plain, model)))
    states = [state(model) for model in models]
    mean = {name: torch.stack([of[name] for of in states]).mean(0) for name in states[0]}
    yield {"method": "base", "seed": 0, **judge.line(partial(plain, base))}
    yield {"method": "best of the three", "seed": 0, **judge.line(partial(plain, models[0]))}
    average = copied(base, mean)
    yield {"method": "average", "seed": 0, **judge.line(partial(plain, average))}
    stacked = DataFlow(models[:2], 1)
    all_layers = [(layer, 1.0) for layer in range(len(stacked.layers))]
    found = judge.line(partial(stacked.logits, all_layers))
    yield {"method": "layers of two, one after the other", "seed": 0, **found}
    for seed in options.seeds:
        weights = Weights(state(base), states, seed)
        into = copied(base, states[0])

        def score(x: Floats, weights: Weights = weights, into: Any = into) -> float:
            into.load_state_dict(weights.merged(x), strict=False)
            return judge.score(partial(plain, into))

        x = evolved(score, weights.start(), seed, options.candidates)
        merge = copied(base, weights.merged(x))
        yield {"method": "weights", "seed": seed, **judge.line(partial(plain, merge))}
        for name, pool in (("data flow", models), ("both", [merge, *models])):
            logits_of, path = flowing(judge, pool, seed, options.candidates)
            passed = [layer for layer, _ in path]
            yield {"method": name, "seed": seed, **judge.line(logits_of), "layers": passed}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", type=Path, required=True)
    parser.add_argument("--outcomes", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--candidates", type=int, default=CANDIDATES)
    options = parser.parse_args()
    torch.set_num_threads(1)
    log = AppendLog(options.outcomes)
    done = {row["task"] for row in log.repaired()}
    for task in options.tasks:
        for row in rows(options, task) if task not in done else ():
            log.append({"task": task, **row})
            shown = [row["method"], row["seed"], f"{share(row['test']):.3f}", row["dev"]]
            print(task, *shown, row.get("layers"), flush=True)


if __name__ == "__main__":
    main()
