"""Fusions over vocabularies: hand-worked steps, and other ways to compute the same."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokens_helpers import MERGES, byte_level, member, sentence_piece

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.spaces.mixture.fusion import TOKEN_FUSIONS
from pyswarmopt_llm.spaces.mixture.fusion.edit_distance import Aligner, EditDistance
from pyswarmopt_llm.spaces.mixture.fusion.relative import RelativeRepresentations, relative_representations, search
from pyswarmopt_llm.spaces.mixture.fusion.top_k import TopKUnion
from pyswarmopt_llm.spaces.mixture.fusion.union import Union
from pyswarmopt_llm.spaces.mixture.incremental import IncrementalDecoder, TextModel
from pyswarmopt_llm.spaces.mixture.vocabulary import Vocabulary


def decoder(texts: Mapping[str, float], end: float = 0.0) -> Any:
    """Stands for a decoder: what it expects, as text -> probability."""
    vocabulary = Vocabulary([text.encode() for text in texts], ends=[])
    mass = np.array([texts[text.decode()] for text in vocabulary.texts])
    return SimpleNamespace(text_model=SimpleNamespace(vocabulary=vocabulary), texts=mass, end=end)


def choose(fusion: Any, weights: list[float], *decoders: Any, **options: Any) -> bytes | None:
    return fusion([r.text_model for r in decoders], weights, **options)(decoders)


FIRST = decoder({"cat": 0.5, "dog": 0.3, "c": 0.1}, end=0.1)


@pytest.mark.parametrize(
    ("weights", "expected"),
    # cat .5 w, dog .3 w + .6 v, ca .35 v
    [([1.0, 0.0], b"cat"), ([0.5, 0.5], b"dog"), ([0.8, 0.2], b"cat"), ([0.7, 0.3], b"dog")],
)
def test_union_adds_up_equal_texts(weights: list[float], expected: bytes) -> None:
    assert choose(Union, weights, FIRST, decoder({"dog": 0.6, "ca": 0.35}, end=0.05)) == expected


def test_union_ends_where_the_end_is_most_probable() -> None:
    assert choose(Union, [0.5, 0.5], decoder({"a": 0.6}, end=0.4), decoder({"b": 0.4}, end=0.6)) is None


def test_top_k_takes_the_longest_beginning_for_a_token_that_is_missing() -> None:
    """Candidates: cat and the second's best, ca, and the end. The first: cat .5, ca as c .1, end .1, so /.7; the
    second: cat as ca .7, ca .7, end .05, so /1.45; dog and t are no candidates with k = 1."""
    second = decoder({"ca": 0.7, "t": 0.25}, end=0.05)
    assert choose(TopKUnion, [0.5, 0.5], FIRST, second, k=1) == b"cat"
    # With all of the weight on the second the two are equal, and the first candidate counts.
    assert choose(TopKUnion, [0.0, 1.0], FIRST, second, k=1) == b"cat"
    # A candidate of which a member cannot write even the beginning has nothing from it.
    assert choose(TopKUnion, [0.5, 0.5], decoder({"x": 0.9}, end=0.1), decoder({"y": 0.8}, end=0.2), k=1) == b"x"


def test_edit_distance_moves_probability_to_the_nearest_token() -> None:
    """ "cats" is one letter from cat, "dug" from dog; nothing of it is lost: .5*.5 + .5*.3 against .5*.3 + .5*.7."""
    other = decoder({"cats": 0.3, "dug": 0.7})
    assert choose(EditDistance, [0.51, 0.49], FIRST, other) == b"dog"
    assert choose(EditDistance, [0.9, 0.1], FIRST, other) == b"cat"


@pytest.mark.parametrize(("weight", "expected"), [(0.46, b"cat"), (0.48, b"dog")])
def test_edit_distance_scales_what_is_aligned_to_all_but_the_end(weight: float, expected: bytes) -> None:
    """The other's .8 stand for .9, times 1.125; with weight w on it dog wins where .2 (1 - w) < .225 w: above .471."""
    other = decoder({"cats": 0.3, "dug": 0.5}, end=0.1)
    assert choose(EditDistance, [1 - weight, weight], FIRST, other) == expected


def levenshtein(a: bytes, b: bytes) -> int:
    """By its definition."""
    if not a or not b:
        return len(a) + len(b)
    if a[0] == b[0]:
        return levenshtein(a[1:], b[1:])
    return 1 + min(levenshtein(a[1:], b), levenshtein(a, b[1:]), levenshtein(a[1:], b[1:]))


words = st.text("abc", min_size=1, max_size=5).map(str.encode)


@settings(deadline=None)
@given(st.lists(words, min_size=1, max_size=8), words)
def test_distances_and_the_nearest_text(texts: list[bytes], text: bytes) -> None:
    expected = [levenshtein(text, other) for other in texts]
    assert Aligner(texts).distances(text).tolist() == expected
    assert expected[Aligner(texts).nearest(text)] == min(expected)


# Relative representations


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_the_search_comes_nearer_step_by_step(seed: int) -> None:
    rng = np.random.default_rng(seed)
    relative = rng.dirichlet(np.full(6, 0.3), size=9).astype(np.float32)
    start, aim = rng.dirichlet(np.ones(9)), rng.dirichlet(np.ones(9)) @ relative

    def divergence(q: Any) -> float:
        return float((aim * np.log(aim / (q @ relative))).sum())

    found = [divergence(search(start, aim, relative, steps=steps)) for steps in (0, 3, 30, 300)]
    assert found == sorted(found, reverse=True)
    assert search(start, aim, relative).sum() == pytest.approx(1.0)


def test_the_search_stays_where_it_is_right() -> None:
    rng = np.random.default_rng(0)
    relative = rng.dirichlet(np.ones(6), size=9)
    start = rng.dirichlet(np.ones(9))
    assert search(start, start @ relative, relative, steps=50) == pytest.approx(start, abs=1e-9)


def test_relative_representations_by_hand() -> None:
    """Softmax over anchors of the cosine similarities divided by the temperature, row by row."""
    text_model = TextModel.of(member(byte_level(), "gpt2"))
    anchors = [b"the", b"a"]
    found = relative_representations(text_model, anchors)
    weight = text_model.engine.model.get_output_embeddings().weight.detach().double().numpy()
    ids = text_model.vocabulary.ids
    rows = {
        text: weight[i] / np.linalg.norm(weight[i]) for text, i in zip(text_model.vocabulary.texts, ids, strict=True)
    }
    for text in (b"on", b"x", b"the"):
        e = np.exp(np.array([rows[text] @ rows[anchor] for anchor in anchors]) / 0.1)
        assert found[text_model.vocabulary.texts.index(text)] == pytest.approx(e / e.sum(), abs=1e-5)


def test_no_token_in_common_is_nothing_to_relate_to() -> None:
    text_models = [SimpleNamespace(vocabulary=Vocabulary([text], ends=[])) for text in (b"a", b"b")]
    with pytest.raises(UserError, match="share no token"):
        RelativeRepresentations(text_models, [0.5, 0.5])  # type: ignore[arg-type]


# All of them


@pytest.mark.parametrize("fusion", sorted(TOKEN_FUSIONS))
def test_a_member_alone_is_followed(fusion: str) -> None:
    """One member, or two that agree: its own most probable token, or the end."""
    one = TextModel.of(member(byte_level(), "llama"))
    for prompt in ([1, 2, 3], [70, 80], [5] * 9):
        read = IncrementalDecoder(one, prompt)
        own = one.vocabulary.texts[int(read.texts.argmax())] if read.texts.max() > read.end else None
        assert TOKEN_FUSIONS[fusion]([one], [1.0])([read]) == own
        assert TOKEN_FUSIONS[fusion]([one, one], [0.5, 0.5])([read, read]) == own


@pytest.mark.parametrize("fusion", sorted(TOKEN_FUSIONS))
def test_members_of_other_vocabularies_are_understood(fusion: str) -> None:
    text_models = [
        TextModel.of(member(byte_level(), "llama")),
        TextModel.of(member(byte_level(MERGES[:2]), "gpt2", 1)),
        TextModel.of(member(sentence_piece([("t", "h")]), "qwen3", 2)),
    ]
    starts = [text_model.begin("the") for text_model in text_models]
    choice = TOKEN_FUSIONS[fusion](text_models, [0.4, 0.3, 0.3])(starts)
    assert choice is None or any(choice in text_model.vocabulary.texts for text_model in text_models)
