"""Where no tensor and no device is given, searches and swarms need NumPy alone, and find the same to
the last bit.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from light_searches import searches

import pyswarmopt as pso

SCRIPT = Path(__file__).parent / "helpers" / "light_searches.py"
BLOCK = (
    "import sys; sys.modules['torch'] = None; import pyswarmopt as pso; f = lambda x: "
    "float((x**2).sum()); "
)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)


def test_searches_without_torch_find_what_they_find_beside_it():
    import torch

    assert torch is not None
    done = run(str(SCRIPT))
    assert done.returncode == 0, done.stderr
    alone = json.loads(done.stdout)
    assert alone == searches()
    assert alone["resumed"] == alone["whole"]


def test_the_default_imports_numpy_alone():
    code = (
        "import sys, numpy.random, concurrent.futures.process; before = set(sys.modules); import "
        "pyswarmopt as pso; "
        "r = pso.minimize(pso.functions.sphere, [(-5, 5)] * 10, max_evals=300, seed=1); str(r); "
        "print(*{m.split('.')[0] for m in set(sys.modules) - before} - "
        "set(sys.stdlib_module_names))"
    )
    assert set(run("-c", code).stdout.split()) <= {"pyswarmopt", "numpy"}


def test_a_search_begins_without_what_it_does_not_use():
    code = (
        "import sys, pyswarmopt as pso; f = lambda x: float((x**2).sum()); "
        "pso.minimize(f, [(-5, 5)] * 3, max_evals=60, seed=1); print(*sys.modules)"
    )
    spared = {f"pyswarmopt.driver.{name}" for name in ("problem.space", "resampling")}
    assert not (spared | {"numpy.ma", "logging"}) & set(run("-c", code).stdout.split())


@pytest.mark.parametrize(
    ("use", "what"),
    [
        ("pso.FlatView", "pyswarmopt.FlatView"),
        ("pso.Swarm(bounds=[(0, 1)], device='cpu')", "device='cpu'"),
    ],
)
def test_what_needs_torch_says_so_in_one_line(use, what):
    done = run("-c", BLOCK + use)
    last = done.stderr.rstrip().split("\n")[-1]
    assert done.returncode == 1 and last.startswith(f"ImportError: {what}")
    assert last.endswith("install the extra 'torch'")


def test_an_error_of_the_objective_is_raised_as_it_is():
    done = run("-c", BLOCK + "pso.minimize(lambda x: x.abs(), [(0, 1)] * 2)")
    error = done.stderr.rstrip().split("\n")[-1]
    assert error == "AttributeError: 'numpy.ndarray' object has no attribute 'abs'"


def test_a_swarm_of_tensors_is_not_loaded_as_one_of_arrays(tmp_path):
    import torch

    swarm = pso.Swarm(bounds=[(0, 1)], seed=0, dtype=torch.float64)
    swarm.save(tmp_path / "s")
    done = run("-c", BLOCK + f"pso.Swarm.load({str(tmp_path / 's')!r})")
    assert done.stderr.rstrip().split("\n")[-1].startswith("ImportError: the swarm in ")
