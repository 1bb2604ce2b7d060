"""A resumable output directory with an exclusive lock: ``about.json``, and a store of results."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.regular import (
    TEMPORARY,
    canonical,
    read_json,
    versions,
    write_json,
)
from pyswarmopt_llm.run.directory import LOCK, exclusive
from pyswarmopt_llm.run.record import RESULTS, Store, has_rows

ABOUT = "about.json"
FORMAT = 3


def check_directory(
    path: Path | None, config: Mapping[str, Any], free: Collection[str], what: str
) -> None:
    """Refuse a directory with another configuration or other content.

    Args:
        path: directory, which need not exist; None: nothing is written.
        config: name -> setting.
        free: settings that may change between calls.
        what: content of the directory, with its article: a comparison, an ensemble.

    Raises:
        UserError: a setting or the content differs.
    """
    if path is None or not path.exists():
        return
    # An earlier call that was killed at its beginning may have left these.
    if path.is_dir() and all(f.name == LOCK or f.suffix in TEMPORARY for f in path.iterdir()):
        return
    file = path / ABOUT
    try:
        about = read_json(file)
        before = dict(about["config"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} contains something other than {what}; choose another `out`"
        ) from error
    if about.get("format") != FORMAT:
        raise UserError(
            f"{file} must have format {FORMAT}, not {about.get('format')!r}; use the version that wrote it"
        )
    if not has_rows(path):
        return  # nothing is known yet, so it starts over
    # A setting that is missing in an older directory is not compared; its effect has a fingerprint.
    for name, value in config.items():
        known = name not in free and name in before
        if known and canonical(before[name]) != canonical(value):
            why = f": {path} was started with {before[name]}; choose another `out`"
            raise InvalidOption(name, None, why)


@contextmanager
def open_directory(
    path: Path | None, config: Mapping[str, Any], fingerprints: Mapping[str, Any]
) -> Iterator[Store]:
    """Create or reopen a directory, and lock it. Without a stored result it starts over.

    Args:
        path: directory; None: nothing is written.
        config: name -> setting, for a new ``about.json``.
        fingerprints: fingerprints of the inputs; they must match those on disk.

    Raises:
        UserError: the directory cannot be written to, another process has locked it, or the inputs
            have changed.
    """
    if path is None:
        yield Store(None)
        return
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot write to {path} ({error.strerror}); choose another `out`"
        ) from error
    with exclusive(path):
        file = path / ABOUT
        if not (file.exists() and has_rows(path)):
            about = {"config": config, "fingerprints": fingerprints, "versions": versions()}
            write_json(file, {"format": FORMAT, **about})
        elif canonical(read_json(file).get("fingerprints")) != canonical(fingerprints):
            raise UserError(
                f"{path}: the base model, experts or tasks have changed; choose another `out`"
            )
        yield Store(path / RESULTS)
