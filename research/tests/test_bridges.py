"""`research/benchmarks/tokens/bridges.py`: three bridges between vocabularies, worked by hand."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from laboratory import script
from scipy.linalg import sqrtm

from pyswarmopt_llm.tokens.vocabulary import Vocabulary

bridges = script("bridges")


def model(texts: Sequence[str], embeddings: np.ndarray | None = None) -> Any:
    """A member with these tokens, which are sorted, and their embeddings."""
    vocabulary = Vocabulary([text.encode() for text in texts], ends=[])
    weight = torch.zeros(len(texts), 2) if embeddings is None else torch.from_numpy(embeddings)
    language_model = SimpleNamespace(
        get_input_embeddings=lambda: SimpleNamespace(weight=weight.float())
    )
    return SimpleNamespace(vocabulary=vocabulary, engine=SimpleNamespace(model=language_model))


def read(text_model: Any, probabilities: Sequence[float], end: float = 0.0) -> Any:
    return SimpleNamespace(text_model=text_model, texts=np.array(probabilities), end=end)


def test_embeddings_that_are_turned_and_stretched_are_told_apart_by_a_part_of_the_words() -> None:
    rng = np.random.default_rng(0)
    ours = rng.normal(size=(40, 6))
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    theirs = 3.0 * ours @ turn
    pairs = [(k, k) for k in range(20)]
    found = bridges.similarities(ours, theirs, pairs).argmax(axis=1)
    assert found.tolist() == list(range(40))  # the words beyond the dictionary, too
    mixed = bridges.similarities(ours, theirs[rng.permutation(40)], pairs).argmax(axis=1)
    assert (mixed == np.arange(40)).sum() < 20


def test_embeddings_are_compared_as_artetxe_et_al_compare_them() -> None:
    """With M = X^T Z of the dictionary the products after both maps are x M z, the squared lengths
    x (M M^T)^(1/2) x and z (M^T M)^(1/2) z: no singular vectors are needed.
    """
    rng = np.random.default_rng(1)
    ours, theirs = rng.normal(size=(12, 4)) + 1, rng.normal(size=(9, 5)) * [1, 2, 3, 4, 5]
    pairs = [(0, 1), (3, 2), (5, 8), (7, 0), (8, 4), (11, 6)]

    def normalised(rows: np.ndarray) -> np.ndarray:
        rows = rows / np.linalg.norm(rows, axis=1)[:, None]
        rows = rows - rows.mean(axis=0)
        return rows / np.linalg.norm(rows, axis=1)[:, None]

    x, z = normalised(ours), normalised(theirs)
    m = sum(np.outer(x[i], z[j]) for i, j in pairs)
    lengths = [
        np.sqrt(np.einsum("ij,jk,ik->i", rows, np.real(sqrtm(square)), rows))
        for rows, square in ((x, m @ m.T), (z, m.T @ m))
    ]
    expected = x @ m @ z.T / np.outer(*lengths)
    assert bridges.similarities(ours, theirs, pairs) == pytest.approx(expected, abs=1e-5)


def test_a_projection_keeps_ten_alike_tokens_and_drops_rows_that_say_nothing() -> None:
    cosines = np.vstack(
        [
            np.linspace(0.3, 0.96, 12),  # the ten highest of twelve
            np.full(12, 0.5),  # nearly equal ones
            np.eye(12)[3] * 0.7 + 0.1,  # one above the threshold
            np.full(12, 0.19),  # none
        ]
    )
    matrix = bridges.projection(cosines, {})
    assert np.flatnonzero(matrix[0]).tolist() == list(range(2, 12))
    assert matrix[0, 2:] == pytest.approx(cosines[0, 2:] / cosines[0, 2:].sum())
    assert not matrix[1].any() and not matrix[3].any()
    assert matrix[2].tolist() == np.eye(12)[3].tolist()
    assert bridges.projection(cosines, {1: 7})[1].tolist() == np.eye(12)[7].tolist()


def test_eva_adds_up_what_others_say_in_the_words_of_the_first() -> None:
    """Three shared tokens fix the map; "no" of the second member is the first's "nay"."""
    embeddings = np.eye(4)
    first = model(["a", "b", "c", "nay"], embeddings)
    second = model(["a", "b", "c", "no"], embeddings)
    choose = bridges.Eva([first, second], [0.4, 0.6])
    says = choose([read(first, [0.6, 0.1, 0.1, 0.2]), read(second, [0.3, 0.0, 0.0, 0.7])])
    # 0.4 * 0.2 + 0.6 * 0.7 of "nay" against 0.4 * 0.6 + 0.6 * 0.3 of "a"
    assert says == b"nay"
    ends = [read(first, [0.4, 0.0, 0.0, 0.0], end=0.6), read(second, [0.4, 0.0, 0.0, 0.0], end=0.6)]
    assert choose(ends) is None


def test_a_member_whose_likeliest_token_no_other_expects_sits_the_step_out() -> None:
    """Twelve tokens; the third member is sure of the last, which is the eleventh of both others."""
    letters = [chr(ord("a") + k) for k in range(12)]
    same = model(letters, np.eye(12))
    first = [0.2, *[0.08] * 9, 0.05, 0.0]
    second = [0.1, 0.2, *[0.08] * 8, 0.05, 0.0]
    choose = bridges.Eva([same] * 3, [0.3, 0.25, 0.45])
    stray = np.eye(12)[11] * 0.9
    assert choose([read(same, first), read(same, second), read(same, stray)]) == b"a"
    near = np.eye(12)[1] * 0.9  # of the ten likeliest of the others: it is heard
    assert choose([read(same, first), read(same, second), read(same, near)]) == b"b"


def test_unite_takes_the_first_piece_of_a_token_that_a_member_lacks() -> None:
    first, second = model(["a", "ab", "b"]), model(["a", "b"])
    choose = bridges.Unite([first, second], [0.5, 0.5])
    reads = [read(first, [0.1, 0.5, 0.3], end=0.1), read(second, [0.4, 0.4], end=0.2)]
    # union a, ab, b, end; the second has 0.4 for "ab", as for its first piece "a":
    # (0.1, 0.5, 0.3, 0.1) and (0.4, 0.4, 0.4, 0.2) / 1.4
    assert choose(reads) == b"ab"
    reads = [read(first, [0.1, 0.3, 0.3], end=0.3), read(second, [0.1, 0.2], end=0.7)]
    assert choose(reads) is None
    # (0.1, 0.35, 0.45, 0.1) and (0.4, 0.4, 0.27, 0.33) / 1.4: "ab" without the division
    reads = [read(first, [0.1, 0.35, 0.45], end=0.1), read(second, [0.4, 0.27], end=0.33)]
    assert choose(reads) == b"b"


def test_the_union_has_the_ten_likeliest_tokens_of_each() -> None:
    letters = [chr(ord("a") + k) for k in range(12)]
    member = model(letters)
    falling = np.linspace(0.15, 0.01, 12)
    assert bridges.likeliest(read(member, falling.tolist())) == [
        letter.encode() for letter in letters[:10]
    ]


def test_a_token_goes_to_the_nearest_by_edit_distance() -> None:
    assert bridges.nearest(b"sun", [b"suns", b"s", b"sum"]) == 2  # the shortest of equals
    first, second = model(["cat", "dog"]), model(["cats", "dig"])
    choose = bridges.EditDistance([first, second], [0.5, 0.5])
    assert choose([read(first, [0.45, 0.55]), read(second, [0.7, 0.3])]) == b"cat"
    assert choose([read(first, [0.45, 0.55]), read(second, [0.5, 0.5])]) == b"dog"
    assert choose([read(first, [0.2, 0.2], end=0.6), read(second, [0.3, 0.3], end=0.4)]) is None
