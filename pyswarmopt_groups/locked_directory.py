"""A resumable output directory with an exclusive lock."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.regular import read_json, refuse_links, write_json

ABOUT = "about.json"


def check_place(
    path: Path, config: Mapping[str, Any], free: Collection[str], format: int, what: str
) -> None:
    """Refuse a directory that was created with another configuration or holds something else.

    Args:
        path: the directory; it need not exist.
        config: name -> setting.
        free: settings that may differ between calls.
        format: version of the file format.
        what: content of the directory, with its article: a comparison, an ensemble.

    Raises:
        UserError: names what differs.
    """
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    file = path / ABOUT
    try:
        about = read_json(file)
        before = dict(about["config"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: holds something else than {what}; choose another `out`"
        ) from error
    if about.get("format") != format:
        raise UserError(
            f"{file}: format {about.get('format')!r}, not {format}; go on with the version that "
            "wrote it"
        )
    for name, value in json.loads(json.dumps(dict(config))).items():
        # A setting that the version which began it did not have is not compared; what it changes
        # has a fingerprint.
        if name not in free and name in before and before[name] != value:
            raise InvalidOption(
                name, None, f"{path} was begun with another ({before[name]}); choose another `out`"
            )


@contextmanager
def opened_place(path: Path, about: Mapping[str, Any], what: str) -> Iterator[None]:
    """Create or reopen the directory and lock it.

    Args:
        path: the directory.
        about: content of ``about.json``; its ``fingerprints`` must match those on disk.
        what: as in `check_place`.

    Raises:
        UserError: not writable, locked by another process, or the inputs have changed.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        refuse_links(path)
        lock = FileLock(path / ".lock", timeout=0)
        lock.acquire()
    except Timeout as error:
        noun = what.split()[-1]
        raise UserError(
            f"{path}: another process is at work on this {noun}; wait for it or stop it"
        ) from error
    except OSError as error:
        raise UserError(
            f"{path}: cannot write there ({error.strerror}); choose another `out`"
        ) from error
    try:
        file = path / ABOUT
        if file.exists():
            before = read_json(file).get("fingerprints")
            if before != json.loads(json.dumps(about["fingerprints"])):
                raise UserError(
                    f"{path}: base, experts or tasks changed since it was begun; choose another "
                    "`out`"
                )
        else:
            write_json(file, about)
        yield
    finally:
        lock.release()
