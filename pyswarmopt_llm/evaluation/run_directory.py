"""A run directory: configuration (`run.json`), every score (`history.jsonl`) and the result
(`result.json`).

The journal is the truth: `resume` replays the search and takes known scores from it
(docs/architecture.md).
"""

from __future__ import annotations

import errno
import hashlib
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor

import pyswarmopt as pso
from pyswarmopt.base.optimizer import ParticleOptimizer
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.append_log import AppendLog
from pyswarmopt_llm.common.files.json_types import wrong_field
from pyswarmopt_llm.common.files.regular import (
    read_text,
    refuse_links,
    write_json,
    write_text,
)
from pyswarmopt_llm.evaluation.record import Row, journal
from pyswarmopt_llm.evaluation.result import Result, read_result
from pyswarmopt_llm.evaluation.run_files import FORMAT, OWNER, About, read_about, this_process
from pyswarmopt_llm.models.files import atomic_directory

# Storage errors in mid-search: full, over quota, too large, read-only, removed, broken.
_STORAGE = frozenset(
    (
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EROFS,
        errno.EACCES,
        errno.EPERM,
        errno.ENOENT,
        errno.EIO,
    )
)


def position_key(position: Tensor) -> str:
    """A name for an exact position: equal to the bit, equal key.

    Example:
        >>> import torch
        >>> position_key(torch.tensor([1.0, 0.0])) == position_key(torch.tensor([1.0, 1e-30]))
        False
    """
    data = position.detach().to("cpu", torch.float64).contiguous().numpy().tobytes()
    return hashlib.blake2b(data, digest_size=16).hexdigest()


UNDEFINED = "not a number"  # a candidate's failure: its log-probabilities are none


class Journal:
    """A search's rows, in memory; a `Run` keeps them in files.

    Attributes:
        rows: in the order in which they were written.
        aside: those that workers finished out of order, before an earlier process ended.
    """

    rows: list[Row]
    aside: list[Row]

    def __init__(self) -> None:
        self.rows, self.aside = [], []

    @property
    def searched(self) -> list[Row]:
        """The rows of the search: not of trials, confirmation and training."""
        return [row for row in self.rows if row.phase == "search"]

    def note_failure(self, kind: str, text: str) -> None:
        """Record a worker's failure, or a candidate's."""

    def append(self, row: Row) -> None:
        """Keep a row."""
        self.rows.append(row)

    def set_aside(self, row: Row) -> None:
        """Keep a row that was finished out of order."""

    def forget_aside(self) -> None:
        """Forget those: all of them are in the journal now."""


class Run(Journal):
    """An open run directory.

    Attributes:
        path: the directory.
        about: content of ``run.json``.
        rows: the journal's rows, as of opening until the run is `locked`.
        aside: rows that workers finished out of order before an earlier process ended.
    """

    def __init__(self, path: Path, about: About) -> None:
        self.path, self.about = path, about
        self._open_journal(AppendLog.read)

    @classmethod
    def create(cls, path: Path, about: Mapping[str, Any]) -> Run:
        """Make the directory and its ``run.json``, both or neither.

        Raises:
            UserError: if something is there already, or it cannot be made.
        """
        check_new(path)
        try:
            with atomic_directory(path) as folder:
                (folder / "checkpoint").mkdir()
                write_json(folder / "run.json", {"format": FORMAT, **about})
        except OSError as error:
            raise UserError(
                f"{path}: cannot write there ({error.strerror}); choose another `out`"
            ) from error
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Run:
        """Open a run that was begun earlier.

        Raises:
            UserError: if it is not a run, is damaged, or was written by another version of this
                format.
        """
        return cls(path, read_about(path))

    @property
    def config(self) -> SearchConfig:
        """The configuration the run was begun with."""
        return self.about.config

    @property
    def result(self) -> Result | None:
        """The content of ``result.json``; None while the run, or its adapter, is not complete.

        Raises:
            UserError: the file is damaged.
        """
        return read_result(self.path)

    def check_fingerprints(self, now: Mapping[str, Any]) -> None:
        """Refuse to go on if base, experts or data are not what they were.

        Raises:
            UserError: names what changed.
        """
        before: Mapping[str, Any] = self.about.fingerprints
        for kind, value in now.items():
            old = before.get(kind)
            if old == value:
                continue
            changed = kind
            if isinstance(value, dict) and isinstance(old, dict):
                names = [
                    name for name in sorted({*value, *old}) if value.get(name) != old.get(name)
                ]
                changed = f"{kind} {', '.join(names)}"
            raise UserError(
                f"{self.path}: {changed} changed since the run began; put it back, or begin a "
                "new run"
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock this run, and repair the journal if its last line was cut off.

        The lock is the operating system's and is released when its holder dies, so it is never
        stale.

        Raises:
            UserError: locked by another process, or the directory contains links or is not
                writable, now or later.
        """
        lock, owner = FileLock(self.path / ".lock", timeout=0), self.path / OWNER
        try:
            self._refuse_links()
            lock.acquire()
        except Timeout as error:
            who = read_text(owner, limit=1000) if owner.exists() else "unknown"
            raise UserError(
                f"{self.path}: another process is at work on this run ({who}); wait for it or "
                "stop it"
            ) from error
        except OSError as error:
            raise UserError(
                f"{self.path}: cannot write there ({error.strerror}); check its permissions"
            ) from error
        try:
            write_text(owner, this_process())
            self._open_journal(AppendLog.repaired)
            yield
        except OSError as error:
            if error.errno not in _STORAGE:
                raise
            raise UserError(
                f"{self.path}: cannot write there ({error.strerror}); every score so far is kept: "
                "put that right, "
                f"then go on with `swarm-llm resume {shlex.quote(str(self.path))}`"
            ) from error
        finally:
            with suppress(OSError):
                owner.unlink(missing_ok=True)
            lock.release()

    def _refuse_links(self) -> None:
        """An untrusted run may contain links in place of files that are about to be written."""
        refuse_links(self.path)
        for name in ("checkpoint", "best", "front", "tensorboard"):
            if (self.path / name).is_dir():
                refuse_links(self.path / name)

    def _open_journal(self, read: Callable[[AppendLog], list[dict[str, Any]]]) -> None:
        self._journal, self._set_aside = (
            journal(self.path / "history.jsonl"),
            journal(self.path / "ahead.jsonl"),
        )
        self.rows, self.aside = (
            [Row.from_json(row) for row in read(log)] for log in (self._journal, self._set_aside)
        )

    def append(self, row: Row) -> None:
        """Add one line to the journal and flush it to disk."""
        self._journal.append(row.to_json())
        self.rows.append(row)

    def set_aside(self, row: Row) -> None:
        """Store a row that was finished out of order."""
        self._set_aside.append(row.to_json())

    def note_failure(self, kind: str, text: str) -> None:
        """See `Journal.note_failure`."""
        self._failures.append({"kind": kind, "text": text})

    @property
    def failures(self) -> dict[str, int]:
        """Number of failures so far, by kind."""
        return dict(sorted(Counter(str(row["kind"]) for row in self._failures.read()).items()))

    @property
    def _failures(self) -> AppendLog:
        return AppendLog(
            self.path / "failures.jsonl", None, lambda row: wrong_field(row, {"kind": str})
        )

    def forget_aside(self) -> None:
        """All out-of-order rows are in the journal now."""
        (self.path / "ahead.jsonl").unlink(missing_ok=True)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write ``result.json``."""
        write_json(self.path / "result.json", result)


class Checkpoint:
    """The swarm's state after its latest iteration, for warm starts and to verify a replay.

    A resumed run replays the journal. At the iteration of the checkpoint its state has to match bit
    for bit; otherwise this machine or these versions compute different numbers than the run began
    with.

    Args:
        file: the checkpoint (.npz).

    Raises:
        UserError: there is one, but damaged.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._earlier: dict[str, Any] | None = None
        try:
            if file.exists():
                self._earlier = _witness(pso.Swarm.load(file))
        except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
            raise UserError(f"{error}; remove the file: resume does not need it") from error

    def keep(self, swarm: pso.Optimizer) -> None:
        """Save the swarm, or during a replay compare it; other optimizers are not saved.

        Raises:
            UserError: the replayed swarm is not the one that was saved.
        """
        if not isinstance(swarm, ParticleOptimizer):
            return
        if self._earlier is not None:
            if swarm.iteration < self._earlier.get("iteration", 0):
                return
            if _witness(swarm) != self._earlier:
                raise UserError(
                    f"{self._file}: iteration {swarm.iteration} is not what it was; resume with "
                    "the versions in "
                    "run.json on the same machine, or begin a new run"
                )
            self._earlier = None
        swarm.save(self._file)


def _witness(swarm: ParticleOptimizer) -> dict[str, Any]:
    """The iteration and a digest of positions, velocities, personal bests and values."""
    digest = hashlib.blake2b(digest_size=16)
    for tensor in (swarm.positions, swarm.velocities, swarm.personal_bests):
        digest.update(str((tensor.dtype, tuple(tensor.shape))).encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().data)
    digest.update(swarm.personal_best_values.tobytes())
    digest.update(repr([swarm.best.value, swarm.worst.value, swarm.evaluations]).encode())
    return {"iteration": swarm.iteration, "digest": digest.hexdigest()}


def check_new(path: Path) -> None:
    """Refuse a directory that is not empty.

    Raises:
        UserError: it is not empty, or not readable.
    """
    try:
        if (path / "run.json").exists():
            raise UserError(
                f"{path}: holds a run already; continue it with `swarm-llm resume {path}` or "
                "choose another `out`"
            )
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UserError(f"{path}: exists and is not empty; choose another `out`")
    except OSError as error:
        raise UserError(
            f"{path}: cannot be used ({error.strerror}); choose another `out`"
        ) from error


def about_run(config: SearchConfig, fingerprints: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """What ``run.json`` holds beside the format."""
    return {
        "config": asdict(config),
        "fingerprints": dict(fingerprints),
        "seeds": {"search": config.seed},
        **more,
    }
