"""Checkpoints that were damaged, or made by a stranger: one ValueError that names the file, and
nothing else.
"""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from swarm_runs import bowl

import pyswarmopt as pso
from pyswarmopt.base import checkpoint

BOX = [(-4.0, 4.0)] * 2
RECIPES = {
    "swarm": "constriction",
    "random links": "spso2011",
    "clpso": "clpso",
}
KINDS = [*RECIPES, "ring one by one", "default", "search", "noisy", "multi"]


def front(x):
    return x[0] ** 2, (x[0] - 2) ** 2


def driven(swarm: Any, rounds: int = 4) -> Any:
    for _ in range(rounds):
        x = swarm.ask()
        swarm.tell(x, (x**2).sum(-1))
    return swarm


def search(path: Path, **more: Any) -> Any:
    options = {"max_evals": 60, "seed": 1, "checkpoint": path} | more
    return pso.minimize(bowl, BOX, **options)


def write(kind: str, path: Path) -> None:
    """A good file of that kind."""
    if kind in RECIPES:
        driven(pso.Swarm(bounds=BOX, population=5, recipe=RECIPES[kind], seed=1)).save(path)
    elif kind == "ring one by one":
        swarm = driven(pso.Swarm(bounds=BOX, population=5, seed=1))
        for ticket in swarm.ask(3):
            swarm.tell(ticket, float((ticket.x**2).sum()))
        swarm.save(path)
    else:
        read(kind, path)


def read(kind: str, path: Path) -> None:
    """Take a file of that kind up and go on."""
    if kind == "multi":
        pso.minimize_multi(front, BOX, 2, population=10, max_evals=50, seed=1, checkpoint=path)
    elif kind == "noisy":
        search(path, noisy=True, history="particles")
    elif kind == "search":
        search(path, recipe="constriction")
    elif kind == "default":
        search(path, max_evals=500)
    elif kind == "ring one by one":
        swarm = pso.Swarm.load(path)
        swarm.tell(swarm.ask(1)[0], 1.0)
    else:
        driven(pso.Swarm.load(path), 2)


def refused(kind: str, path: Path) -> str:
    with pytest.raises(ValueError, match=path.name) as caught:
        read(kind, path)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 600, text
    return text


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> dict[str, dict[str, Any]]:
    """What a good file of each kind holds."""
    folder = tmp_path_factory.mktemp("good")
    for kind in KINDS:
        write(kind, folder / kind)
    return {kind: checkpoint.read(folder / kind) for kind in KINDS}


# --- the container ---


def archive(
    path: Path, header: bytes = b"", compression: int = zipfile.ZIP_STORED, **arrays: bytes
) -> None:
    def npy(array: np.ndarray) -> bytes:
        made = io.BytesIO()
        np.save(made, array)
        return made.getvalue()

    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("header.json.npy", npy(np.frombuffer(header, np.uint8)))
        for name, content in arrays.items():
            file.writestr(f"{name}.npy", content)


def array_header(text: str, data: bytes = b"") -> bytes:
    filled = text.encode() + b" " * (117 - len(text)) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(filled).to_bytes(2, "little") + filled + data


PLAIN = {"format": 1, "values": {}, "bfloat16": []}


def described(descr: str, shape: str, data: bytes = b"") -> bytes:
    """An array of npy with this type and shape."""
    return array_header(f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}", data)


ARRAYS = {
    "another version of npy": b"\x93NUMPY\x02\x00" + array_header("{}")[8:],
    "objects": described("|O", "(1,)", b"\0" * 8),
    "text": described("<U2", "(1,)", b"\0" * 8),
    "of the other byte order": described(">f8", "(1,)", b"\0" * 8),
    "10^12 numbers": described("<f8", "(1000000000000,)", b"\0" * 8),
    "negative lengths": described("<f8", "(-1, -1)", b"\0" * 8),
    "no length but a huge one": described("<f8", "(0, 10**30)"),
    "lengths in parentheses": described("<f8", "(" * 60),
}


FOREIGN = {"text": b"hello", "empty": b"", "pickle": pickle.dumps({"x": 1})}


def damaged(name: str, good: bytes) -> bytes:
    """A file that was cut, that has a bit flipped, that holds one array, or that is no checkpoint."""
    if name == "half":
        return good[: len(good) // 2]
    if name == "flipped":
        at = good.index(np.float32(50.0).tobytes())
        return good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :]
    if name == "one array":
        made = io.BytesIO()
        np.save(made, np.zeros(3))
        return made.getvalue()
    return FOREIGN[name]


@pytest.mark.parametrize("name", ["half", "flipped", "one array", *FOREIGN])
def test_damaged_and_foreign_files(tmp_path, name):
    checkpoint.write(tmp_path / "good", {"x": torch.arange(100.0)})
    (tmp_path / "c").write_bytes(damaged(name, (tmp_path / "good").read_bytes()))
    refused("swarm", tmp_path / "c")


def test_a_file_that_is_not_there():
    with pytest.raises(FileNotFoundError, match="nowhere"):
        checkpoint.read("nowhere")


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(tmp_path, name):
    archive(tmp_path / "c", json.dumps(PLAIN).encode(), x=ARRAYS[name])
    for kind in ("swarm", "default"):  # read as tensors and as arrays
        assert "damaged" in refused(kind, tmp_path / "c")


# --- what is in it ---


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_file_is_taken_up(tmp_path, good, kind):
    checkpoint.write(tmp_path / "c", good[kind])
    read(kind, tmp_path / "c")


OPTIONAL = {
    "low",
    "options",
    "memory.links",
    "memory.exemplars",
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_entry_of_another_version_that_is_missing_is_named(tmp_path, good, kind):
    for name in sorted(good[kind].keys() - OPTIONAL):
        checkpoint.write(tmp_path / "c", {n: v for n, v in good[kind].items() if n != name})
        assert name.partition(".")[0] in refused(kind, tmp_path / "c")
