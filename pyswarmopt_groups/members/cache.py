"""Members' responses, cached on disk: a resumed run repeats no request."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any, TypeVar

from pyswarmopt_groups.members.protocol import (
    GREEDY,
    Answer,
    Likelihood,
    Member,
    Pair,
    Sampling,
    Texts,
)
from pyswarmopt_llm.common.files.append_log import AppendLog
from pyswarmopt_llm.common.files.fingerprint import canonical
from pyswarmopt_llm.common.files.json_types import wrong_field
from pyswarmopt_llm.scores.tasks import Item, Scoring

Unit = TypeVar("Unit")
Response = TypeVar("Response", Answer, Texts, Likelihood)

CHUNK = 64  # requests between two writes: the most that an interrupted run repeats


class ResponseCache:
    """Request key -> response, in an append-only JSONL file or in memory.

    Args:
        file: the file, whose half-written last line is removed; None: in memory.

    Raises:
        UserError: another line is damaged.

    Attributes:
        known: the responses, as in the file.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._log = AppendLog(
            file, wrong=lambda row: wrong_field(row, dict.fromkeys(row, dict[str, Any]))
        )
        self.responses: dict[str, Any] = {}
        for row in self._log.repaired():
            self.responses.update(row)

    def add(self, responses: dict[str, Any]) -> None:
        """Append one line: a batch is kept or lost, and then repeated, as a whole."""
        self.responses.update(responses)
        self._log.append(responses)


class CachedMember:
    """A `Member` whose responses are cached by the exact request.

    Args:
        member: the member.
        cache: shared by a group.
    """

    def __init__(self, member: Member, cache: ResponseCache) -> None:
        self.member, self._cache = member, cache
        self.name, self.fingerprint = member.name, member.fingerprint
        self.gives_likelihoods, self.count = member.gives_likelihoods, member.count

    def answer(
        self, items: Sequence[Item], scoring: Scoring, template: str | None = None
    ) -> list[Answer]:
        """See `Member`."""
        keys = [
            self._key("answer", [i.question, i.choices, i.plain], scoring, template) for i in items
        ]
        return self._cached(
            items, keys, lambda some: self.member.answer(some, scoring, template), Answer
        )

    def generate(self, prompts: Sequence[str], how: Sampling = GREEDY) -> list[Texts]:
        """See `Member`."""
        keys = [self._key("generate", prompt, *astuple(how)) for prompt in prompts]

        def make(texts: Sequence[str], tokens: int) -> Texts:
            return Texts(tuple(texts), tokens)

        return self._cached(prompts, keys, lambda some: self.member.generate(some, how), make)

    def likelihoods(self, pairs: Sequence[Pair]) -> list[Likelihood]:
        """See `Member`."""
        keys = [self._key("likelihood", list(pair)) for pair in pairs]
        return self._cached(pairs, keys, self.member.likelihoods, Likelihood)

    def _key(self, *request: Any) -> str:
        return hashlib.blake2b(canonical([self.fingerprint, *request]), digest_size=16).hexdigest()

    def _cached(
        self,
        units: Sequence[Unit],
        keys: Sequence[str],
        request: Callable[[Sequence[Unit]], list[Response]],
        make: Callable[..., Response],
    ) -> list[Response]:
        """Request what is missing, without duplicates and `CHUNK` at a time."""
        cached = self._cache.responses
        missing = {
            key: unit for key, unit in zip(keys, units, strict=True) if cached.get(key) is None
        }
        requested = list(missing)
        for start in range(0, len(requested), CHUNK):
            some = requested[start : start + CHUNK]
            responses = map(asdict, request([missing[key] for key in some]))
            self._cache.add(dict(zip(some, responses, strict=True)))
        return [make(**cached[key]) for key in keys]
