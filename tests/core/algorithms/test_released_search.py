"""`compat="reference"` against runs of the authors' released `search.py` itself, position by
position.

`released_search.npz` is what `authors_trajectories.py` (commit `77503a22`) recorded of that script:
twelve runs of three utilities without random factors, and four more with them, with dropped
evaluations and at the limits of the settings. The swarm is told the recorded values and draws the
recorded numbers, so that nothing but the algorithm can differ. The transcription, which the other
tests compare with, has to pass the same.
"""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from transcription import Settings, algorithm_1

import pyswarmopt as pso
from pyswarmopt.base.arrays import Floats

Run = dict[str, npt.NDArray[Any]]
TOLERANCE = 1e-12


def recorded() -> dict[str, Run]:
    """The runs by name, each with the arrays that the recorder describes."""
    runs: dict[str, Run] = {}
    with np.load(Path(__file__).with_name("released_search.npz")) as arrays:
        for key in arrays:
            name, array = key.split("/")
            runs.setdefault(name, {})[array] = arrays[key]
    return runs


RUNS = recorded()
every_run = pytest.mark.parametrize("run", RUNS.values(), ids=RUNS.keys())


def options(run: Run) -> dict[str, Any]:
    """The flags of a run, with the script's own values of those that were not given."""
    given = json.loads(str(run["options"]))
    script = {
        "inertia": 0.4, "cognitive_coeff": 0.3, "social_coeff": 0.3, "repel_coeff": 0.3,
        "step_length": 1.0, "step_length_factor": 0.95, "patience": 10, "restart_patience": 0.5,
        "weight_randomess": 1,
    }  # fmt: skip
    return script | given


def settings(run: Run) -> Settings:
    """The same by our names; theirs is a share of the patience after which a particle goes back."""
    o = options(run)
    return Settings(
        inertia=o["inertia"], cognitive=o["cognitive_coeff"], social=o["social_coeff"],
        repel=o["repel_coeff"], step=o["step_length"], step_decay=o["step_length_factor"],
        patience=o["patience"], restart_patience=math.ceil(o["restart_patience"] * o["patience"]),
        max_iter=o["max_iteration"], compat="reference",
    )  # fmt: skip


class Draws:
    """A generator whose numbers make a swarm draw what was recorded."""

    def __init__(self, run: Run) -> None:
        self._run, self._moves = run, 0

    def random(self, size: Any) -> Floats:
        if isinstance(size, int):
            return _other(np.arange(size), self._run["partner"], np.full(size, size))
        if size[-1] == 3:
            return self._added(size[0])
        self._moves += 1
        return self._run["factors"][self._moves - 1]

    def _added(self, count: int) -> Floats:
        # that a and b are drawn from, experts and added
        pool = len(self._run["partner"]) - count + np.arange(count)
        a, b = self._run["parents"].T
        return np.stack([(a + 0.5) / pool, _other(a, b, pool), self._run["share"] / 2], axis=1)


def _other(
    one: npt.NDArray[Any], other: npt.NDArray[Any], of: npt.NDArray[Any]
) -> npt.NDArray[np.float64]:
    """Numbers in [0, 1) that stand for another one, counted from the one: the middles of of - 1
    equal parts.
    """
    return np.asarray(((other - one - 1) % of + 0.5) / (of - 1))


def swarm_of(run: Run, dtype: Any = np.float64) -> pso.Swarm:
    s, o = settings(run), options(run)
    recipe = pso.recipes.model_swarms(
        s.inertia, s.cognitive, s.social, s.repel, s.step, s.step_decay, s.restart_patience,
        s.patience, s.max_iter, randomness="uniform" if o["weight_randomess"] else "none",
        compat="reference",
    )  # fmt: skip
    start = run["evaluated"][0]
    return pso.Swarm(
        positions=start[: o["experts"]], population=len(start), recipe=recipe, maximize=True, seed=0,
        dtype=dtype,
    )  # fmt: skip


def assert_close(actual: Any, wanted: npt.NDArray[Any], what: str) -> None:
    np.testing.assert_allclose(np.asarray(actual), wanted, rtol=0, atol=TOLERANCE, err_msg=what)


@pytest.mark.parametrize("dtype", [np.float64, torch.float64], ids=["arrays", "tensors"])
@every_run
def test_a_swarm_equals_the_released_script(
    run: Run, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(np.random, "default_rng", lambda seed: Draws(run))
    swarm = swarm_of(run, dtype)
    last = len(run["value"]) - 1
    for k in range(last + 1):
        x = swarm.ask()
        assert_close(x, run["evaluated"][k], f"where round {k} is evaluated")
        assert_close(swarm.velocities, run["velocity"][k], f"velocities of round {k}")
        dropped = run["dropped"][k]
        swarm.tell(
            x,
            np.where(dropped, np.nan, run["value"][k]),
            dropped=dropped if dropped.any() else None,
        )
        assert_close(swarm.values, run["value"][k], f"values after round {k}")
        assert_close(swarm.personal_bests, run["personal_best"][k], f"p after round {k}")
        assert_close(swarm.best.x, run["best"][k], f"g after round {k}")
        assert_close(swarm.worst.x, run["worst"][k], f"w after round {k}")
        if k < last:
            assert not swarm.stop(), f"stops after round {k}, the script goes on"
            at_rest = ~np.asarray(swarm.velocities).any(axis=1)
            assert at_rest.tolist() == run["restarted"][k].tolist(), (
                f"who is restarted after round {k}"
            )
    assert swarm.stop().keys() == ({"patience"} if run["patience_ended"] else {"max_iter"})


@every_run
def test_the_transcription_equals_the_released_script(run: Run) -> None:
    values = iter(run["value"][~run["dropped"]].tolist())
    scalars = (
        iter(run["factors"].ravel().tolist()) if run["factors"].size else itertools.repeat(1.0)
    )
    drops = [np.flatnonzero(dropped).tolist() for dropped in run["dropped"][1:]]
    start = run["evaluated"][0].tolist(), run["velocity"][0].tolist()
    rounds = algorithm_1(*start, lambda _x: next(values), settings(run), scalars, drops)
    assert len(rounds) == len(run["value"])
    for k, found in enumerate(rounds):
        assert_close(found.evaluated, run["evaluated"][k], f"where round {k} is evaluated")
        assert_close(found.best, run["best"][k], f"g after round {k}")
        assert_close(found.worst, run["worst"][k], f"w after round {k}")
        if k < len(rounds) - 1:
            assert found.restarted == np.flatnonzero(run["restarted"][k]).tolist(), (
                f"restarted after round {k}"
            )
