"""The models that a result is made of, and their licences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import read_text, user_path
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.experts.files import EMBEDDED, local_directory


@dataclass(frozen=True)
class Parent:
    """A model that the result is made of.

    Attributes:
        name: its public name.
        licence: as its card states it (``apache-2.0``, ``llama3.1``, ...); None if it states none.
        on_hub: whether `name` is an id of the Hub.
    """

    name: str
    licence: str | None
    on_hub: bool = False


def parents_of(config: SearchConfig) -> list[Parent]:
    """Base and experts of a search over one base.

    Raises:
        UserError: the base is not there.
    """
    base = resolve_base(config.base)
    if config.base.startswith(EMBEDDED):
        from pyswarmopt_llm.experts.quantised.embedded import LICENCE

        licence: str | None = LICENCE
    else:
        licence = stated_licence(base.path)
    return [Parent(base.name, licence), *map(_expert, config.experts)]


def _expert(spec: str) -> Parent:
    try:
        return Parent(
            spec, stated_licence(local_directory(spec, ["README.md"])), not user_path(spec).is_dir()
        )
    except UserError:  # it was moved after the search
        return Parent(spec, None)


def stated_licence(folder: Path) -> str | None:
    """The licence that the header of a directory's README.md states, in lower case; or None.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "README.md").write_text("---\\nlicense: Apache-2.0\\n---\\n# A model")
        ...     stated_licence(Path(folder))
        'apache-2.0'
    """
    try:
        text = read_text(folder / "README.md")
        header = yaml.safe_load(text.split("\n---", 1)[0]) if text.startswith("---\n") else None
    except (OSError, UserError, yaml.YAMLError, RecursionError):
        return None
    licence = header.get("license") if isinstance(header, dict) else None
    return licence.strip().lower() if isinstance(licence, str) and licence.isprintable() else None
