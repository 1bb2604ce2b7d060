"""How busy a swarm keeps many workers, in whole rounds and one by one: a simulation with a clock of
its own.

    python research/benchmarks/scaling/scaling.py [--times RUN/history.jsonl ...] [--workers 8,64,512] \\
        [--particles 1]
                                         [--seeds 5]

Nothing is waited for: an evaluation takes as long as the simulated clock says. Its seconds are
drawn from those that `swarm-llm search` wrote down (--times), or from a lognormal distribution with
mean 1 (--spread: the standard deviation of its logarithm). Half of the workers may be slower
(--slow: by which factor). The swarm is the real one, with so many --particles for each worker; it
minimises Rosenbrock's function in 10 dimensions, --evaluations for each particle.

Columns: efficiency, the share of the workers' time in which they evaluate; the same time's best
value, the median over seeds of the best that each way has found when the faster one ends; CPU time
of ask and tell for one evaluation.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np

import pyswarmopt as pso

DIM = 10


@dataclass
class Clock:
    """Simulated workers: who is busy until when."""

    seconds: np.ndarray  # what evaluations take
    slowness: np.ndarray  # (workers,) factors
    random: np.random.Generator
    now: float = 0.0
    worked: float = 0.0
    idle: list[int] = field(default_factory=list)
    events: list[tuple[float, int, pso.Ticket]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.idle = list(range(len(self.slowness)))

    def begin(self, ticket: pso.Ticket) -> None:
        worker = self.idle.pop()
        takes = float(self.random.choice(self.seconds) * self.slowness[worker])
        self.worked += takes
        heapq.heappush(self.events, (self.now + takes, worker, ticket))

    def end(self) -> pso.Ticket:
        self.now, worker, ticket = heapq.heappop(self.events)
        self.idle.append(worker)
        return ticket


@dataclass
class Run:
    """One simulated search."""

    efficiency: float
    cpu: float  # seconds of ask and tell for an evaluation
    trace: list[tuple[float, float]]  # simulated time, best value so far

    def best_at(self, moment: float) -> float:
        return min((value for at, value in self.trace if at <= moment), default=float("inf"))


def simulate(clock: Clock, population: int, evaluations: int, asynchronous: bool, seed: int) -> Run:
    swarm = pso.Swarm(bounds=[(-5, 5)] * DIM, population=population, seed=seed)
    trace, waiting, left = [], [], evaluations * population
    cpu = 0.0
    while left or clock.events:
        start = time.process_time()
        if asynchronous:
            ready = [ticket for _ in clock.idle if left and (ticket := swarm.ask_one()) is not None]
        else:
            if left and not waiting and not clock.events:
                waiting = swarm.tickets()
            ready, waiting = waiting[: len(clock.idle)], waiting[len(clock.idle) :]
        cpu += time.process_time() - start
        for ticket in ready[:left]:
            clock.begin(ticket)
        left -= len(ready[:left])
        ticket = clock.end()
        value = float(pso.functions.rosenbrock(ticket.x))
        start = time.process_time()
        swarm.tell(ticket, value)
        cpu += time.process_time() - start
        trace.append((clock.now, swarm.best.value))
    return Run(clock.worked / (len(clock.slowness) * clock.now), cpu / len(trace), trace)


def recorded(paths: list[Path]) -> np.ndarray:
    lines = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    return np.array([line["seconds"] for line in lines if line.get("phase", "search") == "search"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=Path, nargs="*", default=[])
    parser.add_argument("--spread", type=float, default=0.5)
    parser.add_argument("--slow", type=float, default=1.0)
    parser.add_argument("--workers", default="8,64,512")
    parser.add_argument("--particles", type=int, default=1)
    parser.add_argument("--evaluations", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    draws = np.random.default_rng(0)
    seconds = (
        recorded(args.times)
        if args.times
        else draws.lognormal(-(args.spread**2) / 2, args.spread, 10_000)
    )
    print(
        f"evaluations take {seconds.mean():.3g} s, standard deviation "
        f"{seconds.std() / seconds.mean():.0%} of that\n"
    )
    print(
        "| workers | efficiency in rounds | one by one | best in rounds | one by one | CPU in "
        "rounds | one by one |"
    )
    print("|---|---|---|---|---|---|---|")
    for workers in map(int, args.workers.split(",")):
        slowness = np.where(np.arange(workers) % 2, args.slow, 1.0)
        runs: dict[bool, list[Run]] = {False: [], True: []}
        bests: dict[bool, list[float]] = {False: [], True: []}
        for seed in range(args.seeds):
            for way in runs:
                clock = Clock(seconds, slowness, np.random.default_rng(seed))
                runs[way].append(
                    simulate(clock, workers * args.particles, args.evaluations, way, seed)
                )
            moment = min(runs[way][-1].trace[-1][0] for way in runs)
            for way in runs:
                bests[way].append(runs[way][-1].best_at(moment))
        cells = [f"{np.mean([run.efficiency for run in runs[way]]):.2f}" for way in runs]
        cells += [f"{np.median(bests[way]):.3g}" for way in runs]
        cells += [f"{1e3 * np.mean([run.cpu for run in runs[way]]):.2f} ms" for way in runs]
        print(f"| {workers} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
