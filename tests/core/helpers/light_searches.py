"""Searches that need no torch, as digests: run as a script they are printed, with torch kept from
being imported.
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


def searches() -> dict[str, str]:
    space = {"rate": pso.log(1e-5, 1.0), "momentum": (0.0, 1.0), "seed": pso.fixed(3)}
    found = {
        f"{d}-D": pso.minimize(waves, [(-5, 4)] * d, max_evals=30 * d, seed=d)
        for d in (1, 2, 10, 35, 110)
    }
    found |= {
        "a test function": pso.minimize(pso.functions.ackley, [(-5, 4)] * 5, max_evals=900, seed=1),
        "workers": pso.minimize(waves, [(-5, 4)] * 4, max_evals=500, seed=1, workers=2),
        "one by one": pso.minimize(waves, [(-5, 4)] * 4, max_evals=60, seed=1, asynchronous=True),
        "many at once": pso.maximize(
            pso.functions.rastrigin, [(-5, 4)] * 2, max_evals=500, seed=1, vectorized=True
        ),
        "parameters": pso.minimize(loss, space=space, max_evals=300, seed=2),
        "population": pso.minimize(
            waves, [(-5, 4)] * 3, max_evals=900, seed=1, population=12, x0=[1, 1, 1]
        ),
        "constraints": pso.minimize(
            waves, [(-5, 4)] * 3, constraints=lambda x: 1 - x[0], max_evals=300, seed=2
        ),
        "integers": pso.minimize(
            waves, [(-5, 4)] * 3, integrality=[True, False, True], max_evals=60, seed=3
        ),
        "several objectives": pso.minimize_multi(
            fronts, [(-1, 2)] * 3, 2, max_evals=400, population=20, seed=1
        ),
    }
    with tempfile.TemporaryDirectory() as folder:
        return {name: digest(one) for name, one in found.items()} | resumed(Path(folder))


if __name__ == "__main__":
    print(json.dumps(searches()))
