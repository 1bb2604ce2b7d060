"""The recipes' equations, written out loop by loop with floats and lists: what the library must
equal.

Nothing here is vectorised or shared with the library. Each function minimises from exact starting
points and takes its random numbers from the same draws as the library, whose order is the one thing
the two have agreed on. `seen` counts the rare events, so that a test can make sure that they
occurred.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

Point = list[float]
Fun = Callable[[Point], float]


@dataclass
class Run:
    """A swarm in lists; `p` and `fp` are the personal bests."""

    x: list[Point]
    v: list[Point]
    p: list[Point]
    fp: list[float]
    seen: Counter[str] = field(default_factory=Counter)

    def evaluate(self, fun: Fun) -> list[bool]:
        """Update the personal bests on strict improvement; who improved."""
        improved = []
        for i in range(len(self.x)):
            value = fun(self.x[i])
            improved.append(value < self.fp[i])
            if improved[i]:
                self.p[i], self.fp[i] = list(self.x[i]), value
        return improved


def begin(x: list[Point], v: list[Point], fun: Fun) -> Run:
    return Run(
        [list(r) for r in x], [list(r) for r in v], [list(r) for r in x], [fun(r) for r in x]
    )


class Draws:
    """The swarm's random numbers, in the order in which it draws them."""

    def __init__(self, seed: int) -> None:
        self.numpy = np.random.default_rng(seed)

    def whole(self, below: int, shape: tuple[int, ...]) -> list:
        return self.numpy.integers(below, size=shape).tolist()

    def uniform(self, shape: tuple[int, ...]) -> list:
        return self.numpy.random(shape).tolist()

    def normal(self, shape: tuple[int, ...]) -> list:
        return self.numpy.standard_normal(shape).tolist()

    def factors(self, terms: int, n: int, dim: int) -> list:
        """A random factor per term, particle and coordinate: 16 bits, four out of a draw of 64, the
        lowest first.
        """
        count = math.ceil(terms * n * dim / 4)
        draws = [int(draw) for draw in self.numpy.bit_generator.random_raw(count)]
        words = iter(
            [(draw >> shift) % 2**16 / 2**16 for draw in draws for shift in (0, 16, 32, 48)]
        )
        return [[[next(words) for _ in range(dim)] for _ in range(n)] for _ in range(terms)]


def first_best(costs: list[float], among: list[int]) -> int:
    best = among[0]
    for j in among:
        if costs[j] < costs[best]:
            best = j
    return best


def constriction(x, v, fun: Fun, seed: int, rounds: int, ring: bool) -> Run:
    """Clerc & Kennedy 2002, equations 3 and 4."""
    run, generator = begin(x, v, fun), Draws(seed)
    n, dim = len(x), len(x[0])
    chi = 2 / abs(2 - 4.1 - math.sqrt(4.1**2 - 4 * 4.1))
    for _ in range(rounds):
        r1, r2 = generator.factors(2, n, dim)
        old, old_f = [list(row) for row in run.p], list(run.fp)
        for i in range(n):
            best = first_best(old_f, [i, (i - 1) % n, (i + 1) % n] if ring else [i, *range(n)])
            for d in range(dim):
                pull = 2.05 * r1[i][d] * (old[i][d] - run.x[i][d])
                pull += 2.05 * r2[i][d] * (old[best][d] - run.x[i][d])
                run.v[i][d] = chi * (run.v[i][d] + pull)
                run.x[i][d] += run.v[i][d]
        run.evaluate(fun)
    return run


def inertia_weight(x, v, fun: Fun, seed: int, rounds: int, horizon: int, v_max: float) -> Run:
    """Shi & Eberhart 1998: v = w v + c1 r1 (p - x) + c2 r2 (g - x), |v| <= V_max, w from .9 to .4,
    c1 = c2 = 2.
    """
    run, generator = begin(x, v, fun), Draws(seed)
    n, dim = len(x), len(x[0])
    for t in range(rounds):
        w = 0.9 - 0.5 * t / horizon if t < horizon else 0.4
        r1, r2 = generator.factors(2, n, dim)
        g = list(run.p[first_best(run.fp, list(range(n)))])
        for i in range(n):
            for d in range(dim):
                new = w * run.v[i][d]
                new += 2.0 * r1[i][d] * (run.p[i][d] - run.x[i][d])
                new += 2.0 * r2[i][d] * (g[d] - run.x[i][d])
                if abs(new) > v_max:
                    new = math.copysign(v_max, new)
                    run.seen["clamped"] += 1
                run.v[i][d] = new
                run.x[i][d] += new
        run.evaluate(fun)
    return run


def fips(x, v, fun: Fun, seed: int, rounds: int, neighbours: Callable[[int], list[int]]) -> Run:
    """Mendes, Kennedy & Neves 2004: phi_k = U(0, phi/|N|), P = sum phi_k p_k / sum phi_k,
    v = chi (v + sum phi_k (P - x)): the paper's form with the weighted middle P."""
    run, generator = begin(x, v, fun), Draws(seed)
    n, dim = len(x), len(x[0])
    size = len(neighbours(0))
    for _ in range(rounds):
        r = generator.factors(size, n, dim)
        old = [list(row) for row in run.p]
        for i in range(n):
            near = neighbours(i)
            for d in range(dim):
                weights = [4.1 / size * r[k][i][d] for k in range(size)]
                total = sum(weights)
                middle = (
                    sum(weight * old[j][d] for weight, j in zip(weights, near, strict=True)) / total
                )
                run.v[i][d] = 0.7298 * (run.v[i][d] + total * (middle - run.x[i][d]))
                run.x[i][d] += run.v[i][d]
        run.evaluate(fun)
    return run


def clpso(x, v, fun: Fun, seed: int, rounds: int, horizon: int, gap: int) -> Run:
    """Liang, Qin, Suganthan & Baskar 2006: v = w v + c r (p_f - x), exemplars f renewed after `gap`
    flat moves.
    """
    run, generator = begin(x, v, fun), Draws(seed)
    n, dim = len(x), len(x[0])
    flag = [0] * n
    exemplar = [[-1] * dim for _ in range(n)]
    for t in range(rounds):
        w = 0.9 - 0.5 * t / horizon if t < horizon else 0.4
        due = [i for i in range(n) if t == 0 or flag[i] >= gap]
        if due:
            u = generator.uniform((len(due), dim, 3))
            forced = generator.uniform((len(due), 2))
            for row, i in enumerate(due):
                flag[i] = 0
                run.seen["renewed"] += t > 0
                others = [j % n for j in range(i + 1, i + n)]
                pc = 0.05 + 0.45 * (math.exp(10 * i / (n - 1)) - 1) / (math.exp(10) - 1)
                learns = False
                for d in range(dim):
                    exemplar[i][d] = i
                    if u[row][d][0] < pc:
                        learns = True
                        a, b = (others[math.floor(u[row][d][k] * (n - 1))] for k in (1, 2))
                        exemplar[i][d] = b if run.fp[b] < run.fp[a] else a
                        run.seen["tournament"] += a != b
                if not learns:
                    run.seen["forced"] += 1
                    exemplar[i][math.floor(forced[row][0] * dim)] = others[
                        math.floor(forced[row][1] * (n - 1))
                    ]
        (r,) = generator.factors(1, n, dim)
        old = [list(row) for row in run.p]
        for i in range(n):
            for d in range(dim):
                run.v[i][d] = w * run.v[i][d] + 1.49445 * r[i][d] * (
                    old[exemplar[i][d]][d] - run.x[i][d]
                )
                run.x[i][d] += run.v[i][d]
        for i, improved in enumerate(run.evaluate(fun)):
            flag[i] = 0 if improved else flag[i] + 1
    return run


def spso2011(x, v, fun: Fun, seed: int, rounds: int, low: Point, high: Point) -> Run:
    """Clerc 2012, all particles at once, in the box from `low` to `high`."""
    run, generator = begin(x, v, fun), Draws(seed)
    n, dim = len(x), len(x[0])
    w, c = 1 / (2 * math.log(2)), 0.5 + math.log(2)
    informs: list[list[int]] = []
    best_improved = False
    for _ in range(rounds):
        if not best_improved:
            informs = generator.whole(n, (n, 3))
            run.seen["links drawn"] += 1
        gauss, radii = generator.normal((n, dim)), generator.uniform((n, 1))
        old, old_f = [list(row) for row in run.p], list(run.fp)
        for i in range(n):
            informants = [j for j in range(n) if j == i or i in informs[j]]
            best = first_best(old_f, informants)
            beyond_p = [run.x[i][d] + c * (old[i][d] - run.x[i][d]) for d in range(dim)]
            beyond_l = [run.x[i][d] + c * (old[best][d] - run.x[i][d]) for d in range(dim)]
            if best == i:
                run.seen["own best"] += 1
                centre = [(run.x[i][d] + beyond_p[d]) / 2 for d in range(dim)]
            else:
                centre = [(run.x[i][d] + beyond_p[d] + beyond_l[d]) / 3 for d in range(dim)]
            reach = math.sqrt(sum((centre[d] - run.x[i][d]) ** 2 for d in range(dim)))
            length = math.sqrt(sum(u * u for u in gauss[i]))
            for d in range(dim):
                chosen = centre[d] + radii[i][0] * reach * gauss[i][d] / length
                run.v[i][d] = w * run.v[i][d] + chosen - run.x[i][d]
                run.x[i][d] += run.v[i][d]
                if not low[d] <= run.x[i][d] <= high[d]:
                    run.seen["confined"] += 1
                    run.x[i][d] = low[d] if run.x[i][d] < low[d] else high[d]
                    run.v[i][d] *= -0.5
        before = min(run.fp)
        run.evaluate(fun)
        best_improved = min(run.fp) < before
    return run


def bare_bones(x, fun: Fun, seed: int, rounds: int) -> Run:
    """Kennedy 2003 on a ring: x ~ N((p + g) / 2, |p - g|) in each coordinate."""
    run, generator = begin(x, [[0.0] * len(x[0]) for _ in x], fun), Draws(seed)
    n, dim = len(x), len(x[0])
    for _ in range(rounds):
        gauss = generator.normal((n, dim))
        old, old_f = [list(row) for row in run.p], list(run.fp)
        for i in range(n):
            best = first_best(old_f, [i, (i - 1) % n, (i + 1) % n])
            run.seen["waits"] += best == i
            for d in range(dim):
                mean, deviation = (old[i][d] + old[best][d]) / 2, abs(old[i][d] - old[best][d])
                run.x[i][d] = mean + deviation * gauss[i][d]
        run.evaluate(fun)
    return run


# ---- variants that people write for themselves ----


def fitness_distance_ratio(x, v, fun: Fun, seed: int, rounds: int) -> Run:
    """Peram, Veeramachaneni & Mohan 2003, IEEE SIS: each coordinate is drawn to that of another
    particle's best with the most gained per distance in that coordinate. Weights 1, 1, 2, w = .6.
    """
    run, generator = begin(x, v, fun), Draws(seed)
    n, dim = len(x), len(x[0])
    fx = list(run.fp)
    for _ in range(rounds):
        r1, r2, r3 = generator.factors(3, n, dim)
        old, old_x = [list(row) for row in run.p], [list(row) for row in run.x]
        g = old[first_best(run.fp, list(range(n)))]
        for i in range(n):
            for d in range(dim):
                near, most = None, -math.inf
                for j in range(n):
                    if j == i:
                        continue
                    ratio = (fx[i] - run.fp[j]) / abs(old[j][d] - old_x[i][d])
                    if ratio > most:
                        near, most = j, ratio
                new = 0.6 * run.v[i][d]
                new += r1[i][d] * (old[i][d] - old_x[i][d])
                new += r2[i][d] * (g[d] - old_x[i][d])
                new += 2.0 * r3[i][d] * (old[near][d] - old_x[i][d])
                run.seen["neither its own nor the best"] += old[near] != g
                run.v[i][d] = new
                run.x[i][d] += new
        fx = [fun(row) for row in run.x]
        run.evaluate(fun)
    return run
