"""Files of runs and of users: read with a limit, written whole or not at all, appended line by line."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import IO, Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_types import parse_json

JSON_LIMIT = 2**26  # most bytes of a run's file that is parsed as one JSON value
INPUT_LIMIT = 2**29  # most bytes of a task file or a tokenizer
LINES_LIMIT = 2**30  # most bytes of a file of lines
_PART = re.compile(r"\.(\d+)-[0-9a-f]{8}\.part")  # a temporary name: process and random number


# Reading


@contextmanager
def open_regular(path: Path, limit: int = JSON_LIMIT) -> Iterator[IO[bytes]]:
    """A regular file of at most `limit` bytes, open for reading.

    Raises:
        UserError: the file is a pipe, a device, a directory, or too large.
        OSError: the file is missing, or may not be read.
    """
    size = path.stat().st_size
    if not path.is_file():
        raise UserError(f"{path}: not a regular file; remove it")
    if size > limit:
        raise UserError(
            f"{path}: {size:,} bytes, more than the {limit:,} that are read; restore the file"
        )
    with open(path, "rb") as file:
        yield file


def read_bytes(path: Path, limit: int = JSON_LIMIT) -> bytes:
    """The content of a regular file of at most `limit` bytes; raises as `open_regular`."""
    with open_regular(path, limit) as file:
        return file.read(limit + 1)


def read_text(path: Path, limit: int = JSON_LIMIT) -> str:
    """The content as text.

    Raises:
        UserError: not UTF-8, or as `open_regular`.
        OSError: as `open_regular`.
    """
    try:
        return read_bytes(path, limit).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text; restore the file") from error


def read_json(path: Path, limit: int = JSON_LIMIT) -> Any:
    """The JSON value in a file, of any type.

    Raises:
        UserError: not JSON, nested too deeply for Python's parser, an integer of thousands of
            digits, or as `open_regular`.
        OSError: as `open_regular`.
    """
    text = read_text(path, limit)
    try:
        return parse_json(text)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}: line {error.lineno}: not valid JSON ({error.msg}); restore the file"
        ) from error
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error}); restore the file") from error


# Writing


def refuse_link(path: Path) -> None:
    """Refuse a symbolic link, even a dangling one.

    Raises:
        UserError: `path` is a symbolic link.
    """
    if path.is_symlink():
        raise UserError(
            f"{path}: is a symbolic link, which is not written through; remove it, or put a file "
            "there"
        )


def refuse_links(folder: Path) -> None:
    """Refuse a directory that contains a symbolic link, which would redirect a write.

    Raises:
        UserError: names the first one.
        OSError: the directory cannot be read.
    """
    for entry in sorted(os.listdir(folder)):
        refuse_link(folder / entry)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file open for writing that replaces `path` if the block succeeds; the last writer wins.

    Raises:
        UserError: `path` is a link, or not a regular file.
        OSError: the file cannot be written; it names `path`.
    """
    _refuse_other(path)
    _remove_leftovers(path.parent)
    part = path.with_name(part_name())
    try:
        with open(part, "xb") as file:  # which follows no link
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        part.unlink(missing_ok=True)


def part_name() -> str:
    """A temporary name for a file that this process is writing."""
    return f".{os.getpid()}-{secrets.token_hex(4)}.part"


def _remove_leftovers(folder: Path) -> None:
    """Remove the files that killed processes were writing; links are removed, not followed."""
    for path in folder.iterdir():
        found = _PART.fullmatch(path.name)
        if found is None or _is_running(int(found[1])):
            continue
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    """Whether a process runs on this machine."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file atomically; raises as `replacing`."""
    with replacing(path) as file:
        file.write(text.encode("utf-8"))


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file atomically, flushed to disk; raises as `replacing`."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def append(path: Path, text: str) -> None:
    """Add text to a file and flush it to disk.

    Raises:
        UserError: the path is a link, or not a regular file.
        OSError: the file cannot be written.
    """
    with open_to_change(path, os.O_APPEND | os.O_CREAT) as file:
        file.write(text.encode("utf-8"))
        file.flush()
        os.fsync(file.fileno())


def truncate(path: Path, size: int) -> None:
    """Truncate a file to `size` bytes; raises as `append`."""
    with open_to_change(path) as file:
        os.ftruncate(file.fileno(), size)


@contextmanager
def open_to_change(path: Path, flags: int = 0) -> Iterator[IO[bytes]]:
    """A file open for appending; raises as `append`."""
    _refuse_other(path)
    always = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, always | flags, 0o666), "ab") as file:
        yield file


def _refuse_other(path: Path) -> None:
    """Refuse an existing target other than a regular file."""
    refuse_link(path)
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: not a regular file; remove it")


def user_path(spec: str | Path) -> Path:
    """The user's path, with ``~`` expanded; it need not exist.

    Raises:
        UserError: an invalid path: an unknown ``~user``, a NUL, too long a name, or a folder
            without access.

    Example:
        >>> user_path("runs/first").name
        'first'
        >>> user_path("a" + chr(0))
        Traceback (most recent call last):
        pyswarmopt_llm.common.errors.UserError: a\\x00: not a path (embedded null byte); check it
    """
    try:
        path = Path(spec).expanduser()
        os.lstat(path)
    except OSError as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            return path
        raise UserError(
            f"{spec}: cannot be reached ({error.strerror}); choose another path"
        ) from error
    except (ValueError, RuntimeError) as error:  # NUL; unknown user
        raise UserError(
            f"{spec}: not a path ({str(error).rstrip('.').lower()}); check it"
        ) from error
    return path


class AppendLog:
    """An append-only log, for reading new rows and appending.

    Args:
        path: the file, which need not exist; None: nothing is stored.
        remedy: remedy for a damaged line, for the message; None: damaged lines are skipped.
        wrong: returns the wrong field of an object that is no row of this log; None for a row.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     log = AppendLog(Path(folder) / "log.jsonl")
        ...     log.append({"a": 1})
        ...     log.read(), log.read()
        ([{'a': 1}], [])
    """

    def __init__(
        self,
        path: Path | None,
        remedy: str | None = "remove this line",
        wrong: Callable[[dict[str, Any]], str | None] = lambda row: None,
    ) -> None:
        self._path = path
        self._remedy = remedy
        self._wrong = wrong
        self._end = self._lines = 0  # bytes and lines read so far

    def read(self) -> list[dict[str, Any]]:
        """The rows since the last call; an unterminated last line is left for later.

        Raises:
            UserError: a line is damaged, or the file cannot be read.
        """
        if self._path is None or not self._path.exists():
            return []
        try:
            with open_regular(self._path, LINES_LIMIT) as file:
                file.seek(self._end)
                data = file.read()
        except OSError as error:
            raise UserError(
                f"{self._path}: cannot be read ({error.strerror}); check its permissions"
            ) from error
        data = data[: data.rfind(b"\n") + 1]
        rows = [
            self._row(line, number)
            for number, line in enumerate(data.splitlines(), self._lines + 1)
        ]
        self._end = self._end + len(data)
        self._lines = self._lines + len(rows)
        return [row for row in rows if row is not None]

    def repaired(self) -> list[dict[str, Any]]:
        """`read`, and cut off a last line that a crash left half-written.

        Only under a lock: another process may be writing that line. A log that skips damaged lines
        may have several writers; there the line is terminated instead.
        """
        rows = self.read()
        if self._path is not None and self._path.exists() and self._path.stat().st_size > self._end:
            if self._remedy is None:
                append(self._path, "\n")
            else:
                truncate(self._path, self._end)
        return rows

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a row and flush it to disk; raises as `regular.append`."""
        if self._path is not None:
            append(self._path, json.dumps(row) + "\n")

    def _row(self, line: bytes, number: int) -> dict[str, Any] | None:
        try:
            row = parse_json(line)
        except ValueError:
            row = None
        field = self._wrong(row) if isinstance(row, dict) else None
        if isinstance(row, dict) and field is None:
            return row
        if self._remedy is None:
            return None
        problem = "damaged" if field is None else f"{field} is missing or of a wrong type"
        raise UserError(f"{self._path}: line {number}: {problem}; {self._remedy}")


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
        UserError: not a regular file.
        OSError: the file is missing, or may not be read.
    """
    with open_regular(path, sys.maxsize) as file:
        size = os.fstat(file.fileno()).st_size
        digest = hashlib.sha256(str(size).encode())
        if size <= _BLOCKS * _BLOCK_BYTES:
            digest.update(file.read())
        else:
            for block in range(_BLOCKS):
                file.seek(block * (size - _BLOCK_BYTES) // (_BLOCKS - 1))
                digest.update(file.read(_BLOCK_BYTES))
    return digest.hexdigest()


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
    """Versions of the packages that affect a result, and this package's commit.

    Example:
        >>> "torch" in versions()
        True
    """
    installed = {}
    for package in _PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    return installed | {"commit": commit() or "unknown"}


@cache
def commit() -> str:
    """The commit of this package's installation or checkout, with ``-dirty`` if files differ; "" if
    unknown.
    """
    with suppress(PackageNotFoundError):
        # PEP 610: pip's record of an installation from a repository
        origin = parse_json(
            (distribution("pyswarmopt").read_text("direct_url.json") or "{}").encode()
        )
        if installed := origin.get("vcs_info", {}).get("commit_id"):
            return str(installed)
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return ""
    try:
        return _git(root, "rev-parse", "HEAD") + (
            "-dirty" if _git(root, "status", "-s", "-uno") else ""
        )
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(root: Path, *words: str) -> str:
    """Git's answer about a checkout."""
    command = ["git", "-C", str(root), *words]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return told.stdout.strip()
