"""The models merged into a result, and their licences."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import open_regular, user_path
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.experts.files import EMBEDDED, local_directory

_ID = re.compile(r"(?:\w[\w.-]*/)?\w[\w.-]*")  # of the Hub
HEADER = 2**20  # bytes of a model card searched for its licence
OTHER = "other"  # a licence without an id on the Hub
# On the key's line, or the only item of a list, with or without quotes.
_VALUE = r"""(?:-[ \t]*)?(?P<quote>['"]?)(?P<value>[A-Za-z0-9][\w.+ -]{0,99}?)(?P=quote)[ \t]*(?:\#.*)?$(?!\n[ \t]*-)"""


@dataclass(frozen=True)
class Parent:
    """A model merged into the result.

    Attributes:
        name: its public name.
        licence: as its card states it (``apache-2.0``, ``llama3.1``, ...); None if it states none.
        on_hub: whether `name` is an id of the Hub.
    """

    name: str
    licence: str | None
    on_hub: bool = False


def parents_of(config: SearchConfig, weights: Iterable[float]) -> list[Parent]:
    """The base, and the experts with non-zero weight in the result of a search over one base.

    Args:
        config: configuration of the search.
        weights: the experts' weights in the result, in order.

    Raises:
        UserError: the base is missing.
    """
    base = resolve_base(config.base)
    if config.base.startswith(EMBEDDED):
        from pyswarmopt_llm.experts.quantised.embedded import LICENCE

        licence: str | None = LICENCE
    else:
        licence = stated_licence(base.path)
    used = [spec for spec, weight in zip(config.experts, weights, strict=False) if weight]
    return [Parent(base.name, licence), *map(_expert, used)]


def _expert(spec: str) -> Parent:
    try:
        return Parent(
            spec, stated_licence(local_directory(spec, ["README.md"])), not user_path(spec).is_dir()
        )
    except UserError:  # moved after the search
        return Parent(spec, None)


def may_be_on_hub(name: str) -> bool:
    """Whether a model's name may be an id of the Hub: of an id's form, and no local path. The Hub
    takes no card that gives another name as its base.

    Example:
        >>> may_be_on_hub("org/model"), may_be_on_hub("/home/me/model")
        (True, False)
    """
    return bool(_ID.fullmatch(name)) and not user_path(name).exists()


def stated_licence(folder: Path) -> str | None:
    """The licence stated in the header of a directory's README.md, in lower case; or None.

    A card may come from a stranger, so its header is not parsed as YAML but line by line: one value
    of ``license`` in the first `HEADER` bytes. If the licence is ``other``, its name is added.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "README.md").write_text("---\\nlicense: Apache-2.0\\n---\\n# A model")
        ...     stated_licence(Path(folder))
        'apache-2.0'
    """
    header = _header_of(folder / "README.md")
    licence = _stated(header, "license")
    name = _stated(header, "license_name") if licence == OTHER else None
    return f"{OTHER} ({name})" if name else licence


def _header_of(card: Path) -> str:
    """The front matter of a card, as text; "" if there is none."""
    try:
        with open_regular(card, sys.maxsize) as file:
            text = file.read(HEADER).decode("utf-8", "replace").replace("\r\n", "\n")
    except (OSError, UserError):
        return ""
    return text.split("\n---", 1)[0] if text.startswith("---\n") else ""


def _stated(header: str, key: str) -> str | None:
    """The single plain value of a key, in lower case."""
    match = re.search(rf"^{key}:\s*{_VALUE}", header, re.MULTILINE)
    return match["value"].strip().lower() if match else None
