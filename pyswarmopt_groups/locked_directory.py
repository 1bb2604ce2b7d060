"""A resumable output directory with an exclusive lock: ``about.json``, and a store of results."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.regular import canonical, read_json, versions, write_json
from pyswarmopt_llm.searching.scoring.record import RESULTS, Store
from pyswarmopt_llm.searching.scoring.run_directory import LOCK, exclusive

ABOUT = "about.json"
FORMAT = 2


@dataclass(frozen=True)
class Directory:
    """The directory of a comparison or of a group.

    Attributes:
        path: directory, which need not exist; None: nothing is written.
        config: name -> setting.
        free: settings that may change between calls.
        what: content of the directory, with its article: a comparison, an ensemble.
    """

    path: Path | None
    config: Mapping[str, Any]
    free: Collection[str]
    what: str

    def check(self) -> None:
        """Refuse a directory with another configuration or other content.

        Raises:
            UserError: names what differs.
        """
        path = self.path
        if path is None or not path.exists() or (path.is_dir() and _is_unused(path)):
            return
        file = path / ABOUT
        try:
            about = read_json(file)
            before = dict(about["config"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path}: contains something other than {self.what}; choose another `out`"
            ) from error
        if about.get("format") != FORMAT:
            raise UserError(
                f"{file}: format {about.get('format')!r}, not {FORMAT}; continue with the version "
                "that wrote it"
            )
        for name, value in self.config.items():
            # A setting that is missing in an older directory is not compared; its effect has a
            # fingerprint.
            known = name not in self.free and name in before
            if known and canonical(before[name]) != canonical(value):
                why = f"{path} was started with {before[name]}; choose another `out`"
                raise InvalidOption(name, None, why)

    @contextmanager
    def opened(self, fingerprints: Mapping[str, Any]) -> Iterator[Store]:
        """Create or reopen the directory and lock it.

        Args:
            fingerprints: fingerprints of the inputs; they must match those on disk.

        Raises:
            UserError: not writable, locked by another process, or the inputs have changed.
        """
        path = self.path
        if path is None:
            yield Store(None)
            return
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"{path}: cannot write there ({error.strerror}); choose another `out`"
            ) from error
        with exclusive(path):
            self._describe(path, fingerprints)
            yield Store(path / RESULTS)

    def _describe(self, path: Path, fingerprints: Mapping[str, Any]) -> None:
        """Write ``about.json``, or compare it with the existing one."""
        file = path / ABOUT
        if not file.exists():
            about = {"config": self.config, "fingerprints": fingerprints, "versions": versions()}
            write_json(file, {"format": FORMAT, **about})
        elif canonical(read_json(file).get("fingerprints")) != canonical(fingerprints):
            raise UserError(
                f"{path}: base, experts or tasks changed since it was started; choose another `out`"
            )


def _is_unused(folder: Path) -> bool:
    """Whether a folder is empty, but for what a call leaves that was killed at its beginning."""
    return all(file.name == LOCK or file.suffix == ".part" for file in folder.iterdir())
