"""Saving and going on: N + M rounds are N rounds, save, load, M rounds, to the bit; the file is
whole or absent.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from swarm_runs import drive, same_state

import pyswarmopt as pso
from pyswarmopt.base import checkpoint
from pyswarmopt.base.files import machine


def ripples(x: np.ndarray) -> np.ndarray:
    return (x**2).sum(-1) + np.cos(5 * x).sum(-1)


def test_a_half_told_round_of_tickets_is_kept(tmp_path):
    def fresh() -> pso.Swarm:
        return pso.Swarm(bounds=[(-5, 5)] * 2, population=4, seed=1)

    whole, half = drive(fresh(), ripples, 2), drive(fresh(), ripples, 1)
    for ticket in half.ask(4)[::2]:
        half.tell(ticket, float(ripples(ticket.x)))
    half.save(tmp_path / "s")
    loaded = pso.Swarm.load(tmp_path / "s")
    for ticket in loaded.pending:
        loaded.tell(ticket, float(ripples(ticket.x)))
    assert np.array_equal(loaded.ask(), whole.ask())


STATES = [
    {},
    {"x": torch.tensor([1.5, -0.0, math.nan]), "n": 3, "f": 0.1 + 0.2, "deep": {"a": [None, "b"]}},
    {"b": torch.tensor([True, False]), "h": torch.tensor([[1.0078125]], dtype=torch.bfloat16)},
]


@pytest.mark.parametrize("state", STATES)
def test_a_checkpoint_reads_back_to_the_bit(tmp_path, state):
    checkpoint.write(tmp_path / "c", state)
    back = checkpoint.read(tmp_path / "c")
    assert back.keys() == state.keys()
    for name, value in state.items():
        if isinstance(value, torch.Tensor):
            assert back[name].dtype == value.dtype and back[name].shape == value.shape
            as_bytes = [t.contiguous().view(torch.uint8).tolist() for t in (back[name], value)]
            assert as_bytes[0] == as_bytes[1]
        else:
            assert back[name] == value


@pytest.mark.skipif(os.name == "nt", reason="no limits of resources")
def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path):
    """Files cannot grow beyond a few bytes, as on a full disk."""
    import resource

    path = tmp_path / "c"
    checkpoint.write(path, {"n": 1})
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, most))
        with pytest.raises(OSError, match="too large"):
            checkpoint.write(path, {"n": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))
    assert checkpoint.read(path) == {"n": 1} and os.listdir(tmp_path) == ["c"]


def test_what_a_killed_writer_left_is_swept_up_by_the_next(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    here = machine()
    (tmp_path / f".c.npz.{here}-{gone.pid}.tmp").write_bytes(b"half of it")
    kept = [
        f".other.npz.{here}-{gone.pid}.tmp",
        f".c.npz.{here}-{os.getppid()}.tmp",  # of a process that still writes
        f".c.npz.0123abcd-{gone.pid}.tmp",  # of one in another container
        f".c.npz.npz.{here}-{gone.pid}.tmp",  # of the checkpoint c.npz.npz
        "c.npz.tmp",  # the user's
    ]
    for name in kept:
        (tmp_path / name).write_bytes(b"of another")
    checkpoint.write(checkpoint.checked_path(tmp_path / "c.npz"), {"n": 1})
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([*kept, "c.npz"])


def test_a_composition_of_ones_own_is_loaded_with_its_recipe(tmp_path):
    recipe = pso.compose(terms=(pso.inertia(0.7), pso.social(1.5)), name="mine")
    swarm = drive(pso.Swarm(bounds=[(-5, 5)] * 2, recipe=recipe, seed=0), ripples, 5)
    swarm.save(tmp_path / "s")
    with pytest.raises(ValueError, match="recipe 'mine'"):
        pso.Swarm.load(tmp_path / "s")
    yours = pso.compose(terms=(pso.inertia(0.1), pso.social(0.5)), name="yours")
    with pytest.raises(ValueError, match=r"'mine'.*'yours'"):
        pso.Swarm.load(tmp_path / "s", recipe=yours)
    loaded = pso.Swarm.load(tmp_path / "s", recipe=recipe)
    assert same_state(drive(loaded, ripples, 5), drive(swarm, ripples, 5))
    other = pso.Swarm(bounds=[(-5, 5)] * 2, recipe="constriction")
    with pytest.raises(ValueError, match="mine"):
        other.load_state_dict(swarm.state_dict())
