"""Ten rounds of an offloaded swarm of 102 MB, with restarts, save and load, in little memory.

    python offload_memory.py RECIPE FOLDER

Prints the most anonymous memory at the end of a step beyond that at the start, as a share of x, v and p; whether there
is a best; and how often the swarm was restarted. Memory beyond a fifth of x, v and p is not given to this process.
"""

from __future__ import annotations

import resource
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import pyswarmopt as pso
from pyswarmopt.parts.restart import RestartAtBest, RestartSwarm

N, DIM = 10, 850_000
ARRAYS = 3 * N * DIM * 4


def kilobytes(field: str) -> int:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{field}:"))


def values(x: torch.Tensor) -> list[float]:
    """The sphere, by columns."""
    return sum(torch.linalg.vecdot(part, part) for part in x.split(10_000, dim=1)).tolist()


def main(name: str, folder: Path) -> None:
    policies = (RestartAtBest(1), RestartSwarm(patience=3, growth=1.0))
    recipe = replace(pso.recipes.get(name), name="restarted", restart=policies, stop=(), options=None)
    start = np.memmap(folder / "start.npy", np.float32, "w+", shape=(4, DIM))
    start[:] = np.arange(4, dtype=np.float32)[:, None]
    small = pso.Swarm(bounds=(-5, 5), dim=30_000, recipe=recipe, seed=0, dtype=torch.float32)
    for _ in range(3):  # loads what is loaded on use, and compiles
        x = small.ask()
        small.tell(x, values(x))
    del small, x

    before, most, restarts = kilobytes("RssAnon"), 0, 0
    resource.setrlimit(resource.RLIMIT_DATA, (kilobytes("VmData") * 1024 + ARRAYS // 5, resource.RLIM_INFINITY))
    options = {"recipe": recipe, "offload_folder": folder}
    swarm = pso.Swarm(None, N, (-5, 5), start, seed=0, dtype=torch.float32, **options)
    for k in range(10):
        x = swarm.ask()
        held = swarm.velocities
        swarm.tell(x, values(x) if k < 2 else [1e9] * N)  # nothing improves, so both policies act
        restarts += held is not swarm.velocities
        if k == 5:
            swarm.save(folder / "swarm.npz")
            swarm = pso.Swarm.load(folder / "swarm.npz", **options)
        most = max(most, kilobytes("RssAnon") - before)
    swarm.revalue([float(i) for i in range(N)])
    (folder / "start.npy").unlink()
    print(most * 1024 / ARRAYS, int(np.isfinite(swarm.best.value)), restarts)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
