"""`Swarm` with `recipes.model_swarms` against Algorithm 1 as `transcription.py` writes it out.

The transcription works on Python floats and lists and shares nothing with the library. Where a run
is random, both sides get the same numbers: given exact positions and velocities the library draws
only `torch.rand((N, 4), generator=g, dtype=torch.float64)` once per iteration, columns inertia,
cognitive, social, repel, from `torch.Generator().manual_seed(seed)`; `scalars` makes the very same
draws from its own generator.
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
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transcription import Compat, Point, Settings, Snapshot, algorithm_1

import pyswarmopt as pso

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


def share_of_items(x: Point) -> float:
    """Like an accuracy over 20 items: only multiples of 0.05, so particles often tie."""
    items = [math.sin(3.0 * j * x[0] + j) + math.cos(2.0 * x[j % len(x)]) > 0.4 for j in range(20)]
    return sum(items) / 20


def crater(x: Point) -> float:
    """A rough rim around a deep middle: who crosses it on the way to the best may find a new
    worst.
    """
    return sum(v * v - 0.25 * v**4 + 0.2 * math.sin(7.0 * v) for v in x)


# Each with a start from which every run below meets at least as many new global worsts as it
# asserts.
OBJECTIVES: dict[str, tuple[Objective, int]] = {
    "ripples": (ripples, 44),
    "share of items": (share_of_items, 63),
    "crater": (crater, 40),
}


def script(values: Sequence[Sequence[float]]) -> Objective:
    """An objective that ignores the point: the given values one after the other, then 0 for
    ever.
    """
    queue = itertools.chain(itertools.chain.from_iterable(values), itertools.repeat(0.0))
    return lambda _x: next(queue)


def scalars(randomness: Randomness, population: int, seed: int) -> Iterator[float]:
    """The r of step 1 as the library draws them (see the top of this file)."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        if randomness == "none":
            yield 1.0
        else:
            for row in torch.rand(
                (population, 4), generator=generator, dtype=torch.float64
            ).tolist():
                yield from row


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
        positions=torch.tensor(positions, dtype=torch.float64),
        velocities=torch.tensor(velocities, dtype=torch.float64),
        recipe=pso.recipes.model_swarms(**asdict(s), randomness=randomness),
        maximize=True,
        seed=seed,
    )


def told(swarm: pso.Swarm, objective: Objective, dropped: Collection[int] = ()) -> torch.Tensor:
    """One round of ask and tell; what was asked. Dropped particles get a value that must not be
    looked at.
    """
    x = swarm.ask()
    mask = torch.tensor([i in dropped for i in range(len(x))])
    untrue = itertools.cycle((1e9, -1e9))
    values = [
        next(untrue) if i in dropped else objective(point) for i, point in enumerate(x.tolist())
    ]
    swarm.tell(x, torch.tensor(values, dtype=torch.float64), dropped=mask if dropped else None)
    return x


def assert_close(actual: torch.Tensor, expected: list[Point] | Point, what: str) -> None:
    wanted = torch.tensor(expected, dtype=torch.float64)
    assert actual.shape == wanted.shape, what
    error = (actual - wanted).abs().max().item()
    assert error <= TOLERANCE * max(1.0, wanted.abs().max().item()), f"{what}: off by {error}"


def assert_round(swarm: pso.Swarm, asked: torch.Tensor, expected: Snapshot, k: int) -> None:
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
@pytest.mark.parametrize("name", OBJECTIVES)
def test_fifty_iterations_equal_the_transcription(
    name: str, randomness: Randomness, compat: Compat
) -> None:
    objective, seed = OBJECTIVES[name]
    s = Settings(restart_patience=3, patience=FOREVER, repel=0.2, max_iter=50, compat=compat)
    rounds = compare(objective, s, randomness, seed=seed)

    assert len(rounds) == 51
    assert sum(len(r.restarted) for r in rounds) >= 10
    assert sum(r.new_worst for r in rounds) >= 1
    assert len({r.best_value for r in rounds}) >= 3


@pytest.mark.parametrize("compat", MODES)
@pytest.mark.parametrize("randomness", RANDOMNESS)
def test_fifty_iterations_of_the_papers_setting(randomness: Randomness, compat: Compat) -> None:
    s = Settings(patience=FOREVER, compat=compat)  # c_r = 5, K = 50, decay .95, N = 20
    rounds = compare(crater, s, randomness, population=20, dim=4, seed=36)

    assert len(rounds) == 51
    assert sum(len(r.restarted) for r in rounds) >= 10
    assert sum(r.new_worst for r in rounds) >= 3


@settings(max_examples=40)
@given(
    compat=st.sampled_from(MODES),
    randomness=st.sampled_from(RANDOMNESS),
    name=st.sampled_from(sorted(OBJECTIVES)),
    weights=st.tuples(
        st.floats(0.1, 0.3),
        st.floats(0.1, 0.5),
        st.floats(0.2, 0.6),
        st.sampled_from((0.01, 0.05, 0.1)),
    ),
    step=st.floats(0.5, 1.0),
    decay=st.floats(0.8, 1.0),
    restart_patience=st.integers(1, 6),
    patience=st.integers(2, 12),
    population=st.integers(1, 7),
    dim=st.integers(2, 5),
    seed=st.integers(0, 2**32),
)
def test_any_setting_of_the_papers_grid_equals_the_transcription(
    compat: Compat,
    randomness: Randomness,
    name: str,
    weights: tuple[float, float, float, float],
    step: float,
    decay: float,
    restart_patience: int,
    patience: int,
    population: int,
    dim: int,
    seed: int,
) -> None:
    s = Settings(*weights, step, decay, restart_patience, patience, max_iter=15, compat=compat)
    compare(OBJECTIVES[name][0], s, randomness, population=population, dim=dim, seed=seed)


def test_two_particles_by_hand() -> None:
    """f(x) = -(x - 3)^2, x = (0, 4), v = (4, -4), all r = 1, C = .4 + .6 + .8 + .2 = 2, lambda =
    .5, then .4.

    The terms over C weigh .2 (inertia), .3 (personal best), .4 (global best), .1 (worst).
    """
    recipe = pso.recipes.model_swarms(
        inertia=0.4, cognitive=0.6, social=0.8, repel=0.2, step=0.5, step_decay=0.8,
        restart_patience=1, patience=FOREVER, randomness="none", compat="paper",
    )  # fmt: skip
    swarm = pso.Swarm(
        positions=torch.tensor([[0.0], [4.0]], dtype=torch.float64),
        velocities=torch.tensor([[4.0], [-4.0]], dtype=torch.float64),
        recipe=recipe, maximize=True, seed=0,
    )  # fmt: skip

    def f(x: Point) -> float:
        return -((x[0] - 3.0) ** 2)

    # Round 0: f = (-9, -1), so g = 4 and w = 0.
    told(swarm, f)
    assert (swarm.best.x.item(), swarm.worst.x.item()) == (4.0, 0.0)

    # Round 1, lambda = .5:
    #   v1 = .2 *  4 + .3 * 0 + .4 * (4 - 0) + .1 * (0 - 0) =  2.4    x1 = 0 + .5 * 2.4 = 1.2    f = -3.24
    #   v2 = .2 * -4 + .3 * 0 + .4 * (4 - 4) + .1 * (4 - 0) = -0.4    x2 = 4 - .5 * 0.4 = 3.8    f = -0.64
    #   Both are personal bests; g = 3.8, w = 0.
    assert_close(told(swarm, f), [[1.2], [3.8]], "round 1")
    assert_close(swarm.velocities, [[2.4], [-0.4]], "round 1")
    assert_close(swarm.best.x, [3.8], "round 1")

    # Round 2, lambda = .5 * .8 = .4:
    #   v1 = .2 *  2.4 + .3 * 0 + .4 * (3.8 - 1.2) + .1 * (1.2 - 0) = .48 + 1.04 + .12 = 1.64
    #   x1 = 1.2 + .4 * 1.64 = 1.856    f = -1.308736, a personal best
    #   v2 = .2 * -0.4 + .3 * 0 + .4 * 0 + .1 * (3.8 - 0) = -.08 + .38 = .30
    #   x2 = 3.8 + .4 * .30 = 3.92      f = -.8464 < -.64: no new personal best for 1 round, so particle 2
    #   restarts: x2 = p2 = 3.8, v2 = 0.
    assert_close(told(swarm, f), [[1.856], [3.92]], "round 2")
    assert_close(swarm.positions, [[1.856], [3.8]], "round 2, after the restart")
    assert_close(swarm.velocities, [[1.64], [0.0]], "round 2, after the restart")
    assert_close(swarm.best.x, [3.8], "round 2")
    assert swarm.best.value == pytest.approx(-0.64, abs=TOLERANCE)
    assert (swarm.worst.x.item(), swarm.worst.value) == (0.0, -9.0)


# Restart


def rounds_of_restart(swarm: pso.Swarm, particle: int, values: Sequence[float]) -> list[int]:
    """Tell one particle these values (the others 0); the rounds after which it is at rest."""
    population = len(swarm.positions)
    at_rest = []
    for k, value in enumerate(values):
        told(swarm, script([[value if i == particle else 0.0 for i in range(population)]]))
        if not swarm.velocities[particle].any():
            at_rest.append(k)
    return at_rest


@pytest.mark.parametrize(
    ("compat", "expected"), [("paper", [3, 6, 11]), ("reference", [2, 3, 4, 5, 6, 7, 10, 11, 12])]
)
def test_restart_once_or_until_a_new_personal_best(compat: Compat, expected: list[int]) -> None:
    # c_r = 3. The personal best is of round 0, then of round 8. Paper: 3 and 3 + 3 (then 8 comes
    # before 6 + 3), 8 + 3. Reference: every round from 2 on until 8, and from 8 + 2 on.
    x, v = start(3, 2, seed=1)
    s = Settings(restart_patience=3, patience=FOREVER, compat=compat)
    swarm = make_swarm(x, v, s, "uniform", seed=1)
    values = [0.5] + 7 * [0.4] + [0.6] + 4 * [0.1]
    assert rounds_of_restart(swarm, 1, values) == expected


@pytest.mark.parametrize(("compat", "restart_patience"), [("paper", 4), ("reference", 5)])
def test_an_equal_value_is_no_new_personal_best(compat: Compat, restart_patience: int) -> None:
    x, v = start(3, 2, seed=2)
    s = Settings(restart_patience=restart_patience, patience=FOREVER, compat=compat)
    swarm = make_swarm(x, v, s, "uniform", seed=2)
    assert rounds_of_restart(swarm, 0, 5 * [0.5]) == [4]
    assert_close(swarm.positions[0], x[0], "the first of the equal points is the personal best")


# Global worst


@pytest.mark.parametrize(("compat", "worst"), [("paper", 1), ("reference", 3)])
def test_which_of_equally_bad_points_is_the_worst(compat: Compat, worst: int) -> None:
    x, v = start(5, 2, seed=3)
    s = Settings(max_iter=2, compat=compat)
    values = [[0.0, 1.0, 2.0, 3.0, 4.0], [5.0, -1.0, 5.0, -1.0, 5.0], [-1.0, 5.0, 5.0, 5.0, -1.0]]
    expected = algorithm_1(x, v, script(values), s, scalars("uniform", 5, seed=3))
    swarm = make_swarm(x, v, s, "uniform", seed=3)

    told(swarm, script(values[:1]))
    assert_close(swarm.worst.x, x[0], "the worst of the start")

    asked = told(swarm, script(values[1:2]))
    assert swarm.worst.value == -1.0
    assert_close(swarm.worst.x, asked[worst].tolist(), "the worst of round 1")
    assert_close(swarm.worst.x, expected[1].worst, "the worst of round 1 by the transcription")

    told(swarm, script(values[2:]))
    assert_close(swarm.worst.x, asked[worst].tolist(), "as bad as the worst is no new worst")


@pytest.mark.parametrize("compat", MODES)
def test_of_equally_bad_starting_points_the_first_is_the_worst(compat: Compat) -> None:
    x, v = start(4, 2, seed=3)
    swarm = make_swarm(x, v, Settings(compat=compat), "uniform", seed=3)
    told(swarm, script([[1.0, 0.0, 2.0, 0.0]]))
    assert_close(swarm.worst.x, x[1], "the worst of the start")


# Step length


@pytest.mark.parametrize("compat", MODES)
def test_the_references_step_never_falls_below_a_tenth(compat: Compat) -> None:
    # .8 * .5 = .4, .2, .1, then .05 in the paper and .1 in the reference. With x = p = g = 0 and w
    # far away only the repel term acts on a particle at rest, so that the step can be read from
    # where it goes.
    s = Settings(0.0, 0.0, 0.0, 1.0, 0.8, 0.5, restart_patience=1, patience=FOREVER, compat=compat)
    swarm = make_swarm([[0.0], [-1.0]], [[0.0], [0.0]], s, "none", seed=0)
    told(swarm, script([[1.0, 0.0]]))
    # x = 0 + lambda * (0 - (-1))
    steps = [told(swarm, script([[0.5, 0.5]]))[0].item() for _ in range(7)]
    floor = 0.1 if compat == "reference" else 0.0
    assert steps == pytest.approx([max(0.8 * 0.5**k, floor) for k in range(7)], rel=TOLERANCE)


# Stopping


def rounds_until_stop(swarm: pso.Swarm, best_values: Sequence[float]) -> int:
    """Tell the swarm these values (particle 0; the others 0) until it stops: the number of moves
    made.
    """
    for k, value in enumerate(best_values):
        told(swarm, script([[value]]))
        if swarm.stop():
            return k
    raise AssertionError(f"no stop after {len(best_values) - 1} iterations")


@pytest.mark.parametrize(("compat", "second"), [("paper", 0.04), ("reference", 0.1)])
def test_a_first_step_below_a_tenth_is_taken_as_it_is(compat: Compat, second: float) -> None:
    s = Settings(0.0, 0.0, 0.0, 1.0, 0.05, 0.8, restart_patience=1, patience=FOREVER, compat=compat)
    swarm = make_swarm([[0.0], [-1.0]], [[0.0], [0.0]], s, "none", seed=0)
    told(swarm, script([[1.0, 0.0]]))
    steps = [told(swarm, script([[0.5, 0.5]]))[0].item() for _ in range(2)]
    assert steps == pytest.approx([0.05, second], rel=TOLERANCE)


@pytest.mark.parametrize(("compat", "stagnant"), [("paper", 10), ("reference", 9)])
@pytest.mark.parametrize("last_change", [1, 4, 13])
def test_patience(compat: Compat, stagnant: int, last_change: int) -> None:
    x, v = start(4, 3, seed=4)
    values = [1.0 + min(k, last_change) for k in range(40)]
    s = Settings(patience=10, max_iter=FOREVER, compat=compat)
    assert (
        rounds_until_stop(make_swarm(x, v, s, "uniform", seed=4), values) == last_change + stagnant
    )
    expected = algorithm_1(
        x, v, script([[u, 0.0, 0.0, 0.0] for u in values]), s, scalars("uniform", 4, 4)
    )
    assert len(expected) - 1 == last_change + stagnant


@pytest.mark.parametrize("compat", MODES)
@pytest.mark.parametrize("randomness", RANDOMNESS)
def test_patience_on_an_objective(compat: Compat, randomness: Randomness) -> None:
    s = Settings(patience=10, max_iter=FOREVER, compat=compat)
    rounds = compare(ripples, s, randomness, seed=6)
    last_change = max(
        k for k in range(1, len(rounds)) if rounds[k].best_value > rounds[k - 1].best_value
    )
    assert len(rounds) - 1 == last_change + (10 if compat == "paper" else 9)


@pytest.mark.parametrize("compat", MODES)
@pytest.mark.parametrize("patience", [2, 10])
def test_patience_counts_the_same_in_both_while_g_never_improves(
    compat: Compat, patience: int
) -> None:
    x, v = start(4, 3, seed=4)
    s = Settings(patience=patience, max_iter=FOREVER, compat=compat)
    assert rounds_until_stop(make_swarm(x, v, s, "uniform", seed=4), 40 * [1.0]) == patience


@pytest.mark.parametrize("compat", MODES)
@pytest.mark.parametrize("max_iter", [1, 7])
def test_max_iter_counts_moves(compat: Compat, max_iter: int) -> None:
    x, v = start(4, 3, seed=7)
    s = Settings(patience=FOREVER, max_iter=max_iter, compat=compat)
    swarm = make_swarm(x, v, s, "uniform", seed=7)
    assert rounds_until_stop(swarm, [float(k) for k in range(20)]) == max_iter
    assert len(algorithm_1(x, v, ripples, s, scalars("uniform", 4, 7))) - 1 == max_iter


# Dropped evaluations


@pytest.mark.parametrize("compat", MODES)
@pytest.mark.parametrize("randomness", RANDOMNESS)
@pytest.mark.parametrize("name", OBJECTIVES)
def test_dropped_evaluations_equal_the_transcription(
    name: str, randomness: Randomness, compat: Compat
) -> None:
    rng = random.Random(8)
    drops: list[Collection[int]] = [{i for i in range(8) if rng.random() < 0.3} for _ in range(50)]
    drops[20] = set(range(8))  # a whole iteration
    objective, seed = OBJECTIVES[name]
    s = Settings(restart_patience=3, patience=FOREVER, repel=0.2, compat=compat)
    rounds = compare(objective, s, randomness, seed=seed, drops=drops)
    assert len(rounds) == 51
    assert sum(len(r.restarted) for r in rounds) >= 5
    assert sum(r.new_worst for r in rounds) >= 1


@pytest.mark.parametrize("compat", MODES)
def test_a_dropped_evaluation_changes_no_best_and_no_worst(compat: Compat) -> None:
    x, v = start(3, 2, seed=9)
    s = Settings(restart_patience=FOREVER, patience=FOREVER, compat=compat)
    swarm = make_swarm(x, v, s, "uniform", seed=9)
    told(swarm, script([[1.0, 2.0, 3.0]]))
    asked = told(swarm, script([[]]), dropped={0, 1, 2})  # `told` gives the dropped 1e9 and -1e9
    assert (swarm.best.value, swarm.worst.value) == (3.0, 1.0)
    assert_close(swarm.best.x, x[2], "g")
    assert_close(swarm.worst.x, x[0], "w")
    assert_close(swarm.positions, asked.tolist(), "a dropped particle has moved all the same")


@pytest.mark.parametrize(("compat", "expected"), [("paper", [5]), ("reference", [2, 3, 4, 5])])
def test_a_dropped_evaluation_counts_towards_the_restart_only_in_the_reference(
    compat: Compat, expected: list[int]
) -> None:
    # c_r = 3, rounds 2 and 3 dropped. Paper: evaluations without a new personal best in rounds 1,
    # 4, 5.
    x, v = start(3, 2, seed=10)
    s = Settings(restart_patience=3, patience=FOREVER, compat=compat)
    swarm = make_swarm(x, v, s, "uniform", seed=10)
    at_rest = []
    for k in range(6):
        told(swarm, script([[1.0 if k == 0 else 0.5]]), dropped={0} if k in (2, 3) else ())
        if not swarm.velocities[0].any():
            at_rest.append(k)
    assert at_rest == expected


# Population


def barycentric(experts: torch.Tensor, point: torch.Tensor) -> np.ndarray:
    """The weights, summing to 1, that mix affinely independent experts into `point`."""
    matrix = np.vstack([experts.T.numpy(), np.ones(len(experts))])
    target = np.append(point.numpy(), 1.0)
    weights = np.asarray(np.linalg.lstsq(matrix, target, rcond=None)[0])
    assert np.allclose(matrix @ weights, target, atol=1e-12)
    return weights


def populated(compat: Compat, seed: int, population: int = 40) -> tuple[torch.Tensor, pso.Swarm]:
    """Four affinely independent experts in 6-D and the swarm made of them."""
    experts = torch.tensor(start(4, 6, seed=11)[0], dtype=torch.float64)
    recipe = pso.recipes.model_swarms(compat=compat)
    return experts, pso.Swarm(
        positions=experts, population=population, recipe=recipe, maximize=True, seed=seed
    )


@pytest.mark.parametrize("seed", range(5))
def test_added_particles_lie_between_two_experts(seed: int) -> None:
    experts, swarm = populated("paper", seed)
    x = swarm.ask()
    assert x.shape == (40, 6)
    assert torch.equal(x[:4], experts)

    # t * x_a + (1 - t) * x_b: two weights that are not 0, the greater one is t or 1 - t.
    weights = np.sort([barycentric(experts, point) for point in x[4:]], axis=1)
    greatest = weights[:, -1]
    assert np.all((np.abs(weights) > 1e-9).sum(axis=1) == 2)
    assert np.all((greatest >= 0.5 - 1e-9) & (greatest <= 1.0 + 1e-9))


def shares_of_earlier_points(x: np.ndarray, k: int) -> list[tuple[float, int, int]]:
    """Each s, i, j with x_k = s x_i + (1 - s) x_j, i and j before k, by trying every pair."""
    found = []
    for i, j in itertools.permutations(range(k), 2):
        line = x[i] - x[j]
        s = (x[k] - x[j]) @ line / (line @ line)
        if np.abs(x[j] + s * line - x[k]).max() < 1e-12:
            found.append((s, i, j))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_added_particles_of_the_reference_lie_on_lines_through_two_earlier_ones(seed: int) -> None:
    experts, swarm = populated("reference", seed, population=16)
    x = swarm.ask().numpy()
    assert np.array_equal(x[:4], experts.numpy())
    drawn = [shares_of_earlier_points(x, k) for k in range(4, 16)]
    assert all(any(0 <= s < 2 for s, _, _ in pairs) for pairs in drawn)
    assert any(min(abs(s - 0.5) for s, _, _ in pairs) > 0.5 for pairs in drawn), (
        "none beyond its parents"
    )
    assert any(all(max(i, j) >= 4 for _, i, j in pairs) for pairs in drawn), (
        "none with an added particle as a parent"
    )


def test_an_added_particle_of_the_reference_is_as_often_a_parent_as_an_expert() -> None:
    # Three experts and a first child on the side ab: of the six pairs that the second one can have
    # as parents only (child, c) puts it inside the triangle or beyond, where three weights are not
    # 0. 300 draws, 5 deviations.
    recipe = pso.recipes.model_swarms(compat="reference")
    experts = torch.eye(3, dtype=torch.float64)
    second = [
        pso.Swarm(positions=experts, population=5, recipe=recipe, seed=seed).ask()[4]
        for seed in range(300)
    ]
    mixed = np.mean([(point.abs() > 1e-9).sum().item() == 3 for point in second])
    assert abs(mixed - 1 / 6) < 5 * math.sqrt(1 / 6 * 5 / 6 / 300)


@pytest.mark.parametrize("compat", MODES)
def test_added_particles_fill_the_segments_evenly(compat: Compat) -> None:
    # t ~ U(0, 1), or U(0, 2) in the reference: for the greater weight m, m - 1/2 (paper) is uniform
    # on [0, 1/2]; in the reference half of the points are beyond an expert. 180 points, 5 standard
    # deviations. The first added one alone, whose parents are experts in both.
    swarms = (populated(compat, seed, population=5) for seed in range(180))
    greatest = np.array([barycentric(experts, swarm.ask()[4]).max() for experts, swarm in swarms])
    expected = 0.75 if compat == "paper" else 0.5 * 0.75 + 0.5 * 1.5
    spread = 0.5 / math.sqrt(12) if compat == "paper" else 0.45
    assert abs(greatest.mean() - expected) < 5 * spread / math.sqrt(len(greatest))


@pytest.mark.parametrize("compat", MODES)
def test_starting_velocities_point_at_other_particles(compat: Compat) -> None:
    _, swarm = populated(compat, seed=0)
    x = swarm.ask()
    partners = []  # the j of v_i = x_j - x_i
    for target in x + swarm.velocities:
        distances = (x - target).abs().amax(dim=1)
        assert distances.min().item() <= TOLERANCE
        partners.append(distances.argmin().item())
    assert len(set(partners)) > 10
