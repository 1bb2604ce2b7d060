"""`Swarm` with `recipes.model_swarms` against Algorithm 1 as `transcription.py` writes it out.

The transcription works on Python floats and lists and shares nothing with the library. Where a run
is random, both sides get the same numbers: given exact positions and velocities the library draws
only `random((N, 4))` of NumPy's generator once per iteration, columns inertia, cognitive, social,
repel; `scalars` makes the very same draws from its own generator.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transcription import Compat, Point, Settings, Snapshot, algorithm_1

import pyswarmopt as pso
from pyswarmopt.base.arrays import Floats

Randomness = Literal["none", "uniform"]
MODES: tuple[Compat, ...] = ("paper", "reference")
RANDOMNESS: tuple[Randomness, ...] = ("none", "uniform")
TOLERANCE = 1e-12
FOREVER = 1000  # a patience that no run here exhausts
NOTHING_DROPPED: Sequence[Collection[int]] = ()

Objective = Callable[[Point], float]


def ripples(x: Point) -> float:
    """Many smooth hills of unequal height, highest near 0.3 in each coordinate, bottomless far
    away.
    """
    return sum(math.cos(5.0 * (v - 0.3)) - (v - 0.3) ** 2 for v in x)


def crater(x: Point) -> float:
    """A rough rim around a deep middle: who crosses it on the way to the best may find a new
    worst.
    """
    return sum(v * v - 0.25 * v**4 + 0.2 * math.sin(7.0 * v) for v in x)


# Each with a start from which every run below meets at least as many new global worsts as it
# asserts.
OBJECTIVES: dict[str, tuple[Objective, int]] = {
    "ripples": (ripples, 44),
    "crater": (crater, 40),
}


def scalars(randomness: Randomness, population: int, seed: int) -> Iterator[float]:
    """The r of step 1 as the library draws them (see the top of this file)."""
    generator = np.random.default_rng(seed)
    while True:
        if randomness == "none":
            yield 1.0
        else:
            yield from generator.random((population, 4)).ravel().tolist()


def start(population: int, dim: int, seed: int) -> tuple[list[Point], list[Point]]:
    """Positions in [-1, 1]^D; velocities that point, as in step 0, at another particle: the one
    before.
    """
    rng = random.Random(seed)
    x = [[rng.uniform(-1.0, 1.0) for _ in range(dim)] for _ in range(population)]
    return x, [[x[i - 1][d] - x[i][d] for d in range(dim)] for i in range(population)]


def make_swarm(
    positions: list[Point], velocities: list[Point], s: Settings, randomness: Randomness, seed: int
) -> pso.Swarm:
    return pso.Swarm(
        positions=positions,
        velocities=velocities,
        recipe=pso.recipes.model_swarms(**asdict(s), randomness=randomness),
        maximize=True,
        seed=seed,
    )


def told(swarm: pso.Swarm, objective: Objective, dropped: Collection[int] = ()) -> Floats:
    """One round of ask and tell; what was asked. Dropped particles get a value that must not be
    looked at.
    """
    x = swarm.ask()
    mask = [i in dropped for i in range(len(x))]
    untrue = itertools.cycle((1e9, -1e9))
    values = [
        next(untrue) if i in dropped else objective(point) for i, point in enumerate(x.tolist())
    ]
    swarm.tell(x, values, dropped=mask if dropped else None)
    return x


def assert_close(actual: Floats, expected: list[Point] | Point, what: str) -> None:
    wanted = np.array(expected)
    assert actual.shape == wanted.shape, what
    error = abs(actual - wanted).max()
    assert error <= TOLERANCE * max(1.0, abs(wanted).max()), f"{what}: off by {error}"


def assert_round(swarm: pso.Swarm, asked: Floats, expected: Snapshot, k: int) -> None:
    assert_close(asked, expected.evaluated, f"evaluated positions of round {k}")
    assert_close(swarm.positions, expected.positions, f"positions after round {k}")
    assert_close(swarm.velocities, expected.velocities, f"velocities after round {k}")
    assert_close(swarm.best.x, expected.best, f"g after round {k}")
    assert_close(swarm.worst.x, expected.worst, f"w after round {k}")
    assert swarm.best.value == pytest.approx(expected.best_value, rel=TOLERANCE, abs=TOLERANCE)
    assert swarm.worst.value == pytest.approx(expected.worst_value, rel=TOLERANCE, abs=TOLERANCE)
    assert bool(swarm.stop()) == expected.stop, f"round {k}: stop() is {swarm.stop()}"


def compare(
    objective: Objective,
    s: Settings,
    randomness: Randomness,
    *,
    population: int = 8,
    dim: int = 3,
    seed: int = 0,
    drops: Sequence[Collection[int]] = NOTHING_DROPPED,
) -> list[Snapshot]:
    """Run both from the same start, hold every round of the library against the transcription's."""
    x, v = start(population, dim, seed)
    expected = algorithm_1(x, v, objective, s, scalars(randomness, population, seed), drops)
    swarm = make_swarm(x, v, s, randomness, seed)
    for k, snapshot in enumerate(expected):
        dropped = drops[k - 1] if 0 < k <= len(drops) else ()
        assert_round(swarm, told(swarm, objective, dropped), snapshot, k)
    return expected


# Whole runs


@pytest.mark.parametrize("compat", MODES)
@pytest.mark.parametrize("randomness", RANDOMNESS)
@pytest.mark.parametrize("share", [0.0, 0.3], ids=["none dropped", "some dropped"])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_fifty_iterations_equal_the_transcription(name, share, randomness, compat) -> None:
    rng = random.Random(8)
    drops = [{i for i in range(8) if rng.random() < share} for _ in range(50)]
    drops[20] = set(range(8)) if share else set()  # a whole iteration
    objective, seed = OBJECTIVES[name]
    s = Settings(restart_patience=3, patience=FOREVER, repel=0.2, compat=compat)
    rounds = compare(objective, s, randomness, seed=seed, drops=drops)
    assert len(rounds) == 51
    assert sum(len(r.restarted) for r in rounds) >= (5 if share else 10)
    assert sum(r.new_worst for r in rounds) >= 1
    assert share or len({r.best_value for r in rounds}) >= 3


GRID = st.builds(
    Settings, inertia=st.floats(0.1, 0.3), cognitive=st.floats(0.1, 0.5), social=st.floats(0.2, 0.6),
    repel=st.sampled_from((0.01, 0.05, 0.1)), step=st.floats(0.5, 1.0),
    step_decay=st.floats(0.8, 1.0), restart_patience=st.integers(1, 6), patience=st.integers(2, 12),
    max_iter=st.just(15), compat=st.sampled_from(MODES),
)  # fmt: skip


@settings(max_examples=40)
@given(
    s=GRID,
    randomness=st.sampled_from(RANDOMNESS),
    name=st.sampled_from(sorted(OBJECTIVES)),
    population=st.integers(1, 7),
    dim=st.integers(2, 5),
    seed=st.integers(0, 2**32),
)
def test_any_setting_of_the_papers_grid_equals_the_transcription(
    s: Settings, randomness: Randomness, name: str, population: int, dim: int, seed: int
) -> None:
    compare(OBJECTIVES[name][0], s, randomness, population=population, dim=dim, seed=seed)
