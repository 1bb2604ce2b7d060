"""`Item`, one question with its answer, and `Task`, a dev and a test set of items."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Item:
    """One question with its right answer.

    Attributes:
        id: name of the item within its split.
        question: the text of the question, without a leading ``Question:``.
        choices: letter -> text for multiple choice, None for open questions.
        answer: the letter of the right choice, or the right answer itself; empty if a reward, a judge or a classifier
            scores the generated text.
        meta: further fields of the source, for example ``domain``.
        plain: the question is a complete prompt, given to the model verbatim.

    Example:
        >>> item = Item("1", "What is two plus two?", {"A": "four", "B": "five"}, "A")
        >>> item.answer_text
        'four'
    """

    id: str
    question: str
    choices: dict[str, str] | None
    answer: str
    meta: Mapping[str, str] = field(default_factory=dict)
    plain: bool = False

    @property
    def references(self) -> list[str]:
        """All right answers: `answer_text`, then the ``answers`` of the source (a JSON list).

        Example:
            >>> Item("1", "Who wrote Faust?", None, "Goethe", {"answers": '["J. W. Goethe"]'}).references
            ['Goethe', 'J. W. Goethe']
        """
        first = [self.answer_text] if self.answer else []
        return list(dict.fromkeys([*first, *json.loads(self.meta.get("answers", "[]"))]))

    @property
    def answer_text(self) -> str:
        """The text of the right choice, or the answer itself without choices."""
        return self.answer if self.choices is None else self.choices[self.answer]


@dataclass(frozen=True)
class Task:
    """A dev set, which guides the search, and a test set, which the search never sees.

    Attributes:
        name: short name, used in tables.
        dev: items that guide the search.
        test: held-out items.
        prompt: template of the user turn with ``{question}`` and ``{choices}``, or None for the default.
        metric: name of its metric (see `metrics.registry`), or None for accuracy.
        source: the spec that the user gave.
        note: what was decided in reading it, in a sentence for the user: how dev and test were drawn; or "".
        fingerprint: SHA-256 (hex) of the content of dev and test, whatever the file's path and layout; computed by
            default.

    Example:
        >>> items = tuple(Item(str(i), f"Question {i}?", None, "yes") for i in range(3))
        >>> task = Task("mine", dev=items[:2], test=items[2:])
        >>> [item.id for item in task.limited(dev=1).split("dev")]
        ['0']
    """

    name: str
    dev: tuple[Item, ...]
    test: tuple[Item, ...]
    prompt: str | None = None
    source: str = ""
    fingerprint: str = ""
    metric: str | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if not self.fingerprint:
            object.__setattr__(self, "fingerprint", _fingerprint(self.dev, self.test))

    def split(self, name: str) -> tuple[Item, ...]:
        """The items of ``"dev"`` or ``"test"``; ValueError for other names."""
        if name not in ("dev", "test"):
            raise ValueError(f"a task has the splits dev and test, not {name!r}")
        return self.dev if name == "dev" else self.test

    def limited(self, dev: int | None = None, test: int | None = None) -> Task:
        """The same task with the first `dev` and the first `test` items (None, or more than there are: all)."""
        for name, n in (("dev", dev), ("test", test)):
            if n is not None and n < 1:
                raise ValueError(f"at least one {name} item is needed, not {n}")
        return replace(self, dev=self.dev[:dev], test=self.test[:test], fingerprint="")


@dataclass(frozen=True)
class RawTask:
    """The content of a task file, before its items are checked against each other."""

    name: str
    prompt: str | None
    splits: dict[str, list[tuple[str, Item]]]  # ``dev`` and ``test`` -> (place, item) pairs in the file's order
    metric: str | None = None
    strata: str | None = None  # what dev and test were stratified by; None: the file has splits
    note: str = ""  # what was decided about the answers of a table


def _fingerprint(dev: tuple[Item, ...], test: tuple[Item, ...]) -> str:
    content = {
        split: [
            [item.id, item.question, item.choices, item.answer, dict(item.meta)] + ["plain"] * item.plain
            for item in items
        ]
        for split, items in (("dev", dev), ("test", test))
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
