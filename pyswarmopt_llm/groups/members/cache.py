"""What members have said, kept on disk: a run that is begun again asks nothing twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.locked_directory import mend
from pyswarmopt_llm.common.files.regular import LINES_LIMIT, append_line, read_text
from pyswarmopt_llm.common.fingerprint import canonical
from pyswarmopt_llm.groups.members.protocol import Answer, Likelihood, Member, Pair, Texts
from pyswarmopt_llm.metrics.accuracy import MAX_NEW_TOKENS
from pyswarmopt_llm.tasks import Item, Scoring

Unit = TypeVar("Unit")
Said = TypeVar("Said", Answer, Texts, Likelihood)

CHUNK = 64  # requests between two writes: what a stopped run may have to ask again


class Memory:
    """Key -> what was said, in a JSONL file that only grows, or in memory alone.

    Args:
        file: where; a half-written last line is cut off. None keeps nothing beyond the process.

    Raises:
        UserError: another line is damaged.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._known: dict[str, Any] = {}
        if file is None or not file.exists():
            return
        mend(file)
        for number, line in enumerate(read_text(file, LINES_LIMIT).splitlines(), start=1):
            try:
                self._known.update(json.loads(line))
            except (ValueError, TypeError, RecursionError) as error:
                raise UserError(f"{file}: line {number}: damaged; remove this line") from error

    def recall(self, keys: Sequence[str]) -> list[Any]:
        """What is kept under each key; None for nothing."""
        return [self._known.get(key) for key in keys]

    def keep(self, keys: Sequence[str], said: Sequence[Any]) -> None:
        """Add a line to the file: what was asked together is lost together, and asked again in the same batches."""
        new = dict(zip(keys, said, strict=True))
        self._known.update(new)
        if self._file is not None:
            append_line(self._file, new)


class Remembered:
    """A `Member` whose every answer is kept, by the exact request.

    Args:
        member: who is asked.
        memory: shared by a group.
    """

    def __init__(self, member: Member, memory: Memory) -> None:
        self.member, self._memory = member, memory
        self.name, self.fingerprint = member.name, member.fingerprint
        self.gives_likelihoods = member.gives_likelihoods

    def answer(self, items: Sequence[Item], scoring: Scoring, template: str | None = None) -> list[Answer]:
        """As the member's."""
        keys = [self._key("answer", [i.question, i.choices, i.plain], scoring, template) for i in items]
        return self._said(items, keys, lambda some: self.member.answer(some, scoring, template), Answer)

    def generate(
        self,
        prompts: Sequence[str],
        n: int = 1,
        temperature: float = 0.0,
        seed: int = 0,
        max_new_tokens: int = MAX_NEW_TOKENS,
    ) -> list[Texts]:
        """As the member's."""
        keys = [self._key("generate", prompt, n, temperature, seed, max_new_tokens) for prompt in prompts]

        def ask(some: Sequence[str]) -> list[Texts]:
            return self.member.generate(some, n, temperature, seed, max_new_tokens)

        return self._said(prompts, keys, ask, lambda texts, tokens: Texts(tuple(texts), tokens))

    def likelihoods(self, pairs: Sequence[Pair]) -> list[Likelihood]:
        """As the member's."""
        keys = [self._key("likelihood", list(pair)) for pair in pairs]
        return self._said(pairs, keys, self.member.likelihoods, Likelihood)

    def count(self, text: str) -> int:
        """As the member's."""
        return self.member.count(text)

    def _key(self, *request: Any) -> str:
        return hashlib.blake2b(canonical([self.fingerprint, *request]), digest_size=16).hexdigest()

    def _said(
        self,
        units: Sequence[Unit],
        keys: Sequence[str],
        ask: Callable[[Sequence[Unit]], list[Said]],
        make: Callable[..., Said],
    ) -> list[Said]:
        """Ask what is not known, each request once and `CHUNK` of them at a time."""
        known = dict(zip(keys, self._memory.recall(keys), strict=True))
        missing = {key: unit for key, unit in zip(keys, units, strict=True) if known[key] is None}
        wanted = list(missing)
        for start in range(0, len(wanted), CHUNK):
            some = wanted[start : start + CHUNK]
            said = [asdict(one) for one in ask([missing[key] for key in some])]
            self._memory.keep(some, said)
            known.update(zip(some, said, strict=True))
        return [make(**known[key]) for key in keys]


__all__ = ["CHUNK", "Memory", "Remembered"]
