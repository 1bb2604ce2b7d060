"""Plans by brute force: what every predicted token sees is its context and the continuation so far,
in order.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyswarmopt_llm.engine.batching import (
    Plan,
    TokenPair,
    build_plan,
    encode_pair,
    shared_prefix,
)

PAD = 0
# Three symbols only, so that contexts and options often begin alike, repeat, or continue one
# another.
_tokens = st.lists(st.integers(1, 3), max_size=6).map(tuple)
_pairs = st.lists(st.tuples(_tokens.filter(bool), _tokens), max_size=12)


def predictions(plan: Plan) -> list[tuple[int, tuple[int, ...], int]]:
    """(pair, tokens that the predicting position sees in the order of their position ids, predicted
    token).
    """
    contexts = []
    for batch in plan.batches:
        seen, width = batch.allowed(), batch.input_ids.shape[1]
        for head, token, pair in zip(
            batch.target_head, batch.target_token, batch.target_pair, strict=True
        ):
            row, at = divmod(int(batch.heads[head]), width)
            columns = [k for k in range(width) if seen[row, at, k]]
            placed = {
                int(batch.position_ids[row, k]): int(batch.input_ids[row, k]) for k in columns
            }
            places = list(range(len(plan.prefix), len(plan.prefix) + len(columns)))
            assert sorted(placed) == places, "two visible tokens at one position, or a gap"
            assert int(batch.position_ids[row, at]) == places[-1], (
                "the predicting token is not the last one"
            )
            contexts.append((int(pair), (*plan.prefix, *(placed[p] for p in places)), int(token)))
    return contexts


@given(_pairs, st.sampled_from([1, 5, 16, 10**6]))
def test_every_target_sees_exactly_its_context_and_the_continuation_before_it(
    pairs: list[TokenPair], batch_tokens: int
) -> None:
    expected = []
    for index, (context, continuation) in enumerate(pairs):
        for k, token in enumerate(continuation or (0,)):
            expected.append((index, context + continuation[:k], token))
    assert sorted(predictions(build_plan(pairs, batch_tokens))) == sorted(expected)


@given(_pairs, st.sampled_from([1, 5, 16, 10**6]))
def test_no_token_is_fed_twice(pairs: list[TokenPair], batch_tokens: int) -> None:
    plan = build_plan(pairs, batch_tokens)
    # A node of the tree is a context with a proper, non-empty beginning of one of its
    # continuations.
    nodes = {
        (context, continuation[:k])
        for context, continuation in pairs
        for k in range(1, len(continuation))
    }
    contexts = {context for context, _ in pairs}
    n_prefix = len(plan.prefix)
    fed = sum(int((batch.input_ids != PAD).sum()) for batch in plan.batches)
    assert fed == len(nodes) + sum(len(context) - n_prefix for context in contexts)
    assert plan.n_tokens == n_prefix + fed


@given(_pairs, st.integers(1, 40))
def test_batches_keep_to_the_budget_or_hold_one_row(
    pairs: list[TokenPair], batch_tokens: int
) -> None:
    plan = build_plan(pairs, batch_tokens)
    assert all(b.input_ids.numel() <= batch_tokens or len(b.input_ids) == 1 for b in plan.batches)
    widths = [batch.input_ids.shape[1] for batch in plan.batches]
    assert widths == sorted(widths, reverse=True)
    assert all((batch.input_ids != PAD).any(dim=0).all() for batch in plan.batches), (
        "a column of padding only"
    )


@given(st.lists(_tokens.filter(bool), min_size=2, unique=True))
def test_shared_prefix_is_the_longest_that_leaves_a_token_to_each(
    contexts: list[tuple[int, ...]],
) -> None:
    longest = max(
        n
        for n in range(min(map(len, contexts)))
        if all(context[:n] == contexts[0][:n] for context in contexts)
    )
    assert shared_prefix(contexts) == longest


def pairwise_merging(text: str) -> list[str]:
    """A toy tokenizer that merges any doubled letter and ``<letter>.``: the seam of two texts can
    vanish.
    """
    return [match[0] for match in re.finditer(r"([a-z])\1|[a-z]\.|.", text)]


_texts = st.text(alphabet="ab. ", max_size=5)


@given(_texts.filter(lambda t: t.strip(" ")), _texts.filter(bool), st.booleans())
def test_encode_pair_scores_every_character_of_the_continuation_once(
    context: str, continuation: str, bos: bool
) -> None:
    def encode(text: str) -> list[int]:
        return [0] * bos + [
            vocabulary.setdefault(symbol, len(vocabulary) + 1) for symbol in pairwise_merging(text)
        ]

    vocabulary: dict[str, int] = {}
    head, tail = encode_pair(encode, context, continuation)
    symbols = {i: symbol for symbol, i in vocabulary.items()} | {0: ""}
    stripped = context.rstrip(" ")
    assert "".join(symbols[i] for i in head) == stripped
    assert "".join(symbols[i] for i in tail) == context[len(stripped) :] + continuation
    assert head[:1] == (0,) or not bos
    assert 0 not in (*head[1:], *tail)


@pytest.mark.parametrize(
    ("context", "continuation", "expected"),
    [
        ("x", "y", (["x"], ["y"])),
        ("x ", "y", (["x"], [" ", "y"])),  # the space goes with the continuation
        ("x", ".", (["x"], ["."])),  # "x." is one token: the harness would find nothing to score
        ("ba", "ab", (["b", "a"], ["a", "b"])),  # the harness would score "b" alone
        ("b", "aa", (["b"], ["aa"])),  # merged inside the continuation as in running text
    ],
)
def test_encode_pair_on_cases_worked_by_hand(
    context: str, continuation: str, expected: tuple[list[str], list[str]]
) -> None:
    head, tail = encode_pair(
        lambda text: [id_of(s) for s in pairwise_merging(text)], context, continuation
    )
    assert (list(head), list(tail)) == tuple([id_of(s) for s in part] for part in expected)


def id_of(symbol: str) -> int:
    return int.from_bytes(symbol.encode(), "big")


@pytest.mark.parametrize(("context", "continuation"), [("", "a"), ("  ", "a"), ("a", "")])
def test_encode_pair_refuses_what_has_nothing_to_score(context: str, continuation: str) -> None:
    with pytest.raises(ValueError, match="nothing to score"):
        encode_pair(lambda text: [ord(c) for c in text], context, continuation)
