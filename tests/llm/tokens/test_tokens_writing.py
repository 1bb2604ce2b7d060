"""Text from a mixture: against the same sum written out, and against members alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from engine_reference import naive_logprobs
from scipy.stats import chisquare
from tokens_helpers import MERGES, byte_level, member, sentence_piece

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.tokens.engine import FUSIONS, MixtureEngine
from pyswarmopt_llm.tokens.fusion import sampled_pieces

USERS = ["the one", "on and on", "another question of some length?"]


def greedy_by_hand(
    members: Sequence[TransformersEngine], weights: Sequence[float], user: str, n: int
) -> str:
    """Every token from plain forward passes over everything so far."""
    written: list[int] = []
    for _ in range(n):
        mixed = sum(
            weight
            * naive_logprobs(one.model, [*one.encode_prompt(one.chat(user)), *written])[-1].exp()
            for one, weight in zip(members, weights, strict=True)
        )
        token = int(mixed.argmax())  # type: ignore[union-attr]
        if token in members[0].stops():
            break
        written.append(token)
    return str(members[0].tokenizer.decode(written, skip_special_tokens=True))


def test_the_exact_mixture_writes_what_the_sum_says() -> None:
    """Members with one tokenizer and chat templates of different length; a batch of prompts of
    different length.
    """
    short = byte_level(template="{{ messages[0]['content'] }}\n")
    members = [member(byte_level(), "llama"), member(short, "gpt2", 1)]
    engine = MixtureEngine({"a": members[0], "b": members[1]})
    engine.load(Patch(mixture=(0.6, 0.4)))
    assert engine.fusion == "exact"
    expected = [greedy_by_hand(members, [0.6, 0.4], user, 8) for user in USERS]
    assert engine.generate(USERS, 8) == expected
    engine.load(Patch(mixture=(0.0, 1.0)))
    assert engine.generate(USERS, 8) == members[1].generate(
        [members[1].chat(user) for user in USERS], 8
    )


@pytest.mark.parametrize("fusion", sorted(set(FUSIONS) - {"exact"}))
def test_members_of_three_vocabularies_write_a_text(fusion: str) -> None:
    engine = MixtureEngine(
        {
            "a": member(byte_level(), "llama"),
            "b": member(byte_level(MERGES[:2]), "gpt2", 1),
            "c": member(sentence_piece([("t", "h")]), "qwen3", 2),
        },
        fusion,
    )
    engine.load(Patch(mixture=(0.5, 0.3, 0.2)))
    (text,) = engine.generate(USERS[:1], 5)
    assert len(text) <= (20 if fusion == "bytes" else 1000)


# Characters of several tokens


# Sampling


class Said(SimpleNamespace):
    """A text of a member that draws by a table: ids so far -> P of "a", "b" and the end."""

    @property
    def _row(self) -> list[float]:
        self.asked.append(self.ids)
        row: list[float] = self.table[self.ids[1:]]
        return row

    @property
    def texts(self) -> list[float]:
        return self._row[:2]

    @property
    def end(self) -> float:
        return self._row[2]

    def read(self, ids: Sequence[int]) -> Said:
        return Said(**{**vars(self), "ids": tuple(ids)})


def scripted(table: dict[tuple[int, ...], list[float]]) -> Any:
    vocabulary = SimpleNamespace(texts=[b"a", b"b"], ids=[0, 1])
    first = Said(ids=(9,), full=False, table=table, asked=[])
    return SimpleNamespace(begin=lambda user: first, vocabulary=vocabulary)


def test_sampled_texts_have_the_mixture_s_probabilities() -> None:
    """Of every text of two tokens: sum_i w_i P_i at each token, by chi-square over 20,000 seeds."""
    first = {(): [0.7, 0.2, 0.1], (0,): [0.1, 0.6, 0.3], (1,): [0.25, 0.25, 0.5]}
    second = {(): [0.1, 0.3, 0.6], (0,): [0.8, 0.1, 0.1], (1,): [0.0, 0.9, 0.1]}
    weights = [0.35, 0.65]
    mixed = {ids: weights @ np.array([first[ids], second[ids]]) for ids in first}
    expected = {b"": mixed[()][2]}
    for one, name in enumerate((b"a", b"b")):
        expected[name] = mixed[()][one] * mixed[one,][2]
        for two, then in enumerate((b"a", b"b")):
            expected[name + then] = mixed[()][one] * mixed[one,][two]
    members = [scripted(first), scripted(second)]
    texts = [
        b"".join(sampled_pieces(members, weights, "hello", 2, seed=seed, one_tokenizer=True))
        for seed in range(20_000)
    ]
    counts = Counter(texts)
    assert counts.keys() <= expected.keys()
    observed = [counts[text] for text in expected]
    assert chisquare(observed, [20_000 * p for p in expected.values()]).pvalue > 0.001
