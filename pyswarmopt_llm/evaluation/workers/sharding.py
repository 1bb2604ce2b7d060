"""Evaluate candidates on a pool; where workers are left over, the items of one candidate are shared
out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.evaluation.evaluator import (
    Evaluation,
    Evaluator,
    Questions,
    Request,
    ShardEvaluation,
    ShardRequest,
)
from pyswarmopt_llm.evaluation.workers.messages import Order
from pyswarmopt_llm.evaluation.workers.pool import Pool

_THREADS = 64  # candidates that are shared at the same time; each waits in a thread of its own
Batches = Mapping[str, Sequence[tuple[int, ...]]]  # task name -> its items, batch by batch
Shard = Mapping[str, tuple[int, ...] | None]  # task name -> items; None: the task as a whole


class ShardingPool:
    """Has a pool evaluate candidates on these questions; a `scorer.WorkerPool`.

    A candidate that is shared gets the row that one worker would have written, since shards are
    whole batches.

    Args:
        pool: who evaluates.
        questions: on what.
        evaluator: knows how a candidate is divided; nothing is evaluated here.
    """

    def __init__(self, pool: Pool, questions: Questions, evaluator: Evaluator) -> None:
        self._pool, self._questions, self._evaluator = pool, questions, evaluator
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="shared")

    def close(self) -> None:
        """Cancel what is under way; the pool has been closed."""
        self._threads.shutdown(cancel_futures=True)

    def submit(self, requests: Sequence[Request]) -> list[Future[Evaluation]]:
        """Begin to evaluate these candidates, the first ones first, each by its `shares` of the
        workers.
        """
        each = shares(len(requests), self._pool.size)
        batches = self._evaluator.batches() if max(each, default=1) > 1 else {}
        futures: list[Future[Evaluation]] = []
        for rank, (request, workers) in enumerate(zip(requests, each, strict=True)):
            if workers == 1 or request.screen is not None or not batches:
                futures.append(self._pool.submit(Order(self._questions, request), rank))
            else:
                futures.append(
                    self._threads.submit(self._evaluate_shared, request, batches, rank, workers)
                )
        return futures

    def _evaluate_shared(
        self, request: Request, batches: Batches, rank: int, workers: int
    ) -> Evaluation:
        """All items, in so many shards; a task that cannot be divided is one of them."""
        names = list(self._evaluator.utilities)
        shards: list[Shard] = [{name: None} for name in names if name not in batches]
        shards += in_shards(
            [(name, batch) for name, all_ in batches.items() for batch in all_], workers
        )
        replies = self._replies(request, shards, rank)
        values: dict[str, dict[int, float]] = {name: {} for name in batches}
        scores: dict[str, Score] = {}
        for reply, shard in zip(replies, shards, strict=True):
            scores |= reply.scores
            for name, shard_values in reply.values.items():
                values[name] |= zip(shard[name] or (), shard_values, strict=True)
        for name, by_item in values.items():
            scores[name] = score_of([by_item[i] for i in sorted(by_item)])
        total = self._evaluator.combined({name: scores[name] for name in names})
        return replace(total, seconds=round(sum(reply.seconds for reply in replies), 4))

    def _replies(
        self, request: Request, shards: Sequence[Shard], rank: int
    ) -> list[ShardEvaluation]:
        orders = [Order(self._questions, ShardRequest(request.position, shard)) for shard in shards]
        futures = [self._pool.submit(order, rank) for order in orders]
        return [future.result() for future in futures]


def shares(candidates: int, workers: int) -> list[int]:
    """How many workers each candidate gets: one, but for the last ones, which share the workers
    that are left over.

    Example:
        >>> shares(5, 2), shares(2, 4), shares(4, 3)
        ([1, 1, 1, 1, 2], [2, 2], [1, 1, 1, 3])
    """
    left = candidates % workers
    return [1] * (candidates - left) + [workers // left] * left if left else [1] * candidates


def in_shards(
    batches: Sequence[tuple[str, tuple[int, ...]]], count: int
) -> list[dict[str, tuple[int, ...]]]:
    """Batches (task name, items) in at most `count` shards of about the same number of items.

    Example:
        >>> in_shards([("t", (0, 1)), ("t", (2,)), ("u", (0,))], 2)
        [{'t': (0, 1)}, {'t': (2,), 'u': (0,)}]
    """
    shards: list[dict[str, tuple[int, ...]]] = [{} for _ in range(min(count, len(batches)))]
    sizes = [0] * len(shards)
    for name, items in sorted(batches, key=lambda batch: -len(batch[1])):
        k = sizes.index(min(sizes))
        shards[k][name] = (*shards[k].get(name, ()), *items)
        sizes[k] += len(items)
    return shards
