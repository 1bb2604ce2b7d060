"""A search's helpers: a crew asks the candidates, and shares out the items of one where workers are left over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.evaluation.evaluator import Ask, Asker, AskItems, Found, FoundItems, Parts, timed
from pyswarmopt_llm.evaluation.partial import Evaluation, ItemRule
from pyswarmopt_llm.evaluation.workers.messages import Order
from pyswarmopt_llm.evaluation.workers.pool import Crew
from pyswarmopt_llm.jobs.search.prepare import Questions

_THREADS = 64  # candidates that are shared at the same time; each waits in a thread of its own


class Team:
    """Has a crew ask candidates these questions; `objective.Helpers`.

    A candidate that is shared gets the row that one worker would have written: parts are asked ahead, as many as there
    are workers for it, but count in the order, and up to the end, that its rules and values ask for.

    Args:
        crew: who asks.
        questions: what.
        asker: knows how a candidate is cut into parts; nothing is asked here.
    """

    def __init__(self, crew: Crew, questions: Questions, asker: Asker) -> None:
        self._crew, self._questions, self._asker = crew, questions, asker
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="shared")

    def close(self) -> None:
        """Give up what is under way; the crew has been closed."""
        self._threads.shutdown(cancel_futures=True)

    @property
    def count(self) -> int:
        """How many workers there are now."""
        return self._crew.size

    def begin(self, asks: Sequence[Ask], share: int | None = None) -> list[Future[Found]]:
        """Begin to ask these candidates, the first ones first, each of them by `share` workers; None: by `shares`."""
        found: list[Future[Found]] = []
        each = shares(len(asks), self._crew.size) if share is None else [share] * len(asks)
        for rank, (ask, share) in enumerate(zip(asks, each, strict=True)):
            alone = share == 1 or any(isinstance(rule, ItemRule) for rule in ask.rules)
            if alone or not self._asker.by_parts:
                found.append(self._crew.submit(Order(self._questions, ask), rank))
            else:
                found.append(self._threads.submit(self._ask_together, ask, rank, share))
        return found

    def _ask_together(self, ask: Ask, rank: int, share: int) -> Found:
        if ask.rules or ask.known is not None:
            return self._ask_ahead(ask, rank, share)
        return self._ask_at_once(ask, rank, share)

    def _ask_at_once(self, ask: Ask, rank: int, share: int) -> Found:
        """All items, in so many heaps; what cannot be asked part by part is one of them."""
        heaps: list[Mapping[str, tuple[int, ...] | None]] = [
            {name: None} for name in self._asker.utilities if name not in self._asker.by_parts
        ]
        heaps += in_heaps([(name, part.indices) for name, part in self._asker.parts()], share)
        replies = self._all(ask, heaps, rank)
        values: dict[str, dict[int, float]] = {name: {} for name in self._asker.by_parts}
        scores: dict[str, Score] = {}
        for reply, heap in zip(replies, heaps, strict=True):
            scores |= reply.scores
            for name, found in reply.values.items():
                values[name] |= zip(heap[name] or (), found, strict=True)
        scores |= {name: score_of([found[i] for i in sorted(found)]) for name, found in values.items()}
        total = self._asker.total({name: scores[name] for name in self._asker.utilities})
        return timed(total, sum(reply.seconds for reply in replies))

    def _ask_ahead(self, ask: Ask, rank: int, share: int) -> Found:
        """Part by part, each time the next one together with those that would probably follow."""
        fetched: dict[int, Sequence[float]] = {}
        seconds = 0.0

        def take(k: int, parts: Parts, evaluation: Evaluation) -> Sequence[float]:
            nonlocal seconds
            if k not in fetched:
                following = ask.telling.order(evaluation, parts, ask.rules)
                wave = [k, *islice((j for j in following if j != k and j not in fetched), share - 1)]
                heaps = [{parts[j][0]: parts[j][1].indices} for j in wave]
                for j, reply in zip(wave, self._all(ask, heaps, rank), strict=True):
                    fetched[j] = reply.values[parts[j][0]]
                    seconds += reply.seconds
            return fetched[k]

        return timed(self._asker.ask_parts(ask, take), seconds)

    def _all(self, ask: Ask, heaps: Sequence[Mapping[str, tuple[int, ...] | None]], rank: int) -> list[FoundItems]:
        orders = [Order(self._questions, AskItems(ask.position, heap)) for heap in heaps]
        return [future.result() for future in [self._crew.submit(order, rank) for order in orders]]


def shares(candidates: int, workers: int) -> list[int]:
    """How many workers each candidate gets: one, but for the last ones, which share the workers that are left over.

    Example:
        >>> shares(5, 2), shares(2, 4), shares(4, 3)
        ([1, 1, 1, 1, 2], [2, 2], [1, 1, 1, 3])
    """
    left = candidates % workers
    return [1] * (candidates - left) + [workers // left] * left if left else [1] * candidates


def in_heaps(parts: Sequence[tuple[str, tuple[int, ...]]], count: int) -> list[dict[str, tuple[int, ...]]]:
    """Parts in at most `count` heaps of about the same number of items.

    Example:
        >>> in_heaps([("t", (0, 1)), ("t", (2,)), ("u", (0,))], 2)
        [{'t': (0, 1)}, {'t': (2,), 'u': (0,)}]
    """
    heaps: list[dict[str, tuple[int, ...]]] = [{} for _ in range(min(count, len(parts)))]
    sizes = [0] * len(heaps)
    for name, indices in sorted(parts, key=lambda part: -len(part[1])):
        k = sizes.index(min(sizes))
        heaps[k][name] = (*heaps[k].get(name, ()), *indices)
        sizes[k] += len(indices)
    return heaps


__all__ = ["Team", "in_heaps", "shares"]
