"""Try the package with other versions of torch and transformers, each pair in an environment of its
own.

    python tests/versions.py                  # both ends of the ranges in pyproject.toml
    python tests/versions.py 2.12.1,5.16.1    # that torch and transformers; or several pairs

Installs the extra `llm` beside the pair and runs the tests of `FILES`. For use before a release
(docs/how-to/release.md). pip's own settings hold: PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS lead to CPU builds
of torch, which are a fifth as large.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
# Where the package meets torch and transformers.
FILES = (
    "tests/core/swarm",
    "tests/core/base",
    "tests/llm/engine",
    "tests/llm/experts/test_experts_adapter.py",
    "tests/llm/searching/test_experts_train.py",
    "tests/llm/searching/test_search_run.py",
    "tests/llm/searching/test_search_train.py",
    "tests/llm/mix/test_spaces_mixing.py",
    "tests/llm/tokens",
)
Pair = tuple[str, str]


def ends(project: dict[str, Any]) -> list[Pair]:
    """What to ask pip for at the lower and at the upper end: the oldest versions, the newest in
    range.
    """
    listed = [
        line for extra in ("torch", "llm") for line in project["optional-dependencies"][extra]
    ]
    ranges = {one.name: one.specifier for one in map(Requirement, listed)}
    oldest, newest = [], []
    for name in ("torch", "transformers"):
        (least,) = (one.version for one in ranges[name] if one.operator == ">=")
        oldest.append(f"=={least}.*")
        newest.append(str(ranges[name]))
    return [(oldest[0], oldest[1]), (newest[0], newest[1])]


def passes(pair: Pair, folder: Path) -> bool:
    """Install the package with that pair and run the tests; prints what was installed and how they
    went.
    """
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    wanted = [
        f"torch{pair[0]}",
        f"transformers{pair[1]}",
        f"{ROOT}[llm]",
        "pytest",
        "hypothesis",
        "networkx",
    ]
    install = [python, "-m", "pip", "install", "--quiet", "--no-compile", *wanted]
    if subprocess.run(install, check=False).returncode != 0:
        return False
    found = (
        "import torch, transformers as t, numpy; print('torch', torch.__version__, "
        "'transformers', t.__version__)"
    )
    subprocess.run([python, "-c", found], check=True, cwd=folder)
    # The checkout's tests against the installed package: its own folders are not on the path.
    tests = [
        python,
        "-P",
        "-m",
        "pytest",
        "-q",
        "--hypothesis-profile=ci",
        "-m",
        "not model",
        *FILES,
    ]
    return (
        subprocess.run(
            tests, check=False, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}
        ).returncode
        == 0
    )


def main(words: list[str]) -> int:
    """Exit code: 0 if every pair passes."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pairs = [
        (f"=={torch}", f"=={own}") for torch, own in (word.split(",") for word in words)
    ] or ends(project)
    failed = []
    for pair in pairs:
        print(f"torch{pair[0]}, transformers{pair[1]}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            if not passes(pair, Path(folder)):
                failed.append(pair)
    print(f"{len(pairs) - len(failed)} of {len(pairs)} pairs pass", *failed, sep="\n")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
