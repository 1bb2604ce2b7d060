"""Selection of members per item: members that are good on similar items, a single one chosen before
any answers, or as many as needed for certainty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from transformers import BatchEncoding

from pyswarmopt.base.arrays import Floats, Ints
from pyswarmopt_groups import voting
from pyswarmopt_groups.context import GroupContext, GroupVerdict, verdict_for
from pyswarmopt_groups.members.adverse import LyingMember
from pyswarmopt_groups.members.cache import CachedMember
from pyswarmopt_groups.members.local import LocalMember
from pyswarmopt_groups.members.protocol import BLANK, Member
from pyswarmopt_groups.responses import Responses
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.batching import longest_first
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.scores.tasks import Item

# Confidence in the leading answer at which a cascade stops; the best threshold on dev is used.
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


def nearest(context: GroupContext, items: Sequence[Item], neighbours: int) -> list[GroupVerdict]:
    """KNORA-U: a member's votes are its right answers on the nearest dev items; without any it is
    not queried.

    If no member is right on any of them, all have one vote.
    """
    votes, cost = right_nearby(context, items, neighbours)
    votes = np.where(votes.sum(axis=0) == 0, 1, votes)
    responses = context.collect_some(items, votes > 0)
    verdicts = []
    for i, ballots in enumerate(responses.ballots):
        answer = voting.weighted(ballots, votes[:, i].tolist()).answer
        queried = int(np.count_nonzero(votes[:, i]))
        verdicts.append(verdict_for(answer, ballots, cost[i] + responses.costs[i], queried))
    return verdicts


def cascade(context: GroupContext, items: Sequence[Item]) -> list[GroupVerdict]:
    """Members answer one after another, the best on dev first, until the group is sure enough.

    The belief in an option is proportional to the product of the members' calibrated probabilities.
    The cascade stops once one option's belief reaches the `best_threshold`.
    """
    order = context.order
    threshold = best_threshold(context)
    rows = [[BLANK] * len(items) for _ in context.members]

    def probabilities(index: int, left: Sequence[int]) -> list[Floats]:
        k = order[index]
        some = [items[i] for i in left]
        replies = context.answers_of(k, some)
        for i, answer in zip(left, replies, strict=True):
            rows[k][i] = answer
        beliefs = context.beliefs(k, some, replies)
        return [p[: len(item.letters)] for item, p in zip(some, beliefs, strict=True)]

    beliefs, used = run_cascade(context.n, len(items), threshold, probabilities)
    responses = Responses(items, rows)
    verdicts = []
    for i, count in enumerate(used):
        answer = items[i].letters[int(beliefs[i].argmax())]
        verdicts.append(verdict_for(answer, responses.ballots[i], responses.costs[i], count))
    return verdicts


def best_threshold(context: GroupContext) -> float:
    """The threshold of a cascade with the most right answers on dev, among equals the cheapest."""
    dev = context.probabilities(context.dev)[context.order]
    labels = context.labels

    def quality(threshold: float) -> tuple[int, int]:
        beliefs, used = run_cascade(context.n, len(labels), threshold, lambda k, left: dev[k, left])
        pairs = zip(beliefs, labels, strict=True)
        return sum(belief.argmax() == label for belief, label in pairs), -sum(used)

    return max(THRESHOLDS, key=quality)


def run_cascade(
    n: int,
    items: int,
    threshold: float,
    probabilities: Callable[[int, Sequence[int]], Iterable[Floats]],
) -> tuple[list[Floats], list[int]]:
    """The final belief in each item's options, and the number of members used for each item.

    Args:
        n: number of members.
        items: number of items.
        threshold: belief at which to stop; 1 uses all members.
        probabilities: (place in the order, undecided items) -> each item's probabilities of its
            options.

    Example:
        >>> p = np.array([[[0.9, 0.1], [0.6, 0.4]], [[0.2, 0.8], [0.1, 0.9]]])
        >>> beliefs, used = run_cascade(2, 2, 0.8, lambda k, left: p[k, left])
        >>> [belief.round(3).tolist() for belief in beliefs], used
        ([[0.9, 0.1], [0.143, 0.857]], [1, 2])
        >>> run_cascade(2, 2, 1.0, lambda k, left: p[k, left])[1]
        [2, 2]
    """
    beliefs: list[Floats] = [np.ones(1)] * items
    used = [0] * items
    left = list(range(items))
    for index in range(n):
        for i, p in zip(left, probabilities(index, left), strict=True):
            product = beliefs[i] * p
            beliefs[i] = product / product.sum()
            used[i] = index + 1
        left = [i for i in left if threshold >= 1 or beliefs[i].max() < threshold]
        if not left:
            break
    return beliefs, used


def by_neighbours(
    context: GroupContext, items: Sequence[Item], neighbours: int
) -> list[GroupVerdict]:
    """Each item goes to the member that is right on most of its nearest dev items; ties go to the
    better on dev, then the first-listed.
    """
    order = np.array(context.order)
    right, cost = right_nearby(context, items, neighbours)
    chosen = order[right[order].argmax(axis=0)]
    responses = context.collect_some(items, np.arange(context.n)[:, None] == chosen)
    verdicts = []
    for i, k in enumerate(chosen):
        ballots = responses.ballots[i]
        tokens = cost[i] + responses.costs[i]
        name = context.members[k].name
        verdicts.append(verdict_for(ballots[k], ballots, tokens, 1, member=name))
    return verdicts


@torch.inference_mode()
def embed(engine: TransformersEngine, texts: Sequence[str]) -> Floats:
    """The mean of the last layer's hidden states over a text's tokens, scaled to length 1: (N,
    hidden) float64.

    Uses the loaded candidate. The dot product of two embeddings is their cosine similarity. Texts
    get no chat template, whose tokens would make them all alike.
    """
    encoded = [engine.encode_prompt(text) for text in texts]
    embeddings = np.empty((len(texts), engine.model.get_input_embeddings().embedding_dim))
    lengths = [*map(len, encoded)]
    for indices in longest_first(lengths, lambda longest: engine.batch_tokens // longest):
        batch = padded(engine, [encoded[index] for index in indices])
        states = engine.model.base_model(**batch).last_hidden_state
        weights = batch["attention_mask"][..., None]
        means = (states.float() * weights).sum(1) / weights.sum(1)
        embeddings[indices] = torch.nn.functional.normalize(means, dim=-1).double().cpu().numpy()
    return embeddings


def padded(engine: TransformersEngine, rows: Iterable[Sequence[int]]) -> BatchEncoding:
    """Texts padded on the right, as inputs of the engine's model."""
    batch = engine.tokenizer.pad(
        {"input_ids": list(map(list, rows))},
        padding_side="right",
        return_attention_mask=True,
        return_tensors="pt",
    )
    return batch.to(engine.model.device)


def embedding_member(members: Sequence[Member]) -> LocalMember:
    """The first member in this process.

    Raises:
        UserError: there is none.
    """
    for member in members:
        inner = member
        while isinstance(inner, CachedMember | LyingMember):  # a liar reads as its truthful self
            inner = inner.member
        if isinstance(inner, LocalMember):
            return inner
    raise UserError("no member is a local model; choose another strategy")


def question_embeddings(context: GroupContext, items: Sequence[Item]) -> tuple[Floats, list[int]]:
    """Embeddings of the questions by one member's bare base, (items, hidden); the tokens per item."""
    member = embedding_member(context.members)
    model = member.base.load(Patch())
    texts = [item.question for item in items]
    return embed(model, texts), [len(model.tokenizer(text)["input_ids"]) for text in texts]


def right_nearby(
    context: GroupContext, items: Sequence[Item], neighbours: int
) -> tuple[Ints, list[int]]:
    """Each member's right answers on the nearest dev items by cosine similarity, (n, items), ties to
    the earlier item; and the tokens per item.
    """
    points, _ = question_embeddings(context, context.dev.items)
    asked, tokens = question_embeddings(context, items)
    near = np.argsort(-(asked @ points.T), axis=1, kind="stable")[:, :neighbours]
    return context.dev.right[:, near].sum(axis=2), tokens
