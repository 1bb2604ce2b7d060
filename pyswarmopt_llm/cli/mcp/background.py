"""Commands as background processes: they outlive the server, and their last words are kept."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

_MAIN = "from pyswarmopt.cli.start import swarm_llm; swarm_llm()"
_PAUSE = 0.1  # seconds between two looks at a process that starts


class Background:
    """The `swarm-llm` processes that this server started, by the run directory of each."""

    def __init__(self) -> None:
        self._started: dict[Path, tuple[subprocess.Popen[bytes], IO[bytes]]] = {}

    def start(self, words: list[str], run: Path, patience: float = 20.0, begun: str = "run.json") -> None:
        """Start ``swarm-llm WORDS``.

        Returns once `run` has the file `begun`, the process has ended, or `patience` seconds are over.

        Bad input ends the process within that time as a rule: it is refused before a model is loaded.
        """
        said = tempfile.TemporaryFile()  # noqa: SIM115  the process's, which may outlive this one
        program = [sys.executable, "-P", "-c", _MAIN, *words, "--quiet"]
        process = subprocess.Popen(
            program, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        )
        self._started[run] = process, said
        end = time.monotonic() + patience
        while process.poll() is None and not (run / begun).exists() and time.monotonic() < end:
            time.sleep(_PAUSE)

    def running(self, run: Path) -> bool:
        """Whether a process that this server started is at work on the run."""
        return run in self._started and self._started[run][0].poll() is None

    def failure(self, run: Path) -> str | None:
        """The last line of the process that worked on the run, if it failed."""
        if run not in self._started or not self._started[run][0].poll():
            return None
        process, said = self._started[run]
        said.seek(0)
        lines = said.read().decode("utf-8", "replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), f"exit code {process.returncode}")
        return last.removeprefix("error: ")
