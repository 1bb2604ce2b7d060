"""What published parts bring to the pure swarm `covariant`: variants of it on bbob, in NumPy alone.

    python research/benchmarks/bbob/swarm_parts.py --out FILE.jsonl [--dim 5] [--instances 101,102] \\
        [--seeds 2] ["axes=steps,rate=0.1" "differences=0.2,kept=1" ...]

A variant names what differs from `covariant` (see `Variant`). Its line, with the area and the share
of targets hit (as in `bbob.py`, 1,000 D evaluations), is appended to the file; a variant that is
there is not run again. Needs: pip install coco-experiment.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
import argparse
import json
import math
import sys
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks" / "bbob"))
from bbob import Recorder
from bbob_problems import HIGH, LOW, Floats, Problem, bbob
from bbob_report import area, solved
from bbob_solvers import Done

from pyswarmopt.base.arrays import Bools, Ints

MEMORY = 5  # coefficients that the success history remembers
COLLAPSE = 1e-10  # share of its first extent below which a swarm is restarted
LEAST = 5  # particles that the reduction leaves


@dataclass(frozen=True)
class Variant:
    """`covariant` and what may be changed in it."""

    population: int = 10
    growth: float = 1.5  # of the population at a restart (IPOP: Auger & Hansen 2005)
    patience: int = 50
    share: float = 0.3  # of the better ones, of which one informs a particle
    # of what the random factors' axes are the eigenvectors: the personal "bests", those of the
    # better "half", "recent" bests and former ones, successful "steps" (as CMA-ES: Hansen 2016),
    # bests and "velocities", or "none"
    axes: str = "bests"
    rate: float = 0.1  # of learning from recent bests or steps
    # spread of w, and twice that of c1 and c2, drawn around those of successes (SHADE: Tanabe &
    # Fukunaga 2013); 0: fixed
    history: float = 0.0
    reduction: int = 0  # 1: linear population reduction within a swarm (L-SHADE: 2014)
    # of the moves, share that are differential evolution's current-to-pbest (JADE: Zhang &
    # Sanderson 2009), and whether they keep the velocity
    differences: float = 0.0
    kept: int = 0
    scale: float = 0.7  # F
    gaussian: float = 0.0  # share of the moves drawn around the weighted mean of the better half


class Swarm:
    """One swarm from its start to where it stagnates."""

    def __init__(
        self, variant: Variant, recorder: Recorder, count: int, random: np.random.Generator
    ):
        self.variant, self.recorder, self.random = variant, recorder, random
        dim = recorder.problem.dim
        self.coefficients = np.tile([0.67 - 0.2 / dim, 1.62, 1.62], (MEMORY, 1))
        self.x = random.uniform(LOW, HIGH, (count, dim))
        self.v = 0.5 * (self.x[random.integers(count, size=count)] - self.x)
        self.first, self.budget, self.used = count, recorder.left(), count
        self.p, self.costs = self.x.copy(), self.evaluate()
        self.shape: Floats | None = None  # learnt covariance

    def evaluate(self) -> Floats:
        return np.array([self.recorder(x) for x in self.x])

    def run(self) -> None:
        """Move until the swarm has collapsed or found nothing better for some moves."""
        variant = self.variant
        extent, best, stagnant, turn = np.ptp(self.p, axis=0).max(), self.costs.min(), 0, 0
        while stagnant < variant.patience and np.ptp(self.p, axis=0).max() >= COLLAPSE * extent:
            drawn = self.move()
            costs = self.evaluate()
            self.used += len(costs)
            better = costs < self.costs
            if better.any():
                self.learn(better, self.costs - costs, drawn, turn)
                turn += 1
            self.p[better], self.costs[better] = self.x[better], costs[better]
            stagnant = 0 if self.costs.min() < best else stagnant + 1
            best = min(best, self.costs.min())
            if variant.reduction:
                self.reduce()

    def move(self) -> Floats:
        """New positions; the coefficients of each particle, (n, 3)."""
        variant, random, n, dim = self.variant, self.random, *self.x.shape
        order = np.argsort(self.costs, kind="stable")
        rank = order.argsort()
        g = self.p[order[(random.random(n) * variant.share * (rank + 1)).astype(int)]]
        axes = self.axes(order)
        w, c1, c2 = (column[:, None] for column in self.drawn(n).T)
        factors = random.random((2, n, dim))
        towards_p, towards_g = (self.p - self.x) @ axes, (g - self.x) @ axes
        pull = c1 * factors[0] * towards_p + c2 * factors[1] * towards_g
        self.v = w * self.v + pull @ axes.T
        moved = self.x + self.v
        if variant.differences:
            self.jump(moved, g)
        if variant.gaussian:
            self.sample(moved, order)
        self.x = np.clip(moved, LOW, HIGH)
        self.v = np.where(self.x == moved, self.v, 0.0)
        return np.column_stack([w, c1, c2])

    def axes(self, order: Ints) -> Floats:
        variant, dim = self.variant, self.x.shape[1]
        bests = self.p[order[: max(2, (len(order) + 1) // 2)]] if variant.axes == "half" else self.p
        away = bests - bests.mean(axis=0)
        scatter = away.T @ away
        if variant.axes == "none":
            return np.eye(dim)
        if variant.axes == "velocities":
            scatter += self.v.T @ self.v
        if variant.axes == "recent":
            rate = 1.0 if self.shape is None else variant.rate
            former = 0.0 if self.shape is None else self.shape
            scatter = self.shape = (1 - rate) * former + rate * scatter / len(self.p)
        if variant.axes == "steps":
            if self.shape is None:
                self.shape = scatter / np.trace(scatter) * dim
            scatter = self.shape
        return np.linalg.eigh(scatter)[1]

    def drawn(self, n: int) -> Floats:
        """w, c1 and c2 of each particle, (n, 3)."""
        spread = self.variant.history
        if not spread:
            return np.tile(self.coefficients[0], (n, 1))
        means = self.coefficients[self.random.integers(MEMORY, size=n)]
        draws = means + spread * np.array([1, 2, 2]) * self.random.standard_normal((3, n)).T
        return np.clip(draws, [0, 0.1, 0.1], [0.95, 3, 3])

    def jump(self, moved: Floats, g: Floats) -> None:
        """Some particles go to p + F (g - p) + F (p_a - p_b)."""
        n = len(moved)
        which = np.flatnonzero(self.random.random(n) < self.variant.differences)
        if not len(which):
            return
        a, b = (self.random.integers(n, size=len(which)) for _ in range(2))
        scale = self.variant.scale + 0.1 * self.random.standard_normal((len(which), 1))
        scale = np.clip(scale, 0.1, 1.0)
        p = self.p[which]
        moved[which] = p + scale * (g[which] - p) + scale * (self.p[a] - self.p[b])
        if not self.variant.kept:
            self.v[which] = moved[which] - self.x[which]

    def sample(self, moved: Floats, order: Ints) -> None:
        """Some are drawn from the bests' covariance, around the mean of the better half."""
        n = len(moved)
        which = np.flatnonzero(self.random.random(n) < self.variant.gaussian)
        half = max(2, n // 2)
        weights = np.log(half + 0.5) - np.log(np.arange(1, half + 1))
        mean = weights @ self.p[order[:half]] / weights.sum()
        draws = self.random.standard_normal((len(which), n)) / math.sqrt(n)
        moved[which] = mean + self.variant.scale * draws @ (self.p - self.p.mean(axis=0))
        self.v[which] = moved[which] - self.x[which]

    def learn(self, better: Bools, gains: Floats, drawn: Floats, turn: int) -> None:
        """From the moves that were successes."""
        if self.variant.history:
            weights, good = gains[better] / gains[better].max(), drawn[better]
            self.coefficients[turn % MEMORY] = weights @ good**2 / (weights @ good)  # Lehmer's mean
        if self.variant.axes == "steps" and self.shape is not None:
            steps = (self.x - self.p)[better]
            steps = steps / math.sqrt(float((steps**2).sum(axis=1).mean()) + 1e-300)
            dim, rate = self.x.shape[1], self.variant.rate
            self.shape = (1 - rate) * self.shape + rate * dim * steps.T @ steps / len(steps)

    def reduce(self) -> None:
        count = max(LEAST, round(self.first + (LEAST - self.first) * self.used / self.budget))
        if count < len(self.x):
            kept = np.sort(np.argsort(self.costs, kind="stable")[:count])
            self.x, self.v, self.p = self.x[kept], self.v[kept], self.p[kept]
            self.costs = self.costs[kept]


def search(variant: Variant, problem: Problem, budget: int, seed: int) -> list[int]:
    """The evaluations at which the targets were hit."""
    recorder, random = Recorder(problem, budget), np.random.default_rng(seed)
    count = variant.population
    try:
        while True:
            Swarm(variant, recorder, count, random).run()
            count = math.ceil(count * variant.growth)
    except Done:
        return recorder.hits


def parsed(text: str) -> Variant:
    """ "axes=steps,rate=0.1" -> the variant."""
    kinds = {name: type(value) for name, value in vars(Variant()).items()}
    pairs = [pair.split("=") for pair in text.split(",") if pair]
    return replace(Variant(), **{name: kinds[name](value) for name, value in pairs})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("variants", nargs="*", default=[""])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dim", type=int, default=5)
    parser.add_argument("--instances", default="101,102")
    parser.add_argument("--seeds", type=int, default=2)
    a = parser.parse_args()
    known = a.out.read_text() if a.out.exists() else ""
    for text in a.variants:
        key = {"variant": text, "D": a.dim, "instances": a.instances, "seeds": a.seeds}
        if json.dumps(key)[:-1] in known:
            continue
        records = []
        for seed in range(a.seeds):
            for problem in bbob(a.dim, [int(i) for i in a.instances.split(",")]):
                start = 1000 * problem.instance + zlib.crc32(problem.name.encode()) % 1000
                hits = search(parsed(text), problem, 1000 * a.dim, start + 77777 * seed)
                records.append({"budget": 1000 * a.dim, "D": a.dim, "hits": hits})
        row = {**key, "area": round(area(records), 4), "hit": round(solved(records), 4)}
        with a.out.open("a") as file:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
