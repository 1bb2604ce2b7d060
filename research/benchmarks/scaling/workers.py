"""What workers cost and bring: coordinator time and bytes per evaluation, efficiency, and what a
long search leaks.

    python research/benchmarks/scaling/workers.py cost       [--items 200] [--evaluations 300]
    python research/benchmarks/scaling/workers.py efficiency --base B --experts DIR ... --task T \\
        [--workers 2] [--threads 1]
                                                    [--dev 40]
    python research/benchmarks/scaling/workers.py leak       [--evaluations 10000]
    python research/benchmarks/scaling/workers.py waiting    --outcomes FILE [--seeds 0 1]

`cost`, `leak` and `waiting` use the tiny random model of the tests. `cost`: CPU time of the search's own
process (rules, journal with its fsync, swarm, everything but the workers) and what goes through the
sockets, for one evaluation. `efficiency`: the same search with one worker and with --workers, each
with --threads; the time from the first evaluation to the last, so that loading does not count; the
two journals must be equal. `leak`: resident memory and open files of one process, every tenth of
the way. `waiting`: a search whose candidates wait for a second each, as for a device, so that other
work on the machine matters little; with 1, 2, 4 and 8 workers, a line each.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[3] / "tests" / "llm" / "helpers"))
import llm_fixtures
import torch
from search_helpers import history, louder, questions, small, write_task

import pyswarmopt_llm.servers.workers.local as process
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.events import Event
from pyswarmopt_llm.common.files.regular import AppendLog
from pyswarmopt_llm.report.run import search
from pyswarmopt_llm.searching.prepare import prepare
from pyswarmopt_llm.searching.scoring.scorer import Questions, Request

CREWS = (1, 2, 4, 8)  # workers
WAITS = """
import time

def waits(engine):
    time.sleep(1.0)
    return engine.loglikelihood([("amber", " birch")])[0] / 100
"""


class Folder:
    """Stands in for pytest's factory of directories."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def mktemp(self, name: str) -> Path:
        (self._path / name).mkdir()
        return self._path / name


def tiny(folder: Path, items: int, **more: object) -> SearchConfig:
    """A search on the tiny model of the tests."""
    base = llm_fixtures.tiny_base.__wrapped__(Folder(folder))
    experts = [
        llm_fixtures.save_random_expert(base, folder / name, seed)
        for seed, name in enumerate("abc", 1)
    ]
    task = write_task(folder / "words.json", questions(items, 1), questions(8, 2))
    return small(base, louder(experts, folder / "loud"), [task], folder / "run", **more)


def cost(args: argparse.Namespace) -> None:
    sent = [0, 0]
    send, receive = process._send, process._receive

    def counting_send(line, what):
        sent[0] += len(process.pickle.dumps(what))
        send(line, what)

    def counting_receive(line):
        found = receive(line)
        sent[1] += len(process.pickle.dumps(found))
        return found

    process._send, process._receive = counting_send, counting_receive
    with tempfile.TemporaryDirectory() as name:
        config = tiny(
            Path(name),
            args.items,
            workers="2",
            particles=20,
            max_iter=args.evaluations // 20,
            patience=999,
        )
        spent: list[tuple[float, int]] = []

        def listen(event: Event) -> None:
            if event.kind == "evaluation":
                spent.append((time.process_time(), sum(sent)))

        search(config, listen)
    n = len(spent) - 1
    cpu, data = spent[-1][0] - spent[0][0], spent[-1][1] - spent[0][1]
    print(
        f"{n} evaluations of {args.items} items: {1e3 * cpu / n:.2f} ms of CPU and "
        f"{data / n / 1e3:.2f} kB each"
    )


def efficiency(args: argparse.Namespace) -> None:
    base = SearchConfig(
        args.base, tuple(args.experts), (args.task,), "", dev=args.dev, test=1,
        threads=args.threads, particles=args.particles, max_iter=args.max_iter, patience=999,
        scoring="likelihood", preset="none",
    )  # fmt: skip
    took, journals = {}, []
    with tempfile.TemporaryDirectory() as folder:
        for workers in (1, args.workers):
            moments: list[float] = []

            def listen(event: Event, moments: list[float] = moments) -> None:
                if event.kind in ("evaluation", "start"):
                    moments.append(time.perf_counter())

            out = f"{folder}/{workers}"
            search(replace(base, out=out, workers=str(workers)), listen)
            rows = [
                json.loads(line) for line in (Path(out) / "history.jsonl").read_text().splitlines()
            ]
            skipped = args.particles  # the first round, in which workers still load
            took[workers] = moments[-1] - moments[skipped]
            journals.append(history(Path(out)))
            scoring = sum(row["seconds"] for row in rows[skipped:])
            print(
                f"{workers} worker(s): {took[workers]:.1f} s for {len(rows) - skipped} "
                f"evaluations of {scoring:.1f} s"
            )
    gain = took[1] / took[args.workers]
    print(
        f"efficiency {gain / args.workers:.2f}; journals "
        f"{'equal' if journals[0] == journals[1] else 'DIFFER'}"
    )


def leak(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        job = prepare(tiny(Path(name), 8))
        evaluator = job.evaluator(Questions("dev", (("words", "likelihood"),)))
        generator = torch.Generator().manual_seed(0)
        for k in range(args.evaluations + 1):
            if k % max(args.evaluations // 10, 1) == 0:
                pages = int(Path("/proc/self/statm").read_text().split()[1])
                files = len(list(Path("/proc/self/fd").iterdir()))
                print(
                    (
                        f"{k:6d} evaluations: {pages * 4096 / 1e6:7.1f} MB resident, {files} open "
                        "files"
                    ),
                    flush=True,
                )
            evaluator.evaluate(Request(torch.randn(3, generator=generator, dtype=torch.float64)))


def waited(folder: Path, workers: int, seed: int) -> dict[str, object]:
    """The line of a search whose candidates wait; the first round, in which workers load, does not
    count.
    """
    moments: list[float] = []

    def listen(event: Event) -> None:
        if event.kind == "evaluation":
            moments.append(time.perf_counter())

    about = {"utilities": ("waits:waits",), "combine": "arithmetic", "patience": 999}
    config = tiny(
        folder, 8, particles=20, max_iter=3, workers=str(workers), seed=seed, test=0, **about
    )
    search(config, listen)
    journal = json.dumps(history(Path(config.out))).encode()
    return {
        "workers": workers,
        "seed": seed,
        "evaluations": len(moments) - 20,
        "seconds": round(moments[-1] - moments[19], 2),
        "journal": hashlib.sha256(journal).hexdigest(),
    }


def waiting(args: argparse.Namespace) -> None:
    log = AppendLog(args.outcomes)
    done = {(row["workers"], row["seed"]) for row in log.repaired()}
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "waits.py").write_text(WAITS)
        os.chdir(name)
        for seed in args.seeds:
            for workers in CREWS:
                if (workers, seed) not in done:
                    folder = Path(name) / f"{workers}-{seed}"
                    folder.mkdir()
                    log.append(waited(folder, workers, seed))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(required=True)
    one = kinds.add_parser("cost")
    one.add_argument("--items", type=int, default=200)
    one.add_argument("--evaluations", type=int, default=300)
    one.set_defaults(run=cost)
    two = kinds.add_parser("efficiency")
    two.add_argument("--base", default="embedded:smollm2-135m")
    two.add_argument("--experts", nargs="+", required=True)
    two.add_argument("--task", required=True)
    for option, number in {
        "workers": 2,
        "threads": 1,
        "dev": 40,
        "particles": 8,
        "max-iter": 3,
    }.items():
        two.add_argument(f"--{option}", type=int, default=number)
    two.set_defaults(run=efficiency)
    three = kinds.add_parser("leak")
    three.add_argument("--evaluations", type=int, default=10_000)
    three.set_defaults(run=leak)
    four = kinds.add_parser("waiting")
    four.add_argument("--outcomes", type=lambda name: Path(name).resolve(), required=True)
    four.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    four.set_defaults(run=waiting)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
