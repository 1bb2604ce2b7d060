"""Runs in a process of its own: forks searches and lets them die.

Reads one JSON object per line from standard input and answers each with one line.
``{"config": {...}}`` starts that search, or resumes it if it has begun, in a child of its own;
``"line": k`` has the child killed by signal 9 when it comes to the k-th line of the code that decides, scores and
writes; ``"bytes": n`` lets no file of the child grow beyond n bytes, as a full disk would. The answer is the child's
exit code, negative for a signal, how many such lines it went through, and what it wrote to stderr.

A fork of a process that has no threads, everything imported and the model loaded costs milliseconds; starting Python
for each of many deaths would cost minutes. Nothing is written before the model is loaded, so no death is lost.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import torch

import pyswarmopt.checkpoint
import pyswarmopt_llm.experts.files
import pyswarmopt_llm.experts.write
import pyswarmopt_llm.objective
import pyswarmopt_llm.runs
import pyswarmopt_llm.search
from pyswarmopt_llm.config import SearchConfig
from pyswarmopt_llm.errors import UserError
from pyswarmopt_llm.job import Job, prepare
from pyswarmopt_llm.search import resume, search

DEADLY = frozenset(
    str(module.__file__)
    for module in (
        pyswarmopt.checkpoint,
        pyswarmopt_llm.experts.files,
        pyswarmopt_llm.experts.write,
        pyswarmopt_llm.objective,
        pyswarmopt_llm.runs,
        pyswarmopt_llm.search,
    )
)


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


@cache
def loaded(settings: str) -> tuple[SearchConfig, Job]:
    """What a child begins with, from JSON; lists in it are tuples in a configuration."""
    given = json.loads(settings)
    config = SearchConfig(**{name: tuple(v) if isinstance(v, list) else v for name, v in given.items()})
    return config, prepare(config)


def work(config: SearchConfig) -> int:
    try:
        if (Path(config.out) / "run.json").exists():
            resume(config.out)
        else:
            search(config)
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


def child(config: SearchConfig, job: Job, line: int | None, largest: int | None, log: int) -> None:
    os.dup2(log, 2)
    if largest is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit then fails as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    pyswarmopt_llm.search.prepare = lambda config: job
    countdown, code = Countdown(line), 70
    sys.settrace(countdown.enter)
    try:
        code = work(config)
    finally:
        sys.settrace(None)
        sys.stderr.write(f"{countdown.seen} lines\n")
        sys.stderr.flush()
        os._exit(code)


def answer(order: dict[str, Any]) -> dict[str, Any]:
    config, job = loaded(json.dumps(order["config"]))
    listen, speak = os.pipe()  # not a file, which a limit on the size of files would cut as well
    pid = os.fork()
    if pid == 0:
        child(config, job, order.get("line"), order.get("bytes"), speak)
    os.close(speak)
    with os.fdopen(listen) as log:
        said, _, lines = log.read().removesuffix(" lines\n").rpartition("\n")
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return {"code": code, "stderr": said, "lines": int(lines) if lines.isdigit() else None}


def main() -> None:
    torch.set_num_threads(1)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
