"""The searches behind tests/frozen/checkpoints: what they minimise, and what is noted of how they go on.

The function is made of sums and products of Python floats: the same on every processor, unlike cosines. The default
search multiplies matrices, and OpenBLAS has other kernels for other processors; `at_the_lowest` runs it with those that
every x86-64 has.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

import pyswarmopt as pso

Json = dict[str, Any]
BOUNDS = [(-4.0, 5.0), (-5.0, 3.0), (-2.0, 4.0)]
ROUNDS = 8  # of a swarm, before it is saved and after


def valleys(x: Any) -> float:
    """Styblinski and Tang's function, a sum of quartics with two valleys each, and what keeps neighbours together."""
    a, b, c = map(float, x)
    total = 3.0 * ((a - b) * (a - b) + (b - c) * (b - c))
    for t in (a, b, c):
        total += 0.5 * (t * t * t * t - 16.0 * t * t + 5.0 * t)
    return total


def swarm() -> pso.Swarm:
    recipe = pso.recipes.model_swarms(restart_patience=2, patience=30)
    return pso.Swarm(bounds=BOUNDS, population=7, recipe=recipe, maximize=True, seed=3)


def drive(swarm: pso.Swarm, rounds: int) -> list[Json]:
    """What is asked for and told in so many rounds, maximising ``-valleys``."""
    seen = []
    for _ in range(rounds):
        x = swarm.ask()
        values = np.array([-valleys(row) for row in x])
        swarm.tell(x, values)
        seen.append({"x": x.tolist(), "values": values.tolist(), "best": [swarm.best.value, _plain(swarm.best.x)]})
    return seen


SEARCHES: dict[str, Json] = {
    "constriction": {"recipe": "constriction", "population": 8, "max_iter": 30, "history": "particles"},
    "memetic": {"max_evals": 900, "history": "iteration"},
}


class Stopped(Exception):
    """Stands for whatever ends a process."""


def search(name: str, checkpoint: Path, stop_after: int | None = None) -> tuple[pso.Result, list[float]]:
    """The result of one of `SEARCHES`, and the values of the evaluations that this call made."""
    values: list[float] = []

    def fun(x: Any) -> float:
        if len(values) == stop_after:
            raise Stopped
        values.append(valleys(x))
        return values[-1]

    options = {"bounds": BOUNDS, "seed": 5, "vectorized": False, "checkpoint": checkpoint, **SEARCHES[name]}
    return pso.minimize(fun, **options), values


def described(result: pso.Result, values: list[float]) -> Json:
    """What a resumed search comes to, as JSON."""
    records = [_record(record) for record in result.history]
    ends = {"x": _plain(result.x), "fun": result.fun, "nfev": result.nfev, "nit": result.nit, "stop": result.stop}
    return {**ends, "values": values, "history": records}


def _record(record: Any) -> Json:
    return {key: _plain(value) for key, value in record._asdict().items()}


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def resumed(name: str, checkpoint: Path) -> Json:
    """What one of `SEARCHES` comes to that goes on from a checkpoint.

    Its first call only checks that the stored best is this objective's: the files are older than this check.
    """
    result, (_, *values) = search(name, checkpoint)
    return described(result, values)


def at_the_lowest(name: str, checkpoint: Path, stop_after: int | None = None) -> Json:
    """`resumed`, or {} if it is stopped, in a process whose OpenBLAS takes the kernels of the oldest processors."""
    folders = [str(Path(pso.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    own = {"OPENBLAS_CORETYPE": "Nehalem", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(folders)}
    words = [sys.executable, __file__, name, str(checkpoint), *([] if stop_after is None else [str(stop_after)])]
    done = subprocess.run(words, env={**os.environ, **own}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout or "{}")


if __name__ == "__main__":
    if len(sys.argv) == 4:
        try:
            search(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
        except Stopped:
            raise SystemExit(0) from None
    print(json.dumps(resumed(sys.argv[1], Path(sys.argv[2]))))
