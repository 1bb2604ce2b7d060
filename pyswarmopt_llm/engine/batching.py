"""Plans batches of (context, continuation) pairs without computing any token twice.

Three savings, which change probabilities only by rounding:

1. the prefix that all contexts share (system prompt, instruction) is computed once per candidate;
2. pairs with the same context form one row: the context once, then a tree (trie) of their
   continuations, where a token attends to its ancestors only (the tree attention of SpecInfer, Miao
   et al. 2024, arXiv 2305.09781, section 4.2, with options instead of speculated tokens);
3. the last token of a continuation is only predicted, never fed.

Rows are sorted by length and split into batches by padded tokens and by attention keys, of which a
long shared prefix adds many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

Tokens = tuple[int, ...]
TokenPair = tuple[Tokens, Tokens]
Prompts = Sequence[Sequence[int]]  # token ids

# Keys (prefix and row, for every row) per token of the budget. A key takes the memory of a cache
# entry, a token also that of its activations, so there may be more keys than tokens, but not
# without limit: every row repeats the prefix.
KEYS_PER_TOKEN = 8


@dataclass(frozen=True)
class ContextTree:
    """One context with the tree of its continuations.

    Attributes:
        tokens: tokens to feed: the context without the shared prefix, then the tree's inner nodes.
        n_context: number of context tokens in `tokens`.
        parents: for each inner node the index of its parent (the last context token or a node).
        targets: (index of the predicting token, token id, index of the pair) per continuation
            token.
    """

    tokens: Tokens
    n_context: int
    parents: tuple[int, ...]
    targets: tuple[tuple[int, int, int], ...]

    @cached_property
    def ancestors(self) -> Tensor:
        """The ancestors of the N inner nodes, each node included: (N, N) bool."""
        seen = torch.eye(len(self.parents), dtype=torch.bool)
        for node, parent in enumerate(self.parents):
            if parent >= self.n_context:
                seen[node] |= seen[parent - self.n_context]
        return seen

    @property
    def depths(self) -> Tensor:
        """The depth of each token in the tree, (L,) int64."""
        inner = self.n_context - 1 + self.ancestors.sum(1)
        return torch.cat([torch.arange(self.n_context), inner])


@dataclass(frozen=True)
class Batch:
    """Rows padded to one length, as tensors on the CPU.

    Attributes:
        rows: rows of the batch.
        input_ids: (B, L) int64, right-padded with 0.
        position_ids: (B, L) int64, depth in the tree, prefix included.
        heads: (M,) int64 into the flattened (B * L) positions that need a prediction.
        target_head: (T,) int64 into `heads`; target_token: (T,) int64; target_pair: (T,) int64.
    """

    rows: tuple[ContextTree, ...]
    input_ids: Tensor
    position_ids: Tensor
    heads: Tensor
    target_head: Tensor
    target_token: Tensor
    target_pair: Tensor

    @property
    def pairs(self) -> Tensor:
        """The pairs scored in this batch, ascending, (P,) int64; each pair is in one batch only."""
        return self.target_pair.unique()

    @property
    def n_tokens(self) -> int:
        """Tokens fed, padding excluded."""
        return sum(len(row.tokens) for row in self.rows)

    def allowed(self) -> Tensor:
        """Mask of the tokens that each token attends to: (B, L, L) bool. Built on use, since its
        size is quadratic in L.
        """
        n_rows, width = self.input_ids.shape
        seen = torch.ones(width, width, dtype=torch.bool).tril().repeat(n_rows, 1, 1)
        for index, row in enumerate(self.rows):
            inner = slice(row.n_context, len(row.tokens))
            seen[index, inner, inner] = row.ancestors
        return seen


@dataclass(frozen=True)
class BatchPlan:
    """All batches for a list of pairs.

    Attributes:
        prefix: token ids shared by all contexts; computed once per candidate.
        batches: the remaining tokens.
    """

    prefix: Tokens
    batches: tuple[Batch, ...]


def encode_pair(
    encode: Callable[[str], Sequence[int]], context: str, continuation: str
) -> TokenPair:
    """Token ids of a context and of its continuation, split as in the EleutherAI harness.

    The whole string is tokenised and split after the context's own tokens, so that a continuation
    is tokenised as in running text; trailing spaces of the context move to the continuation. If a
    token would cross the boundary, the two are tokenised separately, so that every character of the
    continuation is scored and the options of an item share one context.

    Raises:
        ValueError: the context or the continuation has no tokens.

    Example:
        >>> encode_pair(lambda s: [ord(c) for c in s], "a", "bc")
        ((97,), (98, 99))
    """
    stripped = context.rstrip(" ")
    continuation = context[len(stripped) :] + continuation
    head = tuple(encode(stripped))
    whole = tuple(encode(stripped + continuation))
    tail = whole[len(head) :]
    if whole[: len(head)] != head:  # separately, without the special tokens added by `encode` (BOS)
        tail = tuple(encode(continuation))[len(encode("")) :]
    if not head or not tail:
        raise ValueError(
            f"context and continuation must both contain tokens, got {context!r} and {continuation!r}"
        )
    return head, tail


def build_row(
    context: Sequence[int], continuations: Sequence[tuple[int, Sequence[int]]]
) -> ContextTree:
    """The tree of `continuations` (pair index, token ids) after `context`.

    Example:
        >>> row = build_row([5, 6], [(0, [7, 8]), (1, [7, 9]), (2, [4])])
        >>> row.tokens, row.parents
        ((5, 6, 7), (1,))
        >>> row.targets          # 7 predicted after 6, 8 and 9 after 7, 4 after 6
        ((1, 7, 0), (2, 8, 0), (1, 7, 1), (2, 9, 1), (1, 4, 2))
    """
    tokens = list(context)
    parents = []
    children: dict[tuple[int, int], int] = {}
    targets = []
    for pair, continuation in continuations:
        at = len(context) - 1
        *inner, last = continuation or (0,)
        for token in inner:
            targets.append((at, token, pair))
            if (at, token) not in children:
                children[at, token] = len(tokens)
                parents.append(at)
                tokens.append(token)
            at = children[at, token]
        targets.append((at, last, pair))
    return ContextTree(tuple(tokens), len(context), tuple(parents), tuple(targets))


def shared_prefix(contexts: Sequence[Tokens]) -> int:
    """Length of the longest common prefix that leaves at least one token of each context.

    Example:
        >>> shared_prefix([(1, 2, 3), (1, 2, 4), (1, 2)])
        1
        >>> shared_prefix([(1, 2, 3)])
        0
    """
    if len(contexts) < 2:
        return 0
    low = min(contexts)
    high = max(contexts)
    pairs = enumerate(zip(low, high, strict=False))
    n = next((place for place, (a, b) in pairs if a != b), len(low))
    return min(n, min(map(len, contexts)) - 1)


def build_plan(pairs: Sequence[TokenPair], batch_tokens: int) -> BatchPlan:
    """Batches for `pairs`, at most `batch_tokens` padded tokens each (a longer row is its own
    batch).

    A pair with an empty continuation requests the distribution after its context: its only target
    has token 0.
    """
    groups: dict[Tokens, list[tuple[int, Tokens]]] = {}
    for index, (context, continuation) in enumerate(pairs):
        groups.setdefault(context, []).append((index, continuation))
    n_prefix = shared_prefix(list(groups))
    prefix = next(iter(groups), ())[:n_prefix]
    rows = [build_row(context[n_prefix:], members) for context, members in groups.items()]
    return BatchPlan(prefix, tuple(in_batches(rows, batch_tokens, n_prefix)))


def in_batches(rows: Sequence[ContextTree], batch_tokens: int, n_prefix: int) -> Iterator[Batch]:
    """Rows in batches, the longest first.

    Batches are smaller if the prefix is long compared with the rows: see `KEYS_PER_TOKEN`.
    """
    for batch in longest_first(
        [len(row.tokens) for row in rows],
        lambda width: int(batch_tokens / max(width, (n_prefix + width) / KEYS_PER_TOKEN)),
    ):
        yield make_batch([rows[index] for index in batch], n_prefix)


def longest_first(sizes: Sequence[int], fitting: Callable[[int], int]) -> Iterator[list[int]]:
    """Batches of indices of texts with similar sizes, longest first.

    Args:
        sizes: size of each text.
        fitting: largest size in a batch -> number of texts that fit; at least one is taken.

    Example:
        >>> [*longest_first([3, 9, 4, 8], lambda size: 16 // size)]
        [[1], [3, 2], [0]]
    """
    left = sorted(range(len(sizes)), key=lambda index: sizes[index], reverse=True)
    while left:
        count = max(1, fitting(sizes[left[0]]))
        yield left[:count]
        left = left[count:]


def make_batch(rows: Sequence[ContextTree], n_prefix: int) -> Batch:
    """Rows padded to the longest, each preceded by `n_prefix` tokens."""
    input_ids = pad_sequence([torch.tensor(row.tokens) for row in rows], batch_first=True)
    position_ids = pad_sequence([row.depths + n_prefix for row in rows], batch_first=True)
    heads: dict[int, int] = {}
    targets: list[tuple[int, int, int]] = []
    for index, row in enumerate(rows):
        start = index * input_ids.shape[1]
        for at, token, pair in row.targets:
            targets.append((heads.setdefault(start + at, len(heads)), token, pair))
    head, tokens, pairs = torch.tensor(targets).T
    return Batch(tuple(rows), input_ids, position_ids, torch.tensor([*heads]), head, tokens, pairs)
