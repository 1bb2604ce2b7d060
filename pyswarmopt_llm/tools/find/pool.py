"""The adapters of a pool: those that can be used, once each; why the others are left out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import read_text, user_path
from pyswarmopt_llm.common.interfaces import LowRank
from pyswarmopt_llm.experts.adapter import AdapterInfo, load_factors, read_adapter
from pyswarmopt_llm.experts.base import BaseModel
from pyswarmopt_llm.experts.compatibility import BaseFiles, unique_names
from pyswarmopt_llm.experts.files import refuse_unmatched

LIST = ".txt"
BOM = "\ufeff"  # with which Windows begins a text file
PARTS = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")


@dataclass(frozen=True)
class Candidate:
    """An adapter of a pool.

    Attributes:
        name: unique in the pool.
        path: its directory or hub id, as `search` takes it.
        info: without its weights.
        digest: of these.
    """

    name: str
    path: str
    info: AdapterInfo
    digest: str


@dataclass(frozen=True)
class Pool:
    """The adapters that are ranked, and those that are not.

    Attributes:
        candidates: in the order given; any two differ in their weights.
        left_out: name -> what is wrong with it.
        copies: name -> the candidate with the same weights.
    """

    candidates: tuple[Candidate, ...]
    left_out: Mapping[str, str]
    copies: Mapping[str, str]


def read_pool(specs: Sequence[str], base: BaseModel) -> Pool:
    """The pool that these stand for, see `adapter_paths`; every adapter is read once.

    Raises:
        UserError: a folder or a list has no adapters, or none of them can be used.
    """
    paths = adapter_paths(specs)
    files = BaseFiles(base)
    candidates: dict[str, Candidate] = {}
    left_out: dict[str, str] = {}
    copies: dict[str, str] = {}
    for name, path in zip(unique_names(paths), paths, strict=True):
        try:
            if user_path(path).is_dir() and not _is_adapter(user_path(path)):
                raise UserError(f"{path}: holds no adapter; check the path")
            info = read_adapter(path, name)
            errors = [p.text for p in files.problems(info) if p.severity == "error"]
            if errors:
                raise UserError(errors[0])
            weights = digest(load_factors(info))
        except UserError as error:
            left_out[name] = error.text
            continue
        first = candidates.setdefault(weights, Candidate(name, path, info, weights))
        if first.name != name:
            copies[name] = first.name
    if not candidates:
        name, why = next(iter(left_out.items()))
        raise UserError(f"no adapter can be used; {name}: {why}")
    return Pool(tuple(candidates.values()), left_out, copies)


def adapter_paths(specs: Sequence[str]) -> list[str]:
    """The adapters that directories, folders of them, hub ids and lists name, once each.

    A list is a .txt file with a directory or hub id on each line; a directory may be relative to
    the file's. Blank lines and those that begin with # are skipped. In a folder of adapters, what
    holds no file of an adapter is skipped.

    Raises:
        UserError: nothing is named, or a list cannot be read.
    """
    refuse_unmatched(specs)
    paths: list[str] = []
    for spec in specs:
        file = user_path(spec)
        paths += (
            _in_list(file) if file.suffix.lower() == LIST and file.is_file() else _in_folder(spec)
        )
    if not paths:
        raise UserError("no adapters given; name their directories, a folder of them, or a list")
    distinct: dict[str, str] = {}
    for path in paths:
        distinct.setdefault(os.path.abspath(user_path(path)), path)
    return list(distinct.values())


def _in_list(file: Path) -> Iterator[str]:
    """The adapters that the lines of a file name."""
    try:
        lines = [line.strip() for line in read_text(file).removeprefix(BOM).splitlines()]
    except OSError as error:
        raise UserError(
            f"{file}: cannot be read ({error.strerror}); check its permissions"
        ) from error
    named = [line for line in lines if line and not line.startswith("#")]
    if not named:
        raise UserError(f"{file}: names no adapters; write a directory or hub id on each line")
    for line in named:
        beside = file.parent / user_path(line)
        yield from _in_folder(str(beside) if beside.is_dir() else line)


def _in_folder(spec: str) -> list[str]:
    """The adapters in a folder, by name; another directory or hub id stands for itself."""
    folder = user_path(spec)
    if not folder.is_dir() or _is_adapter(folder):
        return [spec]
    return [str(child) for child in sorted(folder.iterdir()) if _is_adapter(child)] or [spec]


def _is_adapter(folder: Path) -> bool:
    """Whether a directory holds any file of an adapter."""
    return any((folder / name).is_file() for name in PARTS)


def digest(changes: Mapping[str, LowRank]) -> str:
    """A hash of weight changes: of their values, not of how their file stores them.

    Example:
        >>> import torch
        >>> change = LowRank(b=torch.ones(2, 1), a=torch.ones(1, 3))
        >>> twice = LowRank(b=torch.ones(2, 1) * 2, a=torch.ones(1, 3))
        >>> digest({"q": change}) == digest({"q": twice}), digest({"q": change}) == digest({"k": change})
        (False, False)
    """
    result = hashlib.sha256()
    for name in sorted(changes):
        change = changes[name]
        result.update(f"{name} {tuple(change.b.shape)} {tuple(change.a.shape)}".encode())
        result.update(change.b.numpy().tobytes())
        result.update(change.a.numpy().tobytes())
    return result.hexdigest()
