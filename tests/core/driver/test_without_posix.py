"""The core where Python has no POSIX, as on Windows: what is missing there is taken away."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# Windows has none of these names, and opens no directory.
WINDOWS = """
import os, signal, sys
for name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOFOLLOW", "O_DIRECTORY", "fork", "sched_getaffinity"):
    delattr(os, name)
for name in ("SIGALRM", "setitimer", "SIGCHLD"):
    delattr(signal, name)
sys.modules["fcntl"] = sys.modules["resource"] = None
opened = os.open
def open_file(path, *args, **kwargs):
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied", path)
    return opened(path, *args, **kwargs)
os.open = open_file
"""
SEARCH = """
import pyswarmopt as pso
call = dict(max_evals=60, seed=1, checkpoint=sys.argv[1])
first = pso.minimize(pso.functions.sphere, [(-1, 1)] * 3, **{**call, "max_evals": 30})
again = pso.minimize(pso.functions.sphere, [(-1, 1)] * 3, **call)
print(first.nfev, again.nfev, again.fun < 1e-3)
"""
SWARM_LLM = "from pyswarmopt.cli.start import swarm_llm; swarm_llm()"


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WINDOWS + code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_minimize_keeps_a_checkpoint_and_goes_on(tmp_path: Path) -> None:
    done = python(SEARCH, str(tmp_path / "search.npz"))
    assert done.stdout.split() == ["30", "60", "True"], done.stderr


def test_swarm_llm_says_what_it_needs() -> None:
    done = python(SWARM_LLM)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "WSL" in done.stderr


def test_swarm_llm_names_its_extra_where_a_package_is_missing() -> None:
    done = python(f"sys.modules['typer'] = None; sys.modules['fcntl'] = sys; {SWARM_LLM}")
    assert done.stderr == "error: typer is not installed; install the extra 'llm'\n"
