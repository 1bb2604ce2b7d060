"""A swarm whose arrays are files: the same search to the bit, in little memory, and errors that come early."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pyswarmopt as pso
from pyswarmopt.base import blocks, checkpoint, storage
from pyswarmopt.base.storage import Storage, StorageError
from pyswarmopt.engine import buffers, chunked
from pyswarmopt.parts.restart import RestartSwarm

BOUNDS = [(-2, 2), (0, 3), (-1, 9), (-5, 0), (3, 4)]
OWN = pso.Term("own", 0.3, lambda s: s.p[::-1] - s.x, "scalar", looks_at="column")
BY_BLOCKS = {
    "model_swarms": pso.recipes.model_swarms(restart_patience=2),
    "model_swarms reference": pso.recipes.model_swarms(restart_patience=2, compat="reference"),
    "inertia_weight": pso.recipes.inertia_weight(max_velocity=0.5),
    "fips": pso.recipes.fips(),
    "own term": pso.compose((pso.inertia(0.6), OWN), boundary=pso.boundary.resample),
    "growing": replace(pso.recipes.constriction(), name="growing", restart=(RestartSwarm(patience=2),), options=None),
}
BY_BLOCKS |= {f"constriction {name}": pso.recipes.constriction(topology=name) for name in pso.topology.TOPOLOGIES}
WHOLE = ["bare_bones", "clpso", "covariant", "spso2011", "surrogate"]


@pytest.fixture
def small(monkeypatch):
    """Everything is mapped, lent, and cut into blocks of a few numbers, as large swarms are."""
    monkeypatch.setattr(storage, "MAPPED_FROM", 1)
    monkeypatch.setattr(buffers, "LENT_FROM", 0)
    monkeypatch.setattr(blocks, "BLOCK", 3)
    monkeypatch.setattr(chunked, "BLOCK", 4)
    chunked.blocks_of.cache_clear()
    yield
    chunked.blocks_of.cache_clear()


def ripples(x: torch.Tensor) -> torch.Tensor:
    return ((x - 1.5) ** 2).sum(-1) + torch.cos(4 * x).sum(-1)


def same(a: pso.Swarm, b: pso.Swarm) -> bool:
    left, right = a.state_dict(), b.state_dict()
    return left.keys() == right.keys() and all(
        torch.equal(left[k].double().nan_to_num(), right[k].double().nan_to_num())
        if isinstance(left[k], torch.Tensor)
        else left[k] == right[k]
        for k in left
    )


def mapped(folder: Path) -> int:
    """Mapped files of the folder."""
    return sum(f"{folder}/" in line for line in Path("/proc/self/maps").read_text().splitlines())


on_linux = pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="counts the mappings that Linux lists")


# --- the same search ---


@pytest.mark.parametrize("recipe", BY_BLOCKS.values(), ids=BY_BLOCKS.keys())
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_search_is_the_same_to_the_bit(small, tmp_path, recipe, dtype):
    def run(swarm: pso.Swarm) -> pso.Swarm:
        for k in range(14):
            x = swarm.ask()
            if k % 4 == 2:  # repaired elsewhere, and told so
                x = x.numpy().round(2)
            dropped = np.arange(len(x)) == k % len(x) if k % 3 == 0 else None
            swarm.tell(x, ripples(torch.as_tensor(x)), dropped, repaired=k % 4 == 2)
            held.append((x, torch.as_tensor(x).clone()))
        swarm.revalue(swarm.personal_best_values[::-1].copy())
        for ticket in swarm.tickets():
            swarm.tell(ticket, float(ripples(ticket.x)))
        return swarm

    held: list = []
    options = {"bounds": BOUNDS, "population": 7, "recipe": recipe, "seed": 3, "dtype": dtype, "maximize": True}
    in_memory, on_disk = pso.Swarm(**options), pso.Swarm(**options, offload_folder=tmp_path)
    assert same(in_memory, on_disk)  # the start
    assert same(run(in_memory), run(on_disk))
    assert all(torch.equal(torch.as_tensor(x), copy) for x, copy in held)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["model_swarms", "constriction ring", "growing"])
def test_particles_move_one_by_one_as_in_memory(small, tmp_path, name):
    def run(folder: Path | None) -> pso.Swarm:
        swarm = pso.Swarm(bounds=BOUNDS, population=4, recipe=BY_BLOCKS[name], seed=3, offload_folder=folder)
        for _ in range(40):
            ticket = swarm.ask_one()
            swarm.tell(ticket, float(ripples(ticket.x)))
        return swarm

    assert same(run(None), run(tmp_path))


@pytest.mark.parametrize("name", ["model_swarms", "growing", "fips"])
def test_a_saved_swarm_goes_on_in_memory_and_on_disk(small, tmp_path, name):
    def drive(swarm: pso.Swarm, rounds: int) -> pso.Swarm:
        for _ in range(rounds):
            x = swarm.ask()
            swarm.tell(x, ripples(x))
        return swarm

    def loaded(folder: Path | None) -> pso.Swarm:
        return pso.Swarm.load(tmp_path / "swarm.npz", replace(recipe, options=None), offload_folder=folder)

    (scratch := tmp_path / "scratch").mkdir()
    recipe = replace(BY_BLOCKS[name], options=None)
    options = {"bounds": BOUNDS, "population": 7, "recipe": recipe, "seed": 3, "dtype": torch.float32}
    whole, half = drive(pso.Swarm(**options), 12), drive(pso.Swarm(**options, offload_folder=scratch), 5)
    half.save(tmp_path / "swarm.npz")
    assert same(drive(loaded(None), 7), whole) and same(drive(loaded(scratch), 7), whole)
    other = pso.Swarm(**{**options, "seed": 4}, offload_folder=scratch)
    other.load_state_dict(half.state_dict())
    assert same(drive(other, 7), whole) and same(drive(half, 7), whole)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    given=st.integers(0, 4),
    added=st.integers(0, 5),
    dim=st.integers(1, 9),
    size=st.integers(1, 12),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    launch=st.sampled_from(["TowardsPartner", "towards_anywhere"]),
    between=st.booleans(),
    seed=st.integers(0, 99),
)
def test_starts_are_what_the_formulas_give_at_once(tmp_path, given, added, dim, size, dtype, launch, between, seed):
    """The starts and velocities of `initialise`, written down for whole arrays."""
    n = max(given + added, 1)
    low, high = torch.arange(dim) - 4.0, torch.arange(dim) + 0.5
    start = torch.rand((given, dim), generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64) + low
    g = torch.Generator().manual_seed(seed)

    def in_the_box(count: int) -> torch.Tensor:
        u = torch.rand((count, dim), generator=g, dtype=torch.float64).to(dtype)
        return low.to(dtype) + u * (high - low).to(dtype)

    x = start.to(dtype)
    if n > given and between and given > 1:
        u = torch.rand((n - given, 3), generator=g, dtype=torch.float64)
        a = (u[:, 0] * given).long()
        b = (a + 1 + (u[:, 1] * (given - 1)).long()) % given
        t = u[:, 2:].to(dtype)
        x = torch.cat([x, t * x[a] + (1 - t) * x[b]])
    elif n > given:
        x = torch.cat([x, in_the_box(n - given)])
    if launch == "towards_anywhere":
        v = in_the_box(n) - x
    elif n > 1:
        u = torch.rand(n, generator=g, dtype=torch.float64)
        v = x[(torch.arange(n) + 1 + (u * (n - 1)).long()) % n] - x
    else:
        v = torch.zeros_like(x)

    kinds = {"TowardsPartner": pso.initialise.TowardsPartner(), "towards_anywhere": pso.initialise.towards_anywhere}
    populate = pso.initialise.Interpolate() if between else pso.initialise.uniform
    recipe = pso.compose((pso.inertia(0.5),), populate=populate, launch=kinds[launch])
    before = blocks.BLOCK, storage.MAPPED_FROM
    blocks.BLOCK, storage.MAPPED_FROM = size, 1
    try:
        swarm = pso.Swarm(
            bounds=(low, high), positions=start if given else None, population=n, recipe=recipe, dtype=dtype,
            seed=seed, offload_folder=tmp_path,
        )  # fmt: skip
    finally:
        blocks.BLOCK, storage.MAPPED_FROM = before
    assert torch.equal(swarm.positions, x) and torch.equal(swarm.velocities, v)


@given(n=st.integers(1, 30), dim=st.integers(1, 200), size=st.integers(1, 400))
@settings(deadline=None)
def test_blocks_cover_an_array_in_the_order_of_its_memory(n, dim, size):
    before, blocks.BLOCK = blocks.BLOCK, size
    try:
        array = np.arange(n * dim).reshape(n, dim)
        parts = [array[block].ravel() for block in blocks.blocks(n, dim)]
    finally:
        blocks.BLOCK = before
    assert np.concatenate(parts).tolist() == list(range(n * dim)) and max(map(len, parts)) <= size


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_starting_points_are_checked_wherever_they_are(small, tmp_path, wrong):
    start = np.memmap(tmp_path / "start.npy", np.float32, "w+", shape=(4, 7))
    start[2, 6] = wrong
    with pytest.raises(ValueError, match=r"positions\[2\] holds a value that is not finite"):
        pso.Swarm(positions=start, offload_folder=tmp_path)
    start[2, 6] = 0.5
    start.flags.writeable = False
    assert pso.Swarm(positions=start, offload_folder=tmp_path).positions[2, 6] == 0.5


# --- files ---


@on_linux
def test_the_arrays_are_files_without_names_and_go_with_the_swarm(small, tmp_path):
    swarm = pso.Swarm(bounds=BOUNDS, population=4, seed=0, offload_folder=tmp_path)
    assert mapped(tmp_path) == 9  # x twice, v, p, three points, two bounds
    other = pso.Swarm(bounds=BOUNDS, population=4, seed=1, offload_folder=tmp_path)  # they do not meet
    assert mapped(tmp_path) == 18 and not torch.equal(swarm.positions, other.positions)
    held = swarm.ask()
    del swarm, other
    assert mapped(tmp_path) == 1
    del held
    assert mapped(tmp_path) == 0 and os.listdir(tmp_path) == []


@on_linux
def test_a_swarm_that_is_replaced_leaves_its_room_to_the_next(small, tmp_path):
    swarm = pso.Swarm(bounds=BOUNDS, recipe=BY_BLOCKS["growing"], population=3, seed=0, offload_folder=tmp_path)
    sizes = set()
    for _ in range(30):
        x = swarm.ask()
        sizes.add(len(x))
        swarm.tell(x, torch.zeros(len(x)))
        del x
    assert len(sizes) > 3 and mapped(tmp_path) <= 9


def test_small_tensors_stay_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(Storage, "_map", None)
    made = Storage()
    made.folder = tmp_path
    assert made.empty((2**18 - 1,), torch.float32).numel() == 2**18 - 1
    with pytest.raises(TypeError):
        made.empty((2**18,), torch.float32)


def test_without_a_way_to_reserve_zeros_are_written(small, tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate")
    assert not Storage(tmp_path).empty((3, 2**20), torch.uint8).any()


# --- what does not work, in one line ---


def full(file: int, start: int, size: int) -> None:
    """`posix_fallocate` on a disk that has room for a byte."""
    if size > 1:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.ftruncate(file, size)


def test_a_disk_without_room_is_noticed_before_the_first_evaluation(small, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=f"offload_folder='{tmp_path}': no room for 1.6e-07 GB more .*are free") as caught:
        pso.Swarm(positions=np.zeros((4, 5)), seed=0, offload_folder=tmp_path)
    assert caught.value.errno == errno.ENOSPC and os.listdir(tmp_path) == []


def test_once_begun_a_swarm_needs_no_more_room(small, tmp_path, monkeypatch):
    swarm = pso.Swarm(bounds=BOUNDS, recipe="model_swarms", population=4, seed=0, offload_folder=tmp_path)
    monkeypatch.setattr(os, "posix_fallocate", full)
    x = swarm.ask()
    for _ in range(5):
        swarm.tell(x, ripples(x))
        x = swarm.ask()  # the former ones are held while it moves
    kept = x[0]
    swarm.tell(x, ripples(x))
    x = swarm.ask()
    before = x.clone()
    swarm.tell(x, ripples(x))
    with pytest.raises(StorageError, match="no room"):  # three arrays of positions are one too many
        swarm.ask()
    monkeypatch.undo()
    assert torch.equal(x, before) and len(kept) == 5
    swarm.ask()


def test_a_file_is_not_called_damaged_where_the_disk_is_full(small, tmp_path, monkeypatch):
    pso.Swarm(bounds=BOUNDS, seed=0).save(tmp_path / "s")
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageError, match="no room"):
        pso.Swarm.load(tmp_path / "s", offload_folder=tmp_path)


def test_a_folder_that_is_none_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for name, reason in (("nowhere", "No such file or directory"), ("file", "Not a directory")):
        with pytest.raises(StorageError, match=f"offload_folder='{tmp_path / name}': {reason}"):
            pso.Swarm(bounds=BOUNDS, offload_folder=tmp_path / name)


@pytest.mark.parametrize("recipe", WHOLE)
def test_a_recipe_that_moves_the_swarm_as_a_whole_is_refused(tmp_path, recipe):
    with pytest.raises(ValueError, match=f"recipe {recipe!r} moves a swarm as a whole"):
        pso.Swarm(bounds=BOUNDS, recipe=recipe, offload_folder=tmp_path)


def test_every_recipe_is_offloaded_or_refused():
    assert set(pso.recipes.RECIPES) <= {*WHOLE, "constriction", "fips", "inertia_weight", "model_swarms"}
    assert all(pso.recipes.get(name).by_blocks == (name not in WHOLE) for name in pso.recipes.RECIPES)


def test_terms_that_look_at_all_and_dtypes_that_numpy_lacks_are_refused(tmp_path):
    centre = pso.compose((pso.inertia(0.5), pso.Term("centre", 0.1, lambda s: s.p.mean(0) - s.x)), name="centred")
    with pytest.raises(ValueError, match=r"'centred'.*looks_at"):
        pso.Swarm(bounds=BOUNDS, recipe=centre, offload_folder=tmp_path)
    with pytest.raises(ValueError, match=r"not torch\.bfloat16 on cpu"):
        pso.Swarm(bounds=BOUNDS, dtype=torch.bfloat16, offload_folder=tmp_path)


# --- memory ---


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads and limits memory as Linux counts it")
@pytest.mark.parametrize("name", ["constriction", "model_swarms"])
def test_memory_stays_far_below_the_size_of_the_arrays(tmp_path, name):
    """Anonymous memory, limited by the system to a third less than the test allows, so that no peak is missed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    script = Path(__file__).parents[1] / "helpers" / "offload_memory.py"
    command = [sys.executable, str(script), name, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    share, finite, restarts = map(float, done.stdout.split())
    assert share < 0.3 and finite and restarts >= 2
    assert os.listdir(tmp_path) == ["swarm.npz"]


def test_a_checkpoint_is_one_that_numpy_reads(tmp_path):
    checkpoint.write(tmp_path / "s.npz", {"x": torch.arange(6.0).reshape(2, 3), "empty": torch.ones((0, 2)), "n": 1})
    with np.load(tmp_path / "s.npz", allow_pickle=False) as file:
        assert file["x"].tolist() == [[0, 1, 2], [3, 4, 5]] and file["empty"].shape == (0, 2)
