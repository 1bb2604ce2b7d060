"""Files of experts and bases: find them, read them as JSON, write them whole or not at all."""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyswarmopt.cli.words import counted
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_text import parse_json
from pyswarmopt_llm.common.files.paths import user_path
from pyswarmopt_llm.common.files.regular import INPUT_LIMIT, read_bytes

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def local_directory(spec: str | Path, patterns: Sequence[str]) -> Path:
    """The directory that `spec` stands for: itself, or the local copy of a hub repository.

    Args:
        spec: a directory, or a hub id such as ``org/name`` (fetched into the hub's own cache if needed).
        patterns: file name patterns to fetch from the hub; never pickles.

    Raises:
        UserError: there is no such directory and no such repository within reach.
    """
    path = user_path(spec)
    if path.is_dir():
        return path
    if path.exists():
        raise UserError(f"{spec}: is a file; give the directory that holds it")
    if not _HUB_ID.fullmatch(str(spec)) or str(spec).startswith("."):
        raise UserError(f"{spec}: no such directory; check the path")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(spec), allow_patterns=list(patterns)))
    # Whatever the hub client raises (network, access, no such repository), the remedy is the same.
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(
            f"{spec}: no such directory, and the hub does not give it ({type(error).__name__}: {reason}); "
            "check the name, or download it and give the directory"
        ) from error


def inside(spec: str | Path, name: str) -> str:
    """What to do where a folder of experts was given in place of an expert; "" where it is none.

    Args:
        spec: what the user wrote.
        name: a file that an expert has.
    """
    folder = user_path(spec)
    if not folder.is_dir() or (folder / name).exists():
        return ""
    found = sum((child / name).is_file() for child in folder.iterdir())
    return f"; did you mean the {counted(found, 'folder')} in it, {str(spec).rstrip('/')}/*?" if found else ""


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`.

    Raises:
        UserError: the file is missing or is not a JSON object; names the line.
    """
    try:
        value = parse_json(read_bytes(path, INPUT_LIMIT).decode("utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check that the file is there") from error
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: line {error.lineno}: not valid JSON ({error.msg}); mend it") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text; re-export it") from error
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error}); re-export it") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: holds a {type(value).__name__} instead of a JSON object; re-export it")
    return value


def check_free(out: Path) -> None:
    """Raise `UserError` if something is at `out` already (an empty directory does not count)."""
    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists() or out.is_symlink():
        raise UserError(f"{out}: exists already and is not overwritten; choose another name or remove it")


@contextmanager
def atomic_directory(out: Path) -> Iterator[Path]:
    """A temporary directory beside `out` that becomes `out` when the block ends well, and vanishes otherwise.

    Raises:
        UserError: `out` holds something already, or cannot be made.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     with atomic_directory(Path(parent) / "made") as folder:
        ...         _ = (folder / "a.txt").write_text("a")
        ...     [p.name for p in Path(parent).rglob("*")]
        ['made', 'a.txt']
    """
    out = Path(os.path.abspath(out))
    check_free(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}")
        folder.mkdir()
    except OSError as error:
        raise UserError(f"{out}: cannot be created ({error.strerror}); choose another place") from error
    try:
        yield folder
        os.replace(folder, out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
