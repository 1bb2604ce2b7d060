"""A run directory: configuration (`run.json`), everything expensive (`results.jsonl`), the history of
the search (`history.jsonl`) and the result (`result.json`).

The store is authoritative: `resume` replays the search and takes known scores from it
(docs/explanation/architecture.md). The history is written from it, for people and reports.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyswarmopt as pso
from pyswarmopt_llm.common.config import SearchConfig, command
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_types import WrongType, typed
from pyswarmopt_llm.common.files.regular import (
    TEMPORARY,
    AppendLog,
    atomic_directory,
    check_empty,
    digests,
    locked,
    read_json,
    refuse_links,
    write_json,
    write_text,
)
from pyswarmopt_llm.run.record import FRONT, REMEDY, RESULTS, Row, Store, has_rows
from pyswarmopt_llm.scores.tasks.types import TaskForm

if TYPE_CHECKING:
    from pyswarmopt_llm.mix.kind import SpaceKind

FORMAT = 2  # version of run.json and history.jsonl
# in the directory of a search over a grid of coefficients, from its start
GRID = "grid.json"
HISTORY = "history.jsonl"
FOLDERS = ("checkpoint", "best")
LOCK = ".lock"


class RunJournal:
    """A search's store and history, in the files of a directory or only in memory.

    Before the search begins, `rows` come from ``history.jsonl``. Then the search replays the store
    and writes the file again.

    Args:
        path: the directory; None: writes nothing.

    Attributes:
        replayed_seconds: seconds of evaluations made by earlier processes.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._results = path and path / RESULTS
        self._history = AppendLog(path and path / HISTORY, REMEDY, Row)
        self.replayed_seconds = 0.0

    @cached_property
    def store(self) -> Store:
        """All expensive results; add to it only while the run is locked."""
        return Store(self._results, repair=False)

    @cached_property
    def rows(self) -> list[Row]:
        """The history: evaluations in the order of the search's requests."""
        return [typed(row, Row) for row in self._history.read()]

    def begin(self) -> None:
        """Start the history again; the search then replays the store."""
        self.rows = []
        self.replayed_seconds = 0.0
        if self._history.path is not None:
            write_text(self._history.path, "")

    def append(self, row: Row, known: bool = False) -> None:
        """Add a row to the history; `known` if an earlier process evaluated it."""
        self.rows.append(row)
        if known:
            self.replayed_seconds += row.seconds
        self._history.append(asdict(row), kept=not known)


class RunDirectory(RunJournal):
    """An open run directory.

    Args:
        path: the directory.

    Attributes:
        path: as given.
        about: content of ``run.json``.

    Raises:
        UserError: it is not a run, is damaged, or was written by another version of this format.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path
        self.about = read_about(path)

    @classmethod
    def create(cls, path: Path, about: About) -> RunDirectory:
        """Make the directory and its ``run.json``, or neither. A run without a score starts over.

        Raises:
            UserError: the path exists, or cannot be made.
        """
        check_new(path)
        if (path / "run.json").exists():
            with exclusive(path):
                write_json(path / "run.json", asdict(about))
            return cls(path)
        with atomic_directory(path) as folder:
            (folder / "checkpoint").mkdir()
            write_json(folder / "run.json", asdict(about))
        return cls(path)

    def checkpoint(self, name: str) -> Checkpoint:
        """The checkpoint of this name, in ``checkpoint/``."""
        return Checkpoint(self.path / "checkpoint" / f"{name}.npz")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock this run, and open its store.

        Raises:
            UserError: locked by another process, or the directory contains links.
            OSError: it cannot be written, now or later.
        """
        with exclusive(self.path):
            for name in FOLDERS:
                if (self.path / name).is_dir():
                    refuse_links(self.path / name)
            self.store = Store(self.path / RESULTS)
            self.begin()
            yield

    def write_about(self, about: About) -> None:
        """Rewrite ``run.json``."""
        write_json(self.path / "run.json", asdict(about))
        self.about = about

    def finish(self, result: Mapping[str, Any]) -> None:
        """Record the digests of the result's files, and write ``result.json``."""
        prints = {**self.about.fingerprints, **result_digests(self.path)}
        self.write_about(replace(self.about, fingerprints=prints))
        write_json(self.path / "result.json", result)


class Checkpoint:
    """The swarm's state after its latest iteration, for warm starts and for verifying a replay.

    Args:
        file: the checkpoint (.npz).

    Raises:
        UserError: the file is damaged.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            self._earlier = pso.Swarm.load(file) if file.exists() else None
        except ValueError as error:
            raise UserError(f"{error}; remove the file, which is not needed to resume") from error

    def keep(self, swarm: pso.Optimizer) -> None:
        """Save the swarm; during a replay, compare it. Other optimizers are not saved.

        Raises:
            UserError: the replayed swarm differs from the saved one: this machine or these versions
                compute other numbers.
        """
        if not isinstance(swarm, pso.Swarm):
            return
        if self._earlier is not None:
            if swarm.iteration < self._earlier.iteration:
                return
            if not swarm.positions.equal(self._earlier.positions):
                raise UserError(
                    f"{self._file}: iteration {swarm.iteration} differs from the saved one; resume "
                    "on the same machine with the versions in run.json, or start a new run"
                )
            self._earlier = None
        swarm.save(self._file)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock of a directory, which the operating system releases when its holder dies.

    Raises:
        UserError: another process holds the lock, or the directory contains links, which may redirect
            a write.
        OSError: the directory cannot be written to.
    """
    refuse_links(path)
    with locked(path / LOCK):
        yield


def result_digests(run: Path) -> dict[str, dict[str, str]]:
    """Folder within a run -> `digests` of its files: ``best`` and the points of a front."""
    folders = [run / "best", *sorted((run / FRONT).glob("*"))]
    return {
        folder.relative_to(run).as_posix(): digests(folder) for folder in folders if folder.is_dir()
    }


def check_fingerprints(run: Path, about: About, now: Mapping[str, Any]) -> None:
    """Refuse to continue if base, experts, data, metrics, settings or the result's files have
    changed.

    Args:
        run: run directory.
        about: content of ``run.json``, with the fingerprints of the search.
        now: present fingerprints, by kind.

    Raises:
        UserError: names what changed.
    """
    for kind, value in now.items():
        old = about.fingerprints.get(kind)
        if old == value:
            continue
        names = ""
        if isinstance(value, dict) and isinstance(old, dict):
            changed = (name for name in {*value, *old} if value.get(name) != old.get(name))
            names = f" ({', '.join(sorted(changed))})"
        remedy = "undo the change, or start a new run"
        if kind == "best" or kind.startswith(f"{FRONT}/"):
            remedy = f"remove {run / kind}, and {command('resume', str(run))} writes it again"
        elif not has_rows(run):
            remedy = "nothing is scored yet, so repeat the search instead, which starts over"
        raise UserError(f"{run}: {kind}{names} changed since the run began; {remedy}")


def check_new(path: Path) -> None:
    """Refuse a path that is neither an empty directory nor a run without a score, which nobody
    misses: whatever stopped it, the same command starts over.

    Raises:
        UserError: it is anything else, or another process is writing the run.
    """
    if _is_unscored(path):
        with exclusive(path):
            return
    if (path / "run.json").exists():
        raise UserError(
            f"{path} already contains a run; continue it with `{command('resume', str(path))}` or "
            "choose another `out`"
        )
    check_empty(path)  # its files are written one by one, so it may be a mount point


def _is_unscored(path: Path) -> bool:
    """Whether a directory is a run that has scored nothing, and contains nothing else."""
    if not (path / "run.json").is_file() or has_rows(path):
        return False
    names = {entry.name for entry in path.iterdir() if entry.suffix not in TEMPORARY}
    if names - {"run.json", HISTORY, RESULTS, "checkpoint", LOCK}:
        return False
    try:
        read_about(path)
    except UserError:
        return False
    return not any((path / "checkpoint").glob("*"))


@dataclass(frozen=True)
class About:
    """The content of ``run.json``.

    Attributes:
        config: the decided configuration.
        fingerprints: kind -> digest, or digests by name, of everything that the run's numbers depend
            on: base, settings, experts, tasks, scores (functions), metrics, custom code (the user's
            own optimizer and space); at the end also of the files in best and in each point of
            a front.
        base_name: the base's public name; "" or None if it has none.
        versions: package -> version.
        notes: topic -> note.
        given: settings given by the user.
        forms: task -> form of its questions.
        command: command that repeats the search.
        format: version of the format.
    """

    config: SearchConfig
    fingerprints: Mapping[str, Any]
    base_name: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)
    forms: dict[str, TaskForm] = field(default_factory=dict)
    command: str = ""
    format: int = FORMAT

    @property
    def base(self) -> str:
        """The public name of the base."""
        return self.base_name or self.config.base

    @property
    def kind(self) -> SpaceKind:
        """The kind of the search's space."""
        from pyswarmopt_llm.mix import space_kind

        return space_kind(self.config.space)

    @property
    def task_names(self) -> list[str]:
        """The names of the tasks."""
        return list(self.fingerprints.get("tasks", ()))


def read_about(path: Path) -> About:
    """The content of ``run.json``; `out` is the run's present place.

    Raises:
        UserError: `path` is not a run, is damaged, or was written by another version of this
            format.
    """
    file = path / "run.json"
    try:
        content = read_json(file)
    except OSError as error:
        raise UserError(
            f"{path} is not a run directory ({file.name}: {error.strerror}); check the path"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{file} is not in format {FORMAT}; resume with the version that wrote it")
    try:
        about: About = typed(content, About)
    except WrongType as error:
        raise UserError(f"{file}: {error}; restore the file") from error
    return replace(about, config=replace(about.config, out=str(path)))
