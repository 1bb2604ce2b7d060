"""Members' stored responses: a resumed run repeats no request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, replace
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
from pyswarmopt_llm.common.files.json_types import WrongType, typed
from pyswarmopt_llm.common.files.regular import digest
from pyswarmopt_llm.run.record import Store
from pyswarmopt_llm.scores.tasks import AnswerFormat, Item

Unit = TypeVar("Unit")
Response = TypeVar("Response")

RESPONSE = "response"  # name in the store
CHUNK = 64  # requests between two writes: the most that an interrupted run repeats


class CachedMember(Member):
    """A `Member` whose responses are stored by exact request.

    Args:
        member: the member.
        store: store shared by a group.
    """

    def __init__(self, member: Member, store: Store) -> None:
        super().__init__(member.name, member.fingerprint)
        self.member = member
        self._store = store
        self.gives_likelihoods = member.gives_likelihoods
        self.reply_tokens = member.reply_tokens
        self.count = member.count  # type: ignore[method-assign]

    def answer(
        self, items: Sequence[Item], answer_format: AnswerFormat, template: str | None = None
    ) -> list[Answer]:
        """See `Member`."""
        requests = [
            ["answer", i.question, i.choices, i.plain, answer_format, template, *i.meta.items()]
            for i in items
        ]
        return self._cached(
            items, requests, lambda some: self.member.answer(some, answer_format, template), Answer
        )

    def generate(self, prompts: Sequence[str], how: Sampling = GREEDY) -> list[Texts]:
        """See `Member`."""
        how = replace(how, max_new_tokens=self.longest(how))
        requests = [["generate", prompt, *astuple(how)] for prompt in prompts]
        return self._cached(prompts, requests, lambda some: self.member.generate(some, how), Texts)

    def likelihoods(self, pairs: Sequence[Pair]) -> list[Likelihood]:
        """See `Member`."""
        requests: list[list[Any]] = [["likelihood", *pair] for pair in pairs]
        return self._cached(pairs, requests, self.member.likelihoods, Likelihood)

    def _cached(
        self,
        units: Sequence[Unit],
        requests: Sequence[list[Any]],
        ask: Callable[[Sequence[Unit]], list[Response]],
        kind: type[Response],
    ) -> list[Response]:
        """Request missing responses, without duplicates and `CHUNK` at a time."""
        keys = [digest([self.fingerprint, *request]) for request in requests]
        units_by_key = dict(zip(keys, units, strict=True))
        missing = [key for key in units_by_key if (RESPONSE, key) not in self._store]
        for start in range(0, len(missing), CHUNK):
            some = missing[start : start + CHUNK]
            for key, response in zip(some, ask([units_by_key[key] for key in some]), strict=True):
                self._store.add(RESPONSE, key, {"response": vars(response)})
        return [self._read(key, kind) for key in keys]

    def _read(self, key: str, kind: type[Response]) -> Response:
        """A stored response."""
        try:
            response: Response = typed(self._store.known[RESPONSE, key].get("response"), kind)
        except WrongType as error:
            raise self._store.damaged(RESPONSE, key, "response") from error
        return response
