"""Searches and swarms on NumPy alone, as digests: run as a script they are printed, with torch kept
from being imported.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":
    sys.modules["torch"] = None  # what imports it from here on gets a ModuleNotFoundError

import numpy as np

import pyswarmopt as pso


def waves(x):
    """Coupled and rugged; (D,) -> a number."""
    return float(((x - 1.5) ** 2).sum() + np.cos(4 * x).sum() + abs(x[0] * x[-1]))


def loss(rate, momentum, seed):
    return (np.log10(rate) + 2) ** 2 + (momentum - 0.3) ** 2 + seed


def fronts(x):
    return (x**2).sum(), ((x - 1) ** 2).sum()


def digest(found) -> str:
    numbers = np.concatenate([np.ravel(found.x), np.ravel(found.fun), [found.nfev]])
    return hashlib.sha256(numbers.tobytes() + str(found).encode()).hexdigest()


def resumed(folder: Path) -> dict[str, str]:
    path = folder / "c.npz"
    options = {"bounds": [(-5, 4)] * 3, "seed": 4, "history": "particles", "population": 12}
    pso.minimize(waves, max_iter=9, checkpoint=path, **options)
    whole = pso.minimize(waves, max_evals=400, **options)
    back = pso.minimize(waves, max_evals=400, checkpoint=path, **options)
    return {"whole": digest(whole), "resumed": digest(back)}


def moved(swarm: pso.Swarm, path: Path) -> str:
    """Some moves at once, then one by one, with a stop in between."""
    for _ in range(12):
        x = swarm.ask()
        swarm.tell(x, [waves(row) for row in x])
    swarm.save(path)
    swarm = pso.Swarm.load(path, recipe=swarm.recipe)
    for _ in range(5):
        for ticket in reversed(swarm.ask(99)):
            swarm.tell(ticket, waves(ticket.x))
    numbers = swarm.positions.tobytes() + swarm.velocities.tobytes() + swarm.best.x.tobytes()
    return hashlib.sha256(numbers).hexdigest()


def swarms(folder: Path) -> dict[str, str]:
    path = folder / "swarm.npz"
    box = {"bounds": [(-5, 4)] * 3, "population": 6, "seed": 2}
    found = {
        f"swarm of {name}": moved(pso.Swarm(recipe=name, dtype=dtype, **box), path)
        for name, dtype in zip(pso.recipes.RECIPES, 9 * ["float64", "float32"], strict=False)
    }
    terms = [pso.inertia(0.7), pso.cognitive(1.5), pso.social(1.5, "scalar"), pso.repel(0.1)]
    return found | {"of terms": moved(pso.Swarm(recipe=pso.compose(terms), **box), path)}


def searches() -> dict[str, str]:
    space = {"rate": pso.log(1e-5, 1.0), "momentum": (0.0, 1.0), "seed": pso.fixed(3)}
    found = {
        f"{d}-D": pso.minimize(waves, [(-5, 4)] * d, max_evals=min(30 * d, 600), seed=d)
        for d in (1, 2, 10, 35, 110)
    }
    found |= {
        "workers": pso.minimize(waves, [(-5, 4)] * 4, max_evals=500, seed=1, workers=2),
        "one by one": pso.minimize(waves, [(-5, 4)] * 4, max_evals=60, seed=1, asynchronous=True),
        "parameters": pso.minimize(loss, space=space, max_evals=300, seed=2),
        "constraints": pso.minimize(
            waves, [(-5, 4)] * 3, constraints=lambda x: 1 - x[0], max_evals=300, seed=2
        ),
        "integers": pso.minimize(
            waves, [(-5, 4)] * 3, integrality=[True, False, True], max_evals=60, seed=3
        ),
        "noise": pso.minimize(waves, [(-5, 4)] * 3, noisy=True, max_evals=120, seed=1),
        **{
            f"recipe {name}": pso.minimize(waves, [(-5, 4)] * 3, recipe=name, max_evals=90, seed=1)
            for name in pso.recipes.RECIPES
        },
        "several objectives": pso.minimize_multi(
            fronts, [(-1, 2)] * 3, 2, max_evals=400, population=20, seed=1
        ),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        return {name: digest(one) for name, one in found.items()} | resumed(path) | swarms(path)


if __name__ == "__main__":
    print(json.dumps(searches()))
