"""Few points on many workers of uneven speed: how the Gaussian process proposes while others are
under way, beside other optimisers.

    python research/benchmarks/scaling/parallel.py --out FILE.jsonl [--workers 4,16,64] [--seeds 3] \\
        [--half choose|claim] [--methods believer,liar,...]
    python research/benchmarks/scaling/parallel.py --table FILE.jsonl [--half choose|claim]

Nothing is waited for: the clock is simulated, and a point takes as many seconds as are drawn,
lognormal with mean 1 (the standard deviation of the logarithm is 0.8: most of 0.2 to 4). A worker
that is free gets the next point at once, but with `rounds`, which waits for all of a round. What a
proposal costs is counted by itself, in seconds of this machine's CPU.

Methods: `believer` (points under way count as if they had what the process expects, Ginsbourger et
al. 2010), `liar` (what the best has: CL-min there), `liar-mean`, `liar-max`, `penalised` (local
penalisation, Gonzalez et al. 2016, AISTATS), `fantasies` (expected improvement, the mean over
draws of what is under way: Snoek et al. 2012, section 3.2), `blind` (under way is unknown),
`rounds` (the library's batches), `library` (its `asynchronous=True`: the default search, and the
believer beside what it waits for), `surrogate` (what that was before: a swarm), `optuna-tpe` (with
its constant liar), `optuna-gp` (seconds a proposal: only if named), `nevergrad` (NGOpt, told how
many workers there are; with numpy below 2.4), `random`. Half of the functions are there to choose
by, the others to report on. Runs that are in the file are not made again.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
import argparse
import heapq
import json
import math
import statistics
import time
import warnings
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pyswarmopt.hybrid.gaussian_process import GaussianProcess, on_log_scale
from pyswarmopt.hybrid.kinds import Kinds
from pyswarmopt.hybrid.memetic import MemeticSwarm
from pyswarmopt.hybrid.proposals import (
    GROWTH,
    Merit,
    Proposals,
    expected_improvement,
    most_promising,
)

Floats = npt.NDArray[np.float64]
SPREAD = 0.8  # standard deviation of the logarithm of the seconds
POINTS = {4: 80, 16: 120, 64: 192}  # evaluations, by the number of workers
DRAWS = 8  # fantasies
SLOPES = 200  # points at which the process is differentiated for local penalisation

# ---- functions of the unit box, the optimum at a random place ----


def sphere_log(z: Floats) -> float:
    return math.log10(float(z @ z) + 1e-8)


def rosenbrock(z: Floats) -> float:
    x = 1 + 3 * z
    return math.log10(float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()) + 1e-8)


def rastrigin(z: Floats) -> float:
    x = 4 * z
    return float((x**2 - 10 * np.cos(2 * math.pi * x) + 10).sum())


def ackley(z: Floats) -> float:
    x = 20 * z
    waves = math.exp(float(np.cos(2 * math.pi * x).mean()))
    return 20 - 20 * math.exp(-0.2 * math.sqrt(float((x**2).mean()))) + math.e - waves


def ellipsoid(z: Floats) -> float:
    skewed = z - 0.5 * z.mean()
    return math.log10(float((1e3 ** (np.arange(len(z)) / (len(z) - 1)) * skewed**2).sum()) + 1e-8)


def steps(z: Floats) -> float:
    return float(np.floor(8 * np.abs(z)).sum())


def griewank(z: Floats) -> float:
    x = 60 * z
    return float((x**2).sum() / 400 - np.cos(x / np.sqrt(np.arange(1, len(x) + 1))).prod() + 1)


def valley(z: Floats) -> float:
    return float(np.abs(z).sum() + 3 * abs(z[0] - z[1]))


def two_basins(z: Floats) -> float:
    near, far = float(z @ z), float(((z - 0.4) ** 2).sum())
    return min(20 * near, 0.5 + 4 * far)


def schwefel(z: Floats) -> float:
    return float((np.cumsum(z) ** 2).sum())


Function = Callable[[Floats], float]
HALVES: dict[str, dict[str, tuple[Function, int]]] = {
    "choose": {
        "Rosenbrock 4-D": (rosenbrock, 4),
        "Rastrigin 3-D": (rastrigin, 3),
        "Ackley 6-D": (ackley, 6),
        "ellipsoid 8-D": (ellipsoid, 8),
        "steps 5-D": (steps, 5),
    },
    "claim": {
        "Griewank 4-D": (griewank, 4),
        "valley 6-D": (valley, 6),
        "two basins 5-D": (two_basins, 5),
        "Schwefel's sums 8-D": (schwefel, 8),
        "sphere 10-D": (sphere_log, 10),
    },
}

# ---- optimisers: a point at a time, while others are under way ----


class Optimiser(ABC):
    """Proposes a point of the unit box for a free worker."""

    batch = 1  # points that are proposed together

    @abstractmethod
    def ask(self) -> tuple[Any, Floats]:
        """A ticket and its point, (D,)."""

    @abstractmethod
    def tell(self, ticket: Any, x: Floats, value: float) -> None:
        """What the point of a ticket has."""


class Random(Optimiser):
    def __init__(self, dim: int, workers: int, points: int, seed: int) -> None:
        self._dim, self._random = dim, np.random.default_rng(seed)

    def ask(self) -> tuple[Any, Floats]:
        return None, self._random.random(self._dim)

    def tell(self, ticket: Any, x: Floats, value: float) -> None:
        pass


class Process(Optimiser):
    """The model's phase of `minimize`, one proposal at a time: a Latin hypercube, then the greatest
    merit.
    """

    def __init__(self, dim: int, workers: int, points: int, seed: int) -> None:
        self._kinds = Kinds.real(dim)
        self._random = np.random.default_rng(seed)
        self._design = list(self._kinds.draw(max(dim + 1, min(workers, points // 4)), self._random))
        self._theta: Floats | None = None
        self._fitted = 0
        self._points, self._values = np.empty((0, dim)), np.empty(0)
        self._pending: list[Floats] = []

    def ask(self) -> tuple[Any, Floats]:
        if self._design:
            x = self._design.pop()
        elif not len(self._values):
            x = self._random.random(len(self._kinds.levels))
        else:
            x = self._propose()
        self._pending.append(x)
        return None, x

    def tell(self, ticket: Any, x: Floats, value: float) -> None:
        self._pending = [point for point in self._pending if point is not x]
        self._points = np.concatenate([self._points, x[None]])
        self._values = np.append(self._values, value)

    def _propose(self) -> Floats:
        scores = on_log_scale(self._values)
        process = GaussianProcess(self._kinds, self._theta)
        if len(scores) >= GROWTH * self._fitted:
            process.learn_lengths(self._points, scores)
            self._theta, self._fitted = process.theta, len(scores)
        process.fit(self._points, scores)
        pending = np.array(self._pending).reshape(-1, self._points.shape[1])
        points = np.concatenate([self._points, pending])
        expected = process.predict(pending)[0] if len(pending) else np.empty(0)
        merit = self._merit(process, scores, pending)
        known = np.append(scores, expected)
        return most_promising(merit, self._kinds, points, known, self._random)

    @abstractmethod
    def _merit(self, process: GaussianProcess, scores: Floats, pending: Floats) -> Merit:
        """How good points are, given those under way."""

    def _with(
        self, process: GaussianProcess, scores: Floats, pending: Floats, lies: Floats
    ) -> Merit:
        """Expected improvement where the points under way have told lies."""
        if len(pending):
            scores = np.append(scores, lies)
            process.fit(np.concatenate([self._points, pending]), scores)
        return expected_improvement(process, float(scores.min()))


class Blind(Process):
    def _merit(self, process: GaussianProcess, scores: Floats, pending: Floats) -> Merit:
        return expected_improvement(process, float(scores.min()))


class Believer(Process):
    def _merit(self, process: GaussianProcess, scores: Floats, pending: Floats) -> Merit:
        lies = process.predict(pending)[0] if len(pending) else pending
        return self._with(process, scores, pending, lies)


class Liar(Process):
    def _merit(self, process: GaussianProcess, scores: Floats, pending: Floats) -> Merit:
        return self._with(process, scores, pending, np.full(len(pending), self._lie(scores)))

    def _lie(self, scores: Floats) -> float:
        return float(scores.min())


class LiarMean(Liar):
    def _lie(self, scores: Floats) -> float:
        return float(scores.mean())


class LiarMax(Liar):
    def _lie(self, scores: Floats) -> float:
        return float(scores.max())


class Penalised(Process):
    """Gonzalez et al. 2016, equations 4 to 7, for a minimum."""

    def _merit(self, process: GaussianProcess, scores: Floats, pending: Floats) -> Merit:
        best = float(scores.min())
        improvement = expected_improvement(process, best)
        if not len(pending):
            return improvement
        mean, deviation = process.predict(pending)
        steepest = self._steepest(process)

        def merit(points: Floats) -> Floats:
            away = np.linalg.norm(points[:, None] - pending, axis=2)
            z = (steepest * away + best - mean) / (math.sqrt(2) * deviation)
            outside = np.array([0.5 * math.erfc(-v) for v in z.ravel().tolist()]).reshape(z.shape)
            return improvement(points) * outside.prod(axis=1)

        return merit

    def _steepest(self, process: GaussianProcess) -> float:
        """The largest slope of the expected score, by differences."""
        dim, step = self._points.shape[1], 1e-4
        points = np.concatenate([self._points, self._random.random((SLOPES, dim))])
        here = process.predict(points)[0]
        moved = [process.predict(points + step * axis)[0] for axis in np.eye(dim)]
        slopes = np.stack([(m - here) / step for m in moved])
        return max(float(np.linalg.norm(slopes, axis=0).max()), 1e-7)


class Fantasies(Process):
    """The mean of the expected improvement over draws of what is under way, one after the other."""

    def _merit(self, process: GaussianProcess, scores: Floats, pending: Floats) -> Merit:
        if not len(pending):
            return expected_improvement(process, float(scores.min()))
        merits = []
        for _ in range(DRAWS):
            told, dreamt = self._points, scores
            drawing = GaussianProcess(self._kinds, process.theta)
            drawing.fit(told, dreamt)
            # in groups: a draw for each by itself would be one inverse for each
            for part in np.array_split(pending, min(4, len(pending))):
                mean, deviation = drawing.predict(part)
                draws = mean + deviation * self._random.standard_normal(len(part))
                told, dreamt = np.concatenate([told, part]), np.append(dreamt, draws)
                drawing.fit(told, dreamt)
            merits.append(expected_improvement(drawing, float(dreamt.min())))
        return lambda points: np.mean([merit(points) for merit in merits], axis=0)


class Rounds(Optimiser):
    """`Proposals` as `minimize(population=workers)` runs it."""

    def __init__(self, dim: int, workers: int, points: int, seed: int) -> None:
        first = max(dim + 1, min(workers, points // 4))
        self.batch = workers
        self._random = np.random.default_rng(seed)
        kinds = Kinds.real(dim)
        self._phase = Proposals(kinds, first, 10**9, workers)
        self._round: list[Floats] = []
        self._costs: dict[int, float] = {}
        self._asked = 0

    def ask(self) -> tuple[Any, Floats]:
        if self._asked == len(self._round):
            self._round, self._asked = list(self._phase.ask(self._random)), 0
            self.batch = len(self._round)
        self._asked += 1
        return self._asked - 1, self._round[self._asked - 1]

    def tell(self, ticket: Any, x: Floats, value: float) -> None:
        self._costs[ticket] = value
        if len(self._costs) == len(self._round):
            self._phase.tell(np.array([self._costs[i] for i in range(len(self._round))]))
            self._costs = {}


class Library(Optimiser):
    """What `minimize(asynchronous=True)` runs."""

    def __init__(self, dim: int, workers: int, points: int, seed: int) -> None:
        self._search = MemeticSwarm([(0, 1)] * dim, seed=seed, max_evals=points)

    def ask(self) -> tuple[Any, Floats]:
        ticket = self._search.ask_one()
        if ticket is None:
            raise RuntimeError("a search without starting points has always one more")
        return ticket, ticket.x

    def tell(self, ticket: Any, x: Floats, value: float) -> None:
        self._search.tell(ticket, value)


class Surrogate(Optimiser):
    """A swarm with a quadratic model, as many particles as workers."""

    def __init__(self, dim: int, workers: int, points: int, seed: int) -> None:
        import pyswarmopt as pso

        recipe = pso.recipes.surrogate(population=max(6, workers))
        self._swarm = pso.Swarm(bounds=[(0, 1)] * dim, recipe=recipe, seed=seed)

    def ask(self) -> tuple[Any, Floats]:
        ticket = self._swarm.ask_one()
        if ticket is None:
            raise RuntimeError("all particles are under way")
        return ticket, np.array(ticket.x)

    def tell(self, ticket: Any, x: Floats, value: float) -> None:
        self._swarm.tell(ticket, value)


class Optuna(Optimiser):
    def __init__(self, dim: int, workers: int, points: int, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._names = [f"x{i}" for i in range(dim)]
        self._study = optuna.create_study(sampler=self._sampler(optuna.samplers, seed))

    def _sampler(self, samplers: Any, seed: int) -> Any:
        return samplers.TPESampler(constant_liar=True, multivariate=True, seed=seed)

    def ask(self) -> tuple[Any, Floats]:
        trial = self._study.ask()
        return trial, np.array([trial.suggest_float(name, 0.0, 1.0) for name in self._names])

    def tell(self, ticket: Any, x: Floats, value: float) -> None:
        self._study.tell(ticket, value)


class OptunaProcess(Optuna):
    def _sampler(self, samplers: Any, seed: int) -> Any:
        return samplers.GPSampler(seed=seed)


class Nevergrad(Optimiser):
    def __init__(self, dim: int, workers: int, points: int, seed: int) -> None:
        import nevergrad as ng

        space = ng.p.Array(shape=(dim,), lower=0.0, upper=1.0)
        space.random_state.seed(seed)
        self._optimizer = ng.optimizers.NGOpt(space, budget=points, num_workers=workers)

    def ask(self) -> tuple[Any, Floats]:
        candidate = self._optimizer.ask()
        return candidate, np.asarray(candidate.value)

    def tell(self, ticket: Any, x: Floats, value: float) -> None:
        self._optimizer.tell(ticket, value)


METHODS: dict[str, Callable[[int, int, int, int], Optimiser]] = {
    "believer": Believer,
    "liar": Liar,
    "liar-mean": LiarMean,
    "liar-max": LiarMax,
    "penalised": Penalised,
    "fantasies": Fantasies,
    "blind": Blind,
    "rounds": Rounds,
    "library": Library,
    "surrogate": Surrogate,
    "optuna-tpe": Optuna,
    "optuna-gp": OptunaProcess,
    "nevergrad": Nevergrad,
    "random": Random,
}

# ---- a run ----


def run(name: str, function: Function, dim: int, workers: int, seed: int) -> dict[str, Any]:
    """One simulated search: the best value when all workers could have made half of the points and
    all of them, what share of their time they worked, and CPU seconds for a proposal.
    """
    draws = np.random.default_rng([seed, 7])
    optimum, points = draws.uniform(0.1, 0.9, dim), POINTS[workers]
    seconds = np.exp(SPREAD * draws.standard_normal(points) - SPREAD**2 / 2)
    optimiser = METHODS[name](dim, workers, points, seed)
    now, worked, cpu, begun, best = 0.0, 0.0, 0.0, 0, math.inf
    trace: list[tuple[float, float]] = []
    under_way: list[tuple[float, int, Any, Floats]] = []
    waiting = 0  # points of a round that are not back yet
    while begun < points or under_way:
        while begun < points and len(under_way) < workers and not (waiting and waiting == begun):
            start = time.process_time()
            ticket, x = optimiser.ask()
            cpu += time.process_time() - start
            heapq.heappush(under_way, (now + float(seconds[begun]), begun, ticket, x))
            worked += float(seconds[begun])
            begun += 1
            if optimiser.batch > 1 and not waiting:
                waiting = min(begun - 1 + optimiser.batch, points)
        now, _, ticket, x = heapq.heappop(under_way)
        best = min(best, function(x - optimum))
        trace.append((now, best))
        start = time.process_time()
        optimiser.tell(ticket, x, function(x - optimum))
        cpu += time.process_time() - start
        if not under_way:
            waiting = 0
    hours = points / workers  # of the simulated clock, were nobody ever to wait
    return {
        "half": min((v for at, v in trace if at <= hours / 2), default=math.inf),
        "full": min((v for at, v in trace if at <= hours), default=math.inf),
        "busy": worked / (workers * now),
        "cpu": cpu / points,
    }


def measure(options: argparse.Namespace) -> None:
    done = set()
    if options.out.exists():
        rows = [json.loads(line) for line in options.out.read_text().splitlines()]
        done = {tuple(row["key"]) for row in rows}
    functions = HALVES[options.half]
    for seed in range(options.seeds):
        for workers in map(int, options.workers.split(",")):
            for problem, (function, dim) in functions.items():
                for name in options.methods.split(","):
                    key = (options.half, problem, workers, name, seed)
                    if key in done:
                        continue
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        row = run(name, function, dim, workers, seed)
                    with options.out.open("a") as file:
                        file.write(json.dumps({"key": key, **row}) + "\n")


def table(options: argparse.Namespace) -> None:
    """Mean ranks by the number of workers, over functions and seeds that all methods have."""
    rows = [json.loads(line) for line in options.table.read_text().splitlines()]
    values: dict[tuple[Any, ...], dict[str, dict[str, float]]] = defaultdict(dict)
    for row in rows:
        half, problem, workers, name, seed = row["key"]
        if half == options.half:
            values[workers, problem, seed][name] = row
    for workers in sorted({workers for workers, _, _ in values}):
        cases = [case for key, case in values.items() if key[0] == workers]
        names = [name for name in METHODS if any(name in case for case in cases)]
        cases = [case for case in cases if len(case) == len(names)]
        print(
            f"\n| {workers} workers | "
            + " | ".join(names)
            + " |\n"
            + "|---" * (len(names) + 1)
            + "|"
        )
        for when in ("half", "full"):
            ranks = [ranked([case[name][when] for name in names]) for case in cases]
            means = [statistics.mean(column) for column in zip(*ranks, strict=True)]
            print(f"| {when} ({len(cases)}) | " + " | ".join(f"{m:.2f}" for m in means) + " |")
        for what in ("busy", "cpu"):
            means = [statistics.median(case[name][what] for case in cases) for name in names]
            print(f"| {what} | " + " | ".join(f"{m:.4f}" for m in means) + " |")


def ranked(values: list[float]) -> list[float]:
    """Ranks from 1, ties share theirs."""
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2
        for value in values
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--half", choices=list(HALVES), default="choose")
    parser.add_argument("--workers", default="4,16,64")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--methods", default=",".join(name for name in METHODS if name != "optuna-gp")
    )
    options = parser.parse_args()
    if options.table is not None:
        table(options)
    else:
        measure(options)


if __name__ == "__main__":
    main()
