"""A search's helpers: a crew asks the candidates, and shares out the items of one where workers are left over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.evaluation.evaluator import Evaluation, Evaluator, Request, ShardEvaluation, ShardRequest, timed
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
        evaluator: knows how a candidate is cut into parts; nothing is asked here.
    """

    def __init__(self, crew: Crew, questions: Questions, evaluator: Evaluator) -> None:
        self._crew, self._questions, self._evaluator = crew, questions, evaluator
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="shared")

    def close(self) -> None:
        """Give up what is under way; the crew has been closed."""
        self._threads.shutdown(cancel_futures=True)

    @property
    def size(self) -> int:
        """How many workers there are now."""
        return self._crew.size

    def submit(self, requests: Sequence[Request], share: int | None = None) -> list[Future[Evaluation]]:
        """Begin to evaluate these candidates, the first ones first, each by `share` workers; None: by `shares`."""
        found: list[Future[Evaluation]] = []
        each = shares(len(requests), self._crew.size) if share is None else [share] * len(requests)
        batches = self._evaluator.batches() if max(each, default=1) > 1 else {}
        for rank, (request, share) in enumerate(zip(requests, each, strict=True)):
            if share == 1 or request.screen is not None or not batches:
                found.append(self._crew.submit(Order(self._questions, request), rank))
            else:
                found.append(self._threads.submit(self._evaluate_together, request, batches, rank, share))
        return found

    def _evaluate_together(
        self, request: Request, batches: Mapping[str, Sequence[tuple[int, ...]]], rank: int, share: int
    ) -> Evaluation:
        """All items, in so many shards; a task that cannot be divided is one of them."""
        heaps: list[Mapping[str, tuple[int, ...] | None]] = [
            {name: None} for name in self._evaluator.utilities if name not in batches
        ]
        heaps += in_heaps([(name, batch) for name, found in batches.items() for batch in found], share)
        replies = self._all(request, heaps, rank)
        values: dict[str, dict[int, float]] = {name: {} for name in batches}
        scores: dict[str, Score] = {}
        for reply, heap in zip(replies, heaps, strict=True):
            scores |= reply.scores
            for name, found in reply.values.items():
                values[name] |= zip(heap[name] or (), found, strict=True)
        scores |= {name: score_of([found[i] for i in sorted(found)]) for name, found in values.items()}
        total = self._evaluator.combined({name: scores[name] for name in self._evaluator.utilities})
        return timed(total, sum(reply.seconds for reply in replies))

    def _all(
        self, request: Request, heaps: Sequence[Mapping[str, tuple[int, ...] | None]], rank: int
    ) -> list[ShardEvaluation]:
        orders = [Order(self._questions, ShardRequest(request.position, heap)) for heap in heaps]
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
