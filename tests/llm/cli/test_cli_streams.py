"""A search does not end because nobody can read what it shows: its result is on disk, its exit code
0.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# A job that shows a thousand notes as a search does, writes its result and returns it.
JOB = """
import sys
from pathlib import Path
from types import SimpleNamespace
from pyswarmopt.cli.streams import prepare
prepare()
from pyswarmopt.cli.terminal import echo
from pyswarmopt_llm.cli.running import print_result, watched
from pyswarmopt_llm.common.events import note

with watched(Path("run"), False) as on_event:
    for number in range(1000):
        on_event(note(f"Größe {number} " + 50 * "."))
    Path("done").write_text("the result")
print_result(SimpleNamespace(result={"best_dev": 0.5}, run=Path()), as_json=True)
echo("Größe")
"""


def shell(folder: Path, code: str, words: str = "", **environment: str) -> tuple[int, str]:
    """Exit code of Python code in a shell with `words` behind it, and what is shown."""
    own = {"CODE": code, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    command = ["bash", "-o", "pipefail", "-c", f'"$0" -c "$CODE" {words}', sys.executable]
    done = subprocess.run(command, env=os.environ | own, capture_output=True, cwd=folder)
    return done.returncode, (done.stdout + done.stderr).decode()


@pytest.mark.parametrize(
    "redirect",
    [
        ">&- 2>&- <&-",
        "2> /dev/full",
        "2> >(exit)",
        "2>&1 >/dev/null | head -c 1",
    ],
)
def test_a_stream_that_is_closed_or_full_ends_nothing(redirect: str, tmp_path: Path) -> None:
    code, shown = shell(tmp_path, JOB, redirect)
    assert code == 0 and "Traceback" not in shown and "Exception ignored" not in shown
    # nothing that is shown lands in a file that was opened where a closed stream was
    assert (tmp_path / "done").read_text() == "the result"


LIST = (
    "from pyswarmopt.cli.start import pyswarmopt; import sys; sys.argv[1:] = ['list']; pyswarmopt()"
)


def test_a_reader_of_the_result_that_has_gone_makes_no_exit_code(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        for code in (JOB, LIST):
            own = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
            done = subprocess.run(
                [sys.executable, "-c", code],
                env=os.environ | own,
                stdout=write,
                stderr=subprocess.PIPE,
                cwd=tmp_path,
            )
            assert done.returncode == 0 and b"Errno" not in done.stderr
    finally:
        os.close(write)


def test_a_result_that_cannot_be_written_names_the_stream(tmp_path: Path) -> None:
    code, shown = shell(tmp_path, LIST, "> /dev/full")
    assert code == 2 and shown.count("\n") == 1 and "'standard output'" in shown
