"""Runs in a process of its own: forks searches and lets them die.

Reads one JSON object per line from standard input and answers each with one line. ``{"config":
{...}}`` starts that search, or resumes it if it has begun, in a child of its own, whose workers, if
it has any, are forked from one fork server; ``{"compare": {...}}`` starts that comparison or goes
on with it; ``"line": k`` has the child killed by signal 9 when it comes to the k-th line of the
code that decides, scores and writes; ``"bytes": n`` lets no file of the child grow beyond n bytes,
as a full disk would. The answer is the child's exit code, negative for a signal, how many such
lines it went through, what it wrote to stderr, and how many of its workers are left behind (they
have a minute to end).

A fork of a process that has no threads, everything imported and the model loaded costs
milliseconds; starting Python for each of many deaths would cost minutes. Nothing is written before
the model is loaded, so no death is lost.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from types import FrameType
from typing import Any

import torch

import pyswarmopt.base.checkpoint
import pyswarmopt_llm.common.files.regular
import pyswarmopt_llm.experts.files
import pyswarmopt_llm.searching.explore
import pyswarmopt_llm.searching.find
import pyswarmopt_llm.searching.loop
import pyswarmopt_llm.searching.race
import pyswarmopt_llm.searching.resuming
import pyswarmopt_llm.searching.scoring.record
import pyswarmopt_llm.searching.scoring.run_directory
import pyswarmopt_llm.searching.scoring.scorer
import pyswarmopt_llm.searching.surrogate
import pyswarmopt_llm.searching.swarm
import pyswarmopt_llm.servers.workers.local
import pyswarmopt_llm.servers.workers.pool
import pyswarmopt_rivals.bench
import pyswarmopt_rivals.comparison.contest
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.engine.transformers import load_engine
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.searching.loop import search
from pyswarmopt_llm.searching.prepare import Job, prepare
from pyswarmopt_llm.searching.resuming import resume
from pyswarmopt_llm.searching.scoring.scorer import Questions, Request
from pyswarmopt_llm.servers.workers.local import ForkServer
from pyswarmopt_llm.servers.workers.worker import Order
from pyswarmopt_rivals.comparison.config import CompareConfig
from pyswarmopt_rivals.comparison.contest import compare

MODULES = (
    *(pyswarmopt.base.checkpoint, pyswarmopt_llm.common.files.regular),
    *(pyswarmopt_llm.experts.files, pyswarmopt_llm.experts.files),
    *(pyswarmopt_llm.searching.explore, pyswarmopt_llm.searching.loop),
    *(pyswarmopt_llm.searching.find, pyswarmopt_llm.searching.race),
    *(pyswarmopt_llm.searching.surrogate, pyswarmopt_llm.searching.swarm),
    *(pyswarmopt_llm.searching.resuming, pyswarmopt_llm.searching.scoring.record),
    *(pyswarmopt_llm.searching.scoring.scorer,),
    *(pyswarmopt_llm.searching.scoring.run_directory, pyswarmopt_llm.servers.workers.pool),
    *(pyswarmopt_rivals.bench, pyswarmopt_rivals.comparison.contest),
)
DEADLY = frozenset(str(module.__file__) for module in MODULES)


class Countdown:
    """Counts the lines that run in the `DEADLY` modules and kills the process at the last."""

    def __init__(self, last: int | None) -> None:
        self.seen, self._last = 0, last

    def enter(self, frame: FrameType, event: str, arg: Any) -> Any:
        return self.line if frame.f_code.co_filename in DEADLY else None

    def line(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "line":
            self.seen += 1
            if self.seen == self._last:
                os.kill(os.getpid(), signal.SIGKILL)
        return self.line


FORK_SERVERS: list[int] = []  # their processes


class Lasting(ForkServer):
    """Outlives the searches that fork their workers from it."""

    def close(self) -> None:
        pass


@cache
def loaded(settings: str) -> Callable[[], object]:
    """What a child does, from JSON, with everything loaded; lists in it are tuples in a
    configuration.
    """
    order = json.loads(settings)
    (kind, given), *_ = order.items()
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
    if kind == "compare":
        contest = CompareConfig(**given)
        engine = load_engine(
            resolve_base(contest.base), contest.dtype, contest.device, contest.threads
        )
        pyswarmopt_rivals.comparison.contest.load_engine = lambda *_: engine
        return partial(compare, contest)
    config = SearchConfig(**given)
    job = prepare(config)

    def prepared(config: SearchConfig, given: object = None) -> Job:
        open_fields = [name for name, value in vars(config).items() if value in (None, "auto", ())]
        chosen = {name: getattr(job.plan.config, name) for name in open_fields}  # by the preset
        return job.with_settings(**{**vars(config), **chosen})

    fork_server = Lasting(
        replace(config, device="cpu", dtype=str(job.engine.dtype).removeprefix("torch.")),
        prepare,
        2,
    )

    def run() -> object:
        pyswarmopt_llm.searching.loop.prepare = prepared
        pyswarmopt_llm.searching.resuming.reopen = prepared
        pyswarmopt_llm.servers.workers.local.ForkServer = lambda *_: fork_server
        if (Path(config.out) / "run.json").exists():
            return resume(config.out)
        return search(config)

    if config.workers != "1":
        worker = fork_server.start(0)  # opens it, so that all children fork from the same
        worker.ask(Order(Questions("dev", ()), Request(job.starts[0]), {}))  # until it has loaded
        worker.close()
        FORK_SERVERS.append(fork_server.pid)
    return run


def work(run: Callable[[], object]) -> int:
    try:
        run()
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except Exception:
        traceback.print_exc()
        return 70
    return 0


def child(run: Callable[[], object], line: int | None, largest: int | None, log: int) -> None:
    os.dup2(log, 2)
    if largest is not None:
        # a write beyond the limit then fails as on a full disk
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    countdown = Countdown(line)
    code = 70
    sys.settrace(countdown.enter)
    try:
        code = work(run)
    finally:
        sys.settrace(None)
        sys.stderr.write(f"{countdown.seen} lines\n")
        sys.stderr.flush()
        os._exit(code)


def answer(order: dict[str, Any]) -> dict[str, Any]:
    os.chdir(order["cwd"])
    kind = next(name for name in ("compare", "config") if name in order)
    run = loaded(json.dumps({kind: order[kind]}))
    listen, speak = os.pipe()  # not a file, which a limit on the size of files would cut as well
    pid = os.fork()
    if pid == 0:
        child(run, order.get("line"), order.get("bytes"), speak)
    os.close(speak)
    with os.fdopen(listen) as log:
        said, _, lines = log.read().removesuffix(" lines\n").rpartition("\n")
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return {
        "left": left_behind(),
        "code": code,
        "stderr": said,
        "lines": int(lines) if lines.isdigit() else None,
    }


def left_behind() -> int:
    """Children of the fork servers; of a search that is over there should be none."""
    for _ in range(1200 if FORK_SERVERS else 0):
        if not (
            found := sum(
                parent_of(process) in FORK_SERVERS for process in Path("/proc").glob("[0-9]*")
            )
        ):
            return 0
        time.sleep(0.05)
    return found if FORK_SERVERS else 0


def parent_of(process: Path) -> int:
    """The parent of a process in /proc; 0 if it is gone."""
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def main() -> None:
    torch.set_num_threads(1)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
