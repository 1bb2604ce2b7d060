"""Ctrl-C while modules load ends both commands with exit code 130 and no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer

from pyswarmopt_llm.cli.running import interruptible, nothing_written

ROOT = Path(__file__).parents[3]

# A module that says that it is being imported and then waits; the second one does what NumPy's
# loading does to a KeyboardInterrupt.
SLOW = """
import time
print("importing", flush=True)
for _ in range(600):
    time.sleep(0.1)
print("went on", flush=True)
"""
SWALLOWS = f"""
try:
{"".join(f"    {line}" for line in SLOW.splitlines(keepends=True))}
except BaseException:
    raise ImportError("cannot load module more than once per process")
"""


@pytest.mark.parametrize("stub", [SLOW, SWALLOWS], ids=["slow", "swallows"])
@pytest.mark.parametrize(
    ("script", "words", "module"),
    [
        ("swarm-llm", "--help", "typer"),
        ("swarm-llm", "eval --base org/B --task builtin:kinship --quiet", "torch"),
        ("pyswarmopt", "compare sphere", "typer"),
    ],
)
def test_ctrl_c_while_a_module_loads(
    script: str, words: str, module: str, stub: str, tmp_path: Path
) -> None:
    (tmp_path / f"{module}.py").write_text(stub)
    target = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"][script]
    package, function = target.split(":")
    # A shell's background job, and what it starts, ignores SIGINT.
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = (
        f"{listen}; import sys; sys.argv[0] = {script!r}; from {package} import {function}; "
        f"sys.exit({function}())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words.split()],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out, err) == (130, "", "")


def test_sigterm_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(typer.Exit) as ended, interruptible(lambda: "resume with: R"):
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.exit_code == 130
    assert capsys.readouterr().err == "\ninterrupted; resume with: R\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_hang_up_that_was_ignored_stays_ignored() -> None:
    """`nohup` ignores it, so that a job outlives its terminal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible(nothing_written):
            signal.raise_signal(signal.SIGHUP)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
