"""Whether two states of the code evaluate the same points, bit for bit, in 194 searches of all kinds.

    git stash; python benchmarks/same_points.py --write /tmp/before.json; git stash pop
    python benchmarks/same_points.py --compare /tmp/before.json

A search is known by a digest of every point that it evaluated, with its value, iteration and
particle. Digests hold on one machine only, so none is kept here.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
import argparse
import hashlib
import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import pyswarmopt as pso

Case = tuple[str, Callable[[], Any]]
RECIPES = ("constriction", "spso2011", "fips", "clpso", "covariant", "model_swarms")


def steps(x: Any) -> float:
    return float(np.floor(4 * np.abs(np.asarray(x))).sum())


def broken(x: Any) -> float:
    return float("nan") if x[0] > 0.5 else float(np.abs(x).sum())


def huge(x: Any) -> float:
    return 1e305 * float(np.sin(7 * x).sum())


FUNCTIONS: dict[str, Callable[[Any], float]] = {
    "sphere": lambda x: float(((np.asarray(x) - 0.3) ** 2).sum()),
    "rosenbrock": lambda x: float(pso.functions.rosenbrock(x)),
    "rastrigin": lambda x: float(pso.functions.rastrigin(x)),
    "steps": steps,
    "broken": broken,
    "huge": huge,
}


def noise(seed: int) -> Callable[[Any], float]:
    random = np.random.default_rng(seed)
    return lambda x: float((np.asarray(x) ** 2).sum() + 0.3 * random.standard_normal())


def _search(fun: Callable[..., Any], bounds: Any = None, **options: Any) -> Callable[[], Any]:
    settings = {"seed": 0, "max_evals": 90, "history": "particles"} | options
    return lambda: pso.minimize(fun, bounds, **settings)


def _resumed(fun: Callable[..., Any], bounds: Any, **options: Any) -> Callable[[], Any]:
    def run() -> Any:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "c.npz"
            _search(fun, bounds, max_iter=4, checkpoint=path, **options)()
            return _search(fun, bounds, max_iter=30, checkpoint=path, **options)()

    return run


def _space_loss(rate: float, layers: int, kind: str, momentum: float = 0.0) -> float:
    return abs(np.log10(rate) + 2) + abs(layers - 3) + (kind != "b") + momentum


SPACE = {
    "rate": pso.log(1e-5, 1.0), "layers": pso.integer(1, 8), "kind": ["a", "b", "c"],
    "momentum": pso.when("kind", "b", (0.0, 1.0)),
}  # fmt: skip


def cases() -> Iterator[Case]:
    """All searches by name."""
    box = [(-2.0, 1.5)]
    for name, fun in FUNCTIONS.items():
        for dim in (1, 3, 6) if name != "rosenbrock" else (2, 3, 6):
            for seed in (0, 1):
                yield f"{name} {dim}-D {seed}", _search(fun, box * dim, seed=seed, max_evals=150)
        yield f"{name} 25-D", _search(fun, box * 25, max_evals=200)
        yield f"{name} 120-D", _search(fun, box * 120, max_evals=400)
        yield (
            f"{name} maximised",
            lambda fun=fun: pso.maximize(fun, box * 3, seed=2, max_evals=80, history="particles"),
        )
        for recipe in RECIPES:
            yield f"{name} {recipe}", _search(fun, box * 3, recipe=recipe, max_evals=120)
        for seed in (0, 1):
            rules = {"constraints": lambda x: x[0] + x[1] - 1, "seed": seed}
            yield f"{name} constrained {seed}", _search(fun, box * 3, **rules, max_evals=150)
            whole = {"integrality": [1, 0, 1], "seed": seed}
            yield f"{name} whole {seed}", _search(fun, box * 3, **whole)
            yield f"{name} whole constrained {seed}", _search(fun, box * 3, **rules | whole)
        yield (
            f"{name} covariant constrained",
            _search(fun, box * 3, recipe="covariant", constraints=lambda x: x[0] + x[1] - 1),
        )
        yield f"{name} labels", _search(fun, [(0, 3), (-1, 1)], categorical=[1, 0])
        yield (
            f"{name} labels constrained",
            _search(fun, [(0, 3), (-1, 1)], categorical=[1, 0], constraints=lambda x: x[1] - 0.2),
        )
        yield f"{name} four at a time", _search(fun, box * 3, population=4, workers=2)
        yield f"{name} asynchronous", _search(fun, box * 3, asynchronous=True)
        yield f"{name} started", _search(fun, box * 3, x0=[[0.1, 0.2, 0.3], [-1.0, 1.0, 0.0]])
        yield f"{name} resumed", _resumed(fun, box * 3)
        yield f"{name} resumed whole", _resumed(fun, box * 3, integrality=[1, 0, 0])
    for seed in range(4):
        yield f"noise {seed}", lambda seed=seed: _search(noise(seed), box * 3, seed=seed)()
        yield (
            f"noise declared {seed}",
            lambda seed=seed: _search(noise(seed), box * 3, seed=seed, noisy=True, max_evals=150)(),
        )
        yield (
            f"noise constrained {seed}",
            lambda seed=seed: _search(
                noise(seed), box * 3, seed=seed, noisy=True, constraints=lambda x: x[0] - 1
            )(),
        )
        yield f"space {seed}", _search(_space_loss, space=SPACE, seed=seed)
        yield f"multi {seed}", lambda seed=seed: pso.minimize_multi(
            lambda x: [float(x @ x), float((x - 1) @ (x - 1))], box * 3, seed=seed,
            max_evals=400, population=20,
        )  # fmt: skip


def digest(result: Any) -> str:
    """Of all points that a search evaluated, or of its front."""
    hashed = hashlib.sha256(np.float64(result.nfev).tobytes())
    hashed.update(np.asarray(result.x).tobytes() + np.asarray(result.fun).tobytes())
    for record in getattr(result, "history", ()):
        hashed.update(
            np.array([record.iteration, record.particle, *np.ravel(record.value)]).tobytes()
        )
        hashed.update(record.x.tobytes())
    return hashed.hexdigest()[:16]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", type=Path)
    parser.add_argument("--compare", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    found = {name: digest(run()) for name, run in cases()}
    if arguments.write is not None:
        arguments.write.write_text(json.dumps(found, indent=1))
    before = {} if arguments.compare is None else json.loads(arguments.compare.read_text())
    other = [name for name in before if found.get(name) != before[name]]
    print(f"{len(found)} searches, {len(other)} of {len(before)} compared differ", *other, sep="\n")
    sys.exit(bool(other))


if __name__ == "__main__":
    main()
