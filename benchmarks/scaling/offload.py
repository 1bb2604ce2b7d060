"""What an iteration costs in memory, in files whose pages are in memory, and in files that are read and written anew.

    python benchmarks/scaling/offload.py FOLDER [--dim 10000000] [--population 10] [--turns 5] [--recipe constriction]

The last is what a swarm pays that is much larger than memory: before each iteration the system is told to write all
of its pages to the disk and to forget them. A cell is the median of the turns, in which the three ways alternate:
seconds of the clock for ask and tell, of which of the CPU, the sphere's own time taken off. Beside it what the disk
did for an iteration, and the bandwidth of that disk for one large file, measured in the same turns.
"""

from __future__ import annotations

import argparse
import mmap
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
import torch

import pyswarmopt as pso
from pyswarmopt.base.storage import Storage

PAGE_OUT = 21  # MADV_PAGEOUT of Linux 5.4 and later
WAYS = ("in memory", "in files", "in files, paged out")


def sphere(x: torch.Tensor) -> torch.Tensor:
    """(N, D) -> (N,), some columns at a time."""
    return sum(torch.linalg.vecdot(part, part) for part in x.split(2**16, dim=1))  # type: ignore[return-value]


def disk_bytes() -> tuple[int, int]:
    """Bytes that this process has had read and written by the disk."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["read_bytes"]), int(lines["write_bytes"])


def bandwidth(folder: Path, size: int) -> float:
    """Bytes a second for writing a file and reading it from the disk again."""
    block, start = os.urandom(2**22), time.perf_counter()
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(size // len(block)):
            file.write(block)
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        file.seek(0)
        while file.read(len(block)):
            pass
    return 2 * size / (time.perf_counter() - start)


def iteration(swarm: pso.Swarm) -> dict[str, float]:
    before, wall, cpu = disk_bytes(), time.perf_counter(), time.process_time()
    x = swarm.ask()
    asked = time.perf_counter(), time.process_time()
    values = sphere(x)
    valued = time.perf_counter(), time.process_time()
    swarm.tell(x, values)
    after = disk_bytes()
    return {
        "wall": time.perf_counter() - valued[0] + asked[0] - wall,
        "cpu": time.process_time() - valued[1] + asked[1] - cpu,
        "read": after[0] - before[0],
        "written": after[1] - before[1],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dim", type=int, default=10_000_000)
    parser.add_argument("--population", type=int, default=10)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--recipe", default="constriction")
    options = parser.parse_args()
    torch.set_num_threads(1)
    maps: list[mmap.mmap] = []
    mapping = Storage._map

    def noted(self: Storage, folder: Path, size: int) -> mmap.mmap:
        maps.append(mapping(self, folder, size))
        return maps[-1]

    Storage._map = noted  # type: ignore[method-assign]
    arguments: dict[str, Any] = {
        "bounds": (-5, 5), "dim": options.dim, "population": options.population, "recipe": options.recipe,
        "dtype": torch.float32, "seed": 0,
    }  # fmt: skip
    in_memory, in_files = (pso.Swarm(**arguments, offload_folder=folder) for folder in (None, options.folder))
    swarms = dict(zip(WAYS, (in_memory, in_files, in_files), strict=True))
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    speeds = []
    for turn in range(options.turns + 1):  # the first one starts the swarms and loads what is loaded on use
        for way in WAYS:
            if way == WAYS[2]:
                for memory in maps:
                    if not memory.closed and len(memory) > 1:
                        memory.flush()
                        memory.madvise(PAGE_OUT)
            measured = iteration(swarms[way])
            if turn:
                found[way].append(measured)
        speeds.append(bandwidth(options.folder, min(4 * options.dim * options.population, 2**28)))
    size = 4 * options.dim * options.population / 1e9
    print(f"{options.recipe}, N = {options.population}, D = {options.dim:,}, float32: {size:.2f} GB an array.\n")
    print("| | clock | CPU | read | written |\n|---|---|---|---|---|")
    for way, cells in found.items():
        wall, cpu, read, written = (statistics.median(cell[key] for cell in cells) for key in cells[0])
        print(f"| {way} | {wall:.2f} s | {cpu:.2f} s | {read / 1e9:.2f} GB | {written / 1e9:.2f} GB |")
    print(f"\nThe disk: {statistics.median(speeds) / 1e9:.2f} GB a second, writing and reading one file.")


if __name__ == "__main__":
    main()
