"""What the command line loads, and completion."""

from __future__ import annotations

import os
import subprocess
import sys


def test_a_command_loads_no_package_beside_the_layer() -> None:
    script = """
import sys
from pyswarmopt_llm.cli.app import main
try:
    main(["predict", "--help"])
except SystemExit:
    sys.exit(any(name.startswith(("pyswarmopt_rivals", "pyswarmopt_groups")) for name in sys.modules))
"""
    assert subprocess.run([sys.executable, "-c", script], capture_output=True).returncode == 0


def in_a_process(call: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"from pyswarmopt_llm.cli.app import main; {call}"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_shell_completes_options() -> None:
    words = "swarm-llm search --part"
    asked = {
        "_SWARM_LLM_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    done = in_a_process("main()", asked)
    assert done.stdout.split() == ["--particles"], done.stderr
