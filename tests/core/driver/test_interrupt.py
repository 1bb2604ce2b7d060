"""Ctrl-C gives back what was found so far, and the search can be resumed."""

from __future__ import annotations

import math
import signal
import subprocess
import sys

import numpy as np
import pytest
from swarm_runs import Fails, same_result

import pyswarmopt as pso
from pyswarmopt.base import checkpoint
from pyswarmopt.driver import search

BOX = [(-4.0, 4.0)] * 3


def bowl(x):
    """Rough: it looks like noise, but depends on x only."""
    return float(((x - 0.5) ** 2).sum()) + 0.1 * math.sin(1e6 * float(x.sum()))


WAYS = [
    {}, {"recipe": "constriction", "population": 5}, {"workers": 2},
    {"asynchronous": True, "population": 5}, {"asynchronous": True, "population": 5, "workers": 3},
    {"noisy": True, "population": 5}, {"progress": True},
]  # fmt: skip


@pytest.mark.parametrize("how", WAYS)
def test_the_result_so_far_is_given_back_and_the_search_goes_on_from_its_checkpoint(tmp_path, how):
    arguments = {"bounds": BOX, "max_evals": 120, "seed": 3, **how}
    fun, path = Fails(bowl, 60, KeyboardInterrupt), tmp_path / "c.npz"
    r = pso.minimize(fun, checkpoint=path, **arguments)
    assert (r.success, r.message, r.stop) == (False, "interrupted", {"interrupted": 1.0})
    assert r.fun == pytest.approx(bowl(r.x), abs=1e-12)
    assert r.fun in fun.values and 40 <= r.nfev <= 60
    resumed = pso.minimize(bowl, checkpoint=path, **arguments)
    assert resumed.success and resumed.nfev == 120 and "max_evals" in resumed.stop
    if how.get("workers", 1) == 1:
        assert same_result(resumed, pso.minimize(bowl, **arguments))


def test_a_second_interrupt_within_a_second_ends_the_program(monkeypatch):
    """By signals: an objective that raises KeyboardInterrupt is no Ctrl-C."""

    def interrupted():
        signals = [signal.SIGINT]

        def fun(x):
            if signals:
                signal.raise_signal(signals.pop())
            return bowl(x)

        return pso.minimize(fun, BOX, seed=0, max_evals=20).status

    now = [100.0]
    monkeypatch.setattr(search.Interrupts, "latest", -math.inf)
    monkeypatch.setattr(search.time, "monotonic", lambda: now[0])
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert interrupted() == "interrupted"
        now[0] += 0.9
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        now[0] += 5
        assert interrupted() == "interrupted"
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    for _ in range(2):
        r = pso.minimize(Fails(bowl, 5, KeyboardInterrupt), BOX, seed=0, max_evals=20)
        assert r.status == "interrupted"


class Drawn:
    """Noise that follows from a point and from how often it was drawn before."""

    def __init__(self, at: int | None = None) -> None:
        self.points, self.at = [], at

    def __call__(self, x):
        if len(self.points) == self.at:
            raise KeyboardInterrupt
        key = x.tobytes()
        seed = [self.points.count(key), *np.frombuffer(key, np.uint32).tolist()]
        self.points.append(key)
        return float(x @ x) + np.random.default_rng(seed).normal()


def test_a_noisy_search_goes_on_with_the_draws_of_each_point(tmp_path):
    arguments = {"noisy": True, "recipe": "constriction", "population": 6, "max_evals": 400}
    arguments |= {"bounds": BOX, "seed": 1, "vectorized": False}
    fun, path = Drawn(at=200), tmp_path / "c.npz"
    pso.minimize(fun, checkpoint=path, **arguments)
    del fun.points[int(checkpoint.read(path)["evaluator.calls"]) :]  # what is drawn again
    fun.at = None
    resumed = pso.minimize(fun, checkpoint=path, **arguments)
    assert same_result(resumed, pso.minimize(Drawn(), **arguments))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="has no such signal")
def test_workers_that_are_processes_are_not_waited_for(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import os, pathlib, signal, time\n"
        "def fun(x):\n"
        "    if len(list(pathlib.Path('seen').iterdir())) >= 12:\n"
        "        try:\n"
        # once, by whichever process comes first
        "            pathlib.Path('sent').touch(exist_ok=False)\n"
        "            os.kill(os.getppid(), signal.SIGINT)\n"
        "        except FileExistsError:\n"
        "            pass\n"
        # until the search has come back, which it must do without it
        "        for _ in range(200):\n"
        "            if pathlib.Path('back').exists():\n"
        "                break\n"
        "            time.sleep(0.05)\n"
        "    pathlib.Path('seen', str(os.getpid()) + str(time.time_ns())).touch()\n"
        "    return float((x**2).sum())\n"
    )
    (tmp_path / "main.py").write_text(
        "import pyswarmopt as pso, mine\n"
        "import signal\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "if __name__ == '__main__':\n"
        # a shell's background job ignores it
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "    r = pso.minimize(mine.fun, [(-1, 1)] * 2, population=5, max_evals=500, seed=1, "
        "workers=ProcessPoolExecutor(2),"
        " recipe='constriction')\n"
        "    open('back', 'x').close()\n"
        "    print(r.message, r.success, r.nfev)\n"
    )
    (tmp_path / "seen").mkdir()
    done = subprocess.run(
        [sys.executable, "main.py"], cwd=tmp_path, capture_output=True, text=True, timeout=600
    )
    assert done.stdout.split() == ["interrupted", "False", "10"] and done.returncode == 0, (
        done.stderr
    )
