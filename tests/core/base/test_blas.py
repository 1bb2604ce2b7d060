"""Linear algebra of a search on one thread; the user's function keeps its own."""

from __future__ import annotations

import subprocess
import sys

import numpy  # noqa: F401  (its library is looked for)
import pytest

from pyswarmopt.base import blas

RUN = """
import sys
import numpy as np
import pyswarmopt as pso
from pyswarmopt.base import blas

((get_threads, set_threads),) = blas._libraries()
set_threads(int(sys.argv[1]))
seen = set()

def function(x):
    seen.add(get_threads())
    return float(((x - 0.3) ** 2).sum() + np.cos(3 * x).sum())

r = pso.minimize(function, [(-5, 5)] * 20, max_evals=130, seed=0)
print(r.fun.hex(), r.x.tobytes().hex(), sorted(seen), get_threads())
"""

bundled = pytest.mark.skipif(not blas._libraries(), reason="NumPy without a bundled OpenBLAS")


def of(threads: int) -> list[str]:
    command = [sys.executable, "-c", RUN, str(threads)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


@bundled
def test_a_search_has_the_same_bits_whatever_the_threads_and_leaves_them() -> None:
    one, four = of(1), of(4)
    assert one[:2] == four[:2]
    assert one[2:] == ["[1]", "1"] and four[2:] == ["[4]", "4"]


@bundled
def test_the_last_of_several_blocks_restores_the_threads() -> None:
    get_threads, _ = blas._libraries()[0]
    before = get_threads()
    first, second = blas.one_thread(), blas.one_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert get_threads() == 1
    second.__exit__(None, None, None)
    assert get_threads() == before
