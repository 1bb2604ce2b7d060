"""The directory of a comparison: its configuration, every score, every finished method.

`scores.jsonl` keys candidates by their weights: a method that was interrupted gets back what was
scored, and a candidate that another method has scored is charged but not scored again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pyswarmopt_groups import locked_directory as workplace
from pyswarmopt_llm.common.files.append_log import AppendLog
from pyswarmopt_llm.common.files.json_types import wrong_field
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_rivals.comparison.config import CompareConfig

FORMAT = 1
# What may differ between two calls that fill the same directory.
_FREE = ("methods", "seeds", "out", "device")


def patch_key(patch: Patch) -> str:
    """A digest of a candidate's weights."""
    digest = hashlib.blake2b(digest_size=16)
    for name, change in sorted(patch.low_rank.items()):
        digest.update(name.encode())
        for factor in (change.b, change.a):
            digest.update(repr(tuple(factor.shape)).encode())
            digest.update(factor.detach().cpu().contiguous().numpy().tobytes())
    for kind, part in (("", patch.dense), ("change of ", patch.full_rank)):
        for name, value in sorted(part.items()):
            digest.update(f"{kind}{name}".encode())
            digest.update(value.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


class Store:
    """An open directory, or memory alone if `path` is None.

    `scores` maps (task, kind, key) to a row of ``scores.jsonl``; kinds are ``dev``, ``dev I,I,...``
    (these dev items alone), ``test``, ``loss``, and names that begin with ``modelled``. `outcomes`
    maps (task, method, seed) to a row of ``outcomes.jsonl``.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._scores = _log(path, "scores.jsonl", {"task": str, "kind": str, "key": str})
        self._outcomes = _log(path, "outcomes.jsonl", {"task": str, "method": str, "seed": int})
        self.scores = {
            (row["task"], row["kind"], row["key"]): row for row in self._scores.repaired()
        }
        self.outcomes = {
            (row["task"], row["method"], row["seed"]): row for row in self._outcomes.repaired()
        }

    def add_score(self, row: Mapping[str, Any]) -> None:
        """Write a row of ``scores.jsonl``."""
        self._scores.append(row)
        self.scores[row["task"], row["kind"], row["key"]] = dict(row)

    def add_outcome(self, row: Mapping[str, Any]) -> None:
        """Write a row of ``outcomes.jsonl``."""
        self._outcomes.append(row)
        self.outcomes[row["task"], row["method"], row["seed"]] = dict(row)


def _log(path: Path | None, name: str, shape: Mapping[str, Any]) -> AppendLog:
    """The log of that name, whose rows have at least these fields."""
    return AppendLog(
        None if path is None else path / name, wrong=lambda row: wrong_field(row, shape)
    )


def check_place(config: CompareConfig) -> None:
    """Refuse a directory that holds something other than a comparison of the same things."""
    workplace.check_place(user_path(config.out), asdict(config), _FREE, FORMAT, "a comparison")


@contextmanager
def opened(
    config: CompareConfig, fingerprints: Mapping[str, Any], versions: Mapping[str, str]
) -> Iterator[Store]:
    """Create or resume the directory, locked against a second process."""
    path = user_path(config.out)
    about = {
        "format": FORMAT,
        "config": asdict(config),
        "fingerprints": fingerprints,
        "versions": versions,
    }
    with workplace.opened_place(path, about, "a comparison"):
        yield Store(path)
