"""Files of runs and users: read up to a limit, written whole or not at all, appended line by line."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

from pyswarmopt_llm.common.errors import UserError, first_line
from pyswarmopt_llm.common.files.json_types import parse_json, typed

log = logging.getLogger(__name__)

JSON_LIMIT = 2**26  # most bytes of a run's file that is parsed as one JSON value
INPUT_LIMIT = 2**29  # most bytes of a task file or a tokenizer
LINES_LIMIT = 2**30  # most bytes of a file of lines
_MARK = ".writing"  # suffix of the locked file beside a temporary one
TEMPORARY = (".part", _MARK)  # suffixes of what a killed writer may leave
_NAME = re.compile(rf"\.[0-9a-f]{{16}}{re.escape(_MARK)}")


# Reading


def read_bytes(path: Path, limit: int = JSON_LIMIT) -> bytes:
    """The content of a regular file of at most `limit` bytes.

    Raises:
        UserError: the file is a pipe, a device, a directory, or too large.
        OSError: the file is missing, or may not be read.
    """
    size = path.stat().st_size
    if not path.is_file():
        raise UserError(f"{path} is not a regular file; use another")
    if size > limit:
        raise UserError(
            f"{path} has {size:,} bytes, but the limit is {limit:,}; use a smaller file"
        )
    return path.read_bytes()


def read_text(path: Path, limit: int = JSON_LIMIT) -> str:
    """The content as text.

    Raises:
        UserError: the file is not UTF-8; also as in `read_bytes`.
        OSError: as in `read_bytes`.
    """
    try:
        return read_bytes(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text; restore it, or save it as UTF-8") from error


def read_json(path: Path, limit: int = JSON_LIMIT) -> Any:
    """The JSON value in a file, of any type.

    Raises:
        UserError: the file is not JSON, is nested too deeply for Python's parser, or contains an
            integer of thousands of digits; also as in `read_bytes`.
        OSError: as in `read_bytes`.
    """
    text = read_text(path, limit)
    try:
        return parse_json(text)
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}); restore the file") from error


# Writing


def refuse_link(path: Path) -> None:
    """Refuse a symbolic link, even a dangling one.

    Raises:
        UserError: `path` is a symbolic link.
    """
    if path.is_symlink():
        raise UserError(f"{path} is a symbolic link; replace it with a file, or remove it")


def refuse_links(folder: Path) -> None:
    """Refuse a directory that contains a symbolic link, which would redirect a write.

    Raises:
        UserError: names the first one.
        OSError: the directory cannot be read.
    """
    for entry in sorted(folder.iterdir()):
        refuse_link(entry)


@contextmanager
def temporary(path: Path) -> Iterator[Path]:
    """A free name beside `path` for its replacement, removed at the end.

    A locked file beside it says that it is being written, to processes of other containers and hosts,
    too. Leftovers of killed processes, whose locks nobody holds, are removed.
    """
    _remove_leftovers(path.parent)
    part, mark, held = _marked(path)
    with held:
        try:
            yield part
        finally:
            _remove(part)
            mark.unlink(missing_ok=True)


def _marked(path: Path) -> tuple[Path, Path, IO[bytes]]:
    """A free name beside `path`, its mark, and the mark as a locked file.

    Between its creation and its lock another process may take the mark for a leftover, lock it and
    remove it. Then the lock fails, or the mark is gone, and another name is taken.
    """
    while True:
        part = path.with_name(f".{secrets.token_hex(8)}.part")
        mark = part.with_suffix(_MARK)
        held = open(mark, "xb")  # noqa: SIM115 - the caller closes it
        with suppress(BlockingIOError):
            if not _lock(held) or mark.exists():
                return part, mark, held
        held.close()
        mark.unlink(missing_ok=True)


def _remove_leftovers(folder: Path) -> None:
    """Remove what killed writers left in a folder."""
    for mark in folder.glob(f".*{_MARK}"):
        part = mark.with_suffix(".part")
        if not _NAME.fullmatch(mark.name) or mark.is_symlink():
            continue
        with suppress(OSError), open(mark, "rb") as held:
            if not _lock(held):
                continue
            if part.is_dir() and not part.is_symlink():
                log.warning("removed %s, which an interrupted command left behind", part)
            _remove(part)
            mark.unlink(missing_ok=True)


def _lock(file: IO[bytes]) -> bool:
    """Lock an open file; False where a file system has no locks.

    Raises:
        BlockingIOError: another process or thread holds it.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


def _remove(part: Path) -> None:
    """Remove a temporary file or directory, if it is there."""
    if part.is_dir() and not part.is_symlink():
        shutil.rmtree(part, ignore_errors=True)
    else:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file, flushed to disk, that replaces `path` as a whole; the last writer wins.

    Raises:
        UserError: `path` is a link.
        OSError: the file cannot be written; it names `path`.
    """
    refuse_link(path)
    with _naming(path), temporary(path) as part:
        with open(part, "xb") as file:  # which follows no link
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors of the operating system name this path, which some of its calls do not."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def storable(text: str) -> str:
    """Replace characters that a run's files cannot hold: NUL and unpaired surrogates.

    Example:
        >>> storable("a\\0b\\ud800c")
        'a\ufffdb?c'
    """
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file; see `write_text`."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def check_empty(out: Path) -> None:
    """Raise `UserError` if `out` already exists and is not an empty directory."""
    empty = out.is_dir() and not any(out.iterdir())
    if out.is_symlink() or (out.exists() and not empty):
        raise UserError(f"{out} already exists; choose another name, or remove it")


def check_free(out: Path) -> None:
    """Refuse a directory that could not be written in the end.

    Raises:
        UserError: `out` exists and is not an empty directory, is one that cannot be replaced, such as
            a mount point, or nothing may be written where it would be.
    """
    check_empty(out)
    parent = next(each for each in Path(os.path.abspath(out)).parents if each.exists())
    if not (parent.is_dir() and os.access(parent, os.W_OK | os.X_OK)):
        raise UserError(f"{out} cannot be written; check that {parent} is a directory of yours")
    if not out.exists():
        return
    try:
        with temporary(out) as probe:
            probe.mkdir()
            os.replace(probe, out)
    except OSError as error:
        raise UserError(
            f"{out} cannot be replaced ({error.strerror}), as a mount point cannot; use a new "
            f"directory inside it, such as {out / 'result'}"
        ) from error


@contextmanager
def atomic_directory(out: Path) -> Iterator[Path]:
    """A temporary directory that is renamed to `out` when the block succeeds and removed otherwise;
    every file has the mode of a new file.

    Leftovers of a killed process beside `out` are named and removed.

    Raises:
        UserError: `out` already exists or cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     with atomic_directory(Path(parent) / "made") as folder:
        ...         _ = (folder / "a.txt").write_text("a")
        ...     [p.name for p in Path(parent).rglob("*")]
        ['made', 'a.txt']
    """
    from safetensors import SafetensorError

    out = Path(os.path.abspath(out))
    check_free(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with temporary(out) as folder:
            folder.mkdir()
            yield folder
            _share(folder)
            check_free(out)
            os.replace(folder, out)
    except (OSError, SafetensorError) as error:  # such as a full disk
        why = getattr(error, "strerror", None) or first_line(error)
        raise UserError(
            f"{out} cannot be written ({why}); check the path and free space"
        ) from error


def _share(folder: Path) -> None:
    """Give all files the mode of new files: safetensors makes weights readable for their owner only."""
    mode = folder.stat().st_mode & 0o666  # of a new directory, and so after the umask
    for entry in folder.rglob("*"):
        if entry.is_file() and not entry.is_symlink():
            entry.chmod(mode)


@contextmanager
def appending(path: Path, kept: bool = True) -> Iterator[IO[bytes]]:
    """A file open for appending, created if missing; additions are flushed to disk if `kept`.

    Raises:
        UserError: the path is a link.
        OSError: the file cannot be written.
    """
    refuse_link(path)
    with open(path, "ab") as file:
        yield file
        with _naming(path):
            file.flush()
            if kept:
                os.fsync(file.fileno())


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock on a file, created if missing; it ends with the process, so it is never stale.

    Raises:
        UserError: another process holds the file; also as in `appending`.
        OSError: as in `appending`.
    """
    with appending(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"{path}: another process is writing to this file; wait, or stop it"
            ) from error
        yield


def user_path(spec: str | Path) -> Path:
    """The user's path, with ``~`` expanded; it need not exist.

    Example:
        >>> user_path("runs/first").name
        'first'
    """
    return Path(os.path.expanduser(spec))


@dataclass(frozen=True)
class AppendLog:
    """An append-only log.

    Attributes:
        path: the file, which need not exist; None: nothing is stored.
        remedy: remedy for a damaged line, for the message.
        shape: type of a row, see `typed`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     log = AppendLog(Path(folder) / "log.jsonl")
        ...     log.append({"a": 1})
        ...     log.read()
        [{'a': 1}]
    """

    path: Path | None
    remedy: str = "remove this line"
    shape: Any = dict[str, Any]

    def read(self, repair: bool = False) -> list[dict[str, Any]]:
        """The rows, without an unterminated last line.

        Args:
            repair: whether to cut off such a line, which a crash left half-written; only under a
                lock: another process may be writing it.

        Raises:
            UserError: a line is damaged.
        """
        if self.path is None or not self.path.exists():
            return []
        data = read_bytes(self.path, LINES_LIMIT)
        end = data.rfind(b"\n") + 1
        rows = [self._row(*line) for line in enumerate(data[:end].splitlines(), start=1)]
        if repair and end < len(data):
            with appending(self.path) as file:
                os.ftruncate(file.fileno(), end)
        return rows

    def append(self, row: Mapping[str, Any], kept: bool = True) -> None:
        """Add a row; see `appending`."""
        if self.path is not None:
            with appending(self.path, kept) as file:
                file.write(json.dumps(row).encode() + b"\n")

    def _row(self, number: int, line: bytes) -> dict[str, Any]:
        """The row of a line."""
        try:
            row: dict[str, Any] = parse_json(line)
            typed(row, self.shape)
        except ValueError as error:
            wrong = getattr(error, "path", "") or "the JSON object"
            what = f"line {number}: {wrong} is missing or has the wrong type"
            raise UserError(f"{self.path}: {what}; {self.remedy}") from error
        return row


_BLOCKS = 64
_BLOCK_BYTES = 65_536
_PACKAGES = ("pyswarmopt", "torch", "numpy", "transformers", "peft", "safetensors")


def sample_digest(path: Path) -> str:
    """SHA-256 (hex) of a file's size and up to 4 MiB of its content: start, end and evenly spaced
    blocks.

    Cheap for files of any size, and certain to change with any retraining, requantisation or
    truncation; it misses changes of a few weights between the blocks. Files up to 4 MiB are hashed
    whole.

    Raises:
        OSError: the file is missing, or may not be read.
    """
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with open(path, "rb") as file:
        if size <= _BLOCKS * _BLOCK_BYTES:
            digest.update(file.read())
        else:
            for block in range(_BLOCKS):
                file.seek(block * (size - _BLOCK_BYTES) // (_BLOCKS - 1))
                digest.update(file.read(_BLOCK_BYTES))
    return digest.hexdigest()


def digests(folder: Path) -> dict[str, str]:
    """Name -> `sample_digest` of the files in a folder, except its card."""
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.suffix != ".md")
    return {file.name: sample_digest(file) for file in files}


def canonical(value: Any) -> bytes:
    """JSON of `value` with sorted keys and no spaces, so that equal values give equal bytes.

    Example:
        >>> canonical({"b": 1, "a": [2]})
        b'{"a":[2],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def digest(value: Any) -> str:
    """SHA-256 (hex) of a value's canonical JSON.

    Example:
        >>> digest({"b": 1, "a": [2]}) == digest({"a": [2], "b": 1})
        True
    """
    return hashlib.sha256(canonical(value)).hexdigest()


def versions() -> dict[str, str]:
    """Versions of the packages that affect a result.

    Example:
        >>> "torch" in versions()
        True
    """
    installed = {}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            installed[package] = version(package)
    return installed
