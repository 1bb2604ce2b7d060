"""What model cards say: their licences, and the questions that an expert was trained on."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import yaml

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import INPUT_LIMIT, read_text, user_path
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.experts.files import EMBEDDED, local_directory
from pyswarmopt_llm.scores.tasks.templates import render_prompt
from pyswarmopt_llm.scores.tasks.types import Task

QUESTIONS = "<!-- questions:"  # in a card, before their digests; not shown to readers
_ID = re.compile(r"(?:\w[\w.-]*/)?\w[\w.-]*")  # of the Hub


@dataclass(frozen=True)
class Parent:
    """A model merged into the result.

    Attributes:
        name: its public name.
        licence: as its card states it (``apache-2.0``, ``llama3.1``, ...); None if it states none.
    """

    name: str
    licence: str | None


def parents_of(config: SearchConfig, weights: Iterable[float]) -> list[Parent]:
    """The base, and the experts with non-zero weight in the result of a search over one base.

    Args:
        config: configuration of the search.
        weights: the experts' weights in the result, in order.

    Raises:
        UserError: the base is missing.
    """
    base = resolve_base(config.base)
    licence = stated_licence(base.path)
    if config.base.startswith(EMBEDDED):
        from pyswarmopt_llm.experts.quantised import LICENCE

        licence = LICENCE
    used = [spec for spec, weight in zip(config.experts, weights, strict=False) if weight]
    return [Parent(base.name, licence), *map(_expert, used)]


def _expert(spec: str) -> Parent:
    try:
        return Parent(spec, stated_licence(local_directory(spec, ["README.md"])))
    except UserError:  # moved after the search
        return Parent(spec, None)


def may_be_on_hub(name: str) -> bool:
    """Whether a model's name could be a Hub id: it has the form of one, and is not a local path. The
    Hub rejects a card whose base has any other name.

    Example:
        >>> may_be_on_hub("org/model"), may_be_on_hub("/home/me/model")
        (True, False)
    """
    return bool(_ID.fullmatch(name)) and not user_path(name).exists()


def stated_licence(folder: Path) -> str | None:
    """The licence id in the header of a directory's README.md, in lower case, with the name of an
    ``other`` licence; None if there is not exactly one, or no readable header.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "README.md").write_text("---\\nlicense: Apache-2.0\\n---\\n# A model")
        ...     stated_licence(Path(folder))
        'apache-2.0'
    """
    try:
        _, text, _ = read_text(folder / "README.md", INPUT_LIMIT).split("---\n", 2)
        header = yaml.safe_load(text)
        licence = header["license"]
        if isinstance(licence, list):
            (licence,) = licence
        licence = licence.lower()
        if licence == "other":
            return f"{licence} ({header['license_name'].lower()})"
        return licence
    except Exception:  # a stranger's card may hold anything
        return None


def digest_of(question: str) -> str:
    """A digest of a question that ignores case and spaces.

    Example:
        >>> digest_of("Who is it?") == digest_of("who  is it? ")
        True
    """
    plain = " ".join(question.casefold().split())
    return blake2b(plain.encode("utf-8", "replace"), digest_size=5).hexdigest()


def learnt_items(adapter: Path, task: Task) -> int:
    """Number of a task's dev items whose questions an adapter was trained on, according to its card."""
    card = adapter / "README.md"
    text = ""
    if card.is_file():
        text = card.read_text("utf-8", "replace")
    learnt = {*text.partition(QUESTIONS)[2].split()}
    if not learnt:
        return 0
    count = 0
    for item in task.dev:
        asked = render_prompt(item, "likelihood" if item.choices else "generate", task.prompt)
        count += not learnt.isdisjoint({digest_of(item.question), digest_of(asked)})
    return count
