"""The entry points of the commands, with the core alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

import pyswarmopt as pso

CORE_ALONE = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("typer", "rich", "torch", "transformers", "pydantic"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Refuse())
from pyswarmopt.cli import start
getattr(start, sys.argv.pop(1))()
"""


@pytest.mark.parametrize("command", ["pyswarmopt", "swarm_llm"])
def test_the_version_needs_no_extra(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CORE_ALONE, command, "--version"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{pso.__version__}\n", "")
