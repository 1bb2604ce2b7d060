"""Fusions over vocabularies: hand-worked steps, and other ways to compute the same."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokens_helpers import MERGES, byte_level, member

from pyswarmopt_llm.tokens import writing
from pyswarmopt_llm.tokens.reading import Text, TextModel
from pyswarmopt_llm.tokens.writing import TOKEN_FUSIONS, relative, search, shared_tokens, union


def decoder(texts: Mapping[str, float], end: float = 0.0) -> Any:
    """Stands for a decoder: what it expects, as text -> probability."""
    mass = np.array([texts[text] for text in sorted(texts)])
    model = SimpleNamespace(texts=[text.encode() for text in sorted(texts)])
    return SimpleNamespace(text_model=model, texts=mass, end=end)


def choose(fusion: Any, weights: list[float], *decoders: Any) -> bytes | None:
    return fusion([r.text_model for r in decoders], weights)(decoders)


FIRST = decoder({"cat": 0.5, "dog": 0.3, "c": 0.1}, end=0.1)


@pytest.mark.parametrize(
    ("weights", "expected"),
    # cat .5 w, the end .1 w + .7 v
    [([0.7, 0.3], b"cat"), ([0.5, 0.5], None), ([0.6, 0.4], None), ([0.65, 0.35], b"cat")],
)
def test_the_end_is_weighted_as_tokens_are(weights: list[float], expected: bytes | None) -> None:
    ends = decoder({"dog": 0.1, "ca": 0.2}, end=0.7)
    assert choose(union, weights, FIRST, ends) == expected


# Relative representations


def representations(embeddings: Any, anchors: list[int]) -> Any:
    """R by its definition, entry by entry: cosines, each row over its length, over the temperature,
    softmax.
    """
    rows = []
    for e in embeddings:
        cosines = [
            e @ embeddings[k] / (np.linalg.norm(e) * np.linalg.norm(embeddings[k])) for k in anchors
        ]
        length = sum(c * c for c in cosines) ** 0.5
        powers = [np.exp(100 * c / length) for c in cosines]
        rows.append([power / sum(powers) for power in powers])
    return np.array(rows)


def adamw(start: Any, aim: Any, relative: Any, rate: float, steps: int) -> Any:
    """The search with AdamW as its paper writes it (algorithm 2), torch's defaults; the gradient by
    differences.
    """

    def probabilities(z: Any) -> Any:
        return np.exp(z - z.max()) / np.exp(z - z.max()).sum()

    def loss(z: Any) -> float:
        return float((aim * np.log(aim / (probabilities(z) @ relative))).sum())

    z = np.log(start)
    m = v = np.zeros(len(z))
    for step in range(1, steps + 1):
        nudges = 1e-5 * np.eye(len(z))
        g = np.array([(loss(z + nudge) - loss(z - nudge)) / 2e-5 for nudge in nudges])
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        z = (1 - rate * 0.01) * z - rate * (m / (1 - 0.9**step)) / (
            np.sqrt(v / (1 - 0.999**step)) + 1e-8
        )
    return probabilities(z)


@given(st.integers(0, 10_000), st.sampled_from([0.05, 0.15, 0.3]))
def test_the_search_is_five_steps_of_adamw_on_the_logits(seed: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    relative, start, other = (
        rng.dirichlet(np.ones(6), size=9),
        rng.dirichlet(np.ones(9)),
        rng.dirichlet(np.ones(9)),
    )
    aim = (start + other) / 2 @ relative
    with mock.patch.object(writing, "RATE", rate):
        found = search(*map(torch.from_numpy, (start, aim, relative)))
    assert found.numpy() == pytest.approx(adamw(start, aim, relative, rate, 5), rel=1e-3)


@pytest.mark.parametrize(("rate", "changes"), [(0.15, False), (0.3, True)])
def test_a_choice_follows_the_equations_from_the_members_to_the_token(
    rate: float, changes: bool
) -> None:
    """Two members of other vocabularies and embeddings; the greater step leaves the main member's
    own choice.
    """
    models = [
        TextModel(member(byte_level(), "llama")),
        TextModel(member(byte_level(MERGES[:2]), "gpt2", 1)),
    ]
    reads = [model.begin("he said") for model in models]
    shared = sorted(set(models[0].texts) & set(models[1].texts))
    assert shared_tokens(models) == shared  # all of them: R is small here
    aims = []
    for weight, model, read in zip((0.6, 0.4), models, reads, strict=True):
        embeddings = (
            model.engine.model.get_input_embeddings().weight.detach().double().numpy()[model.ids]
        )
        space = representations(embeddings, [model.texts.index(text) for text in shared])
        aims.append((weight * read.texts @ space, space))
    aim = aims[0][0] + aims[1][0]
    start = reads[0].texts / reads[0].texts.sum()
    q = adamw(start, aim / aim.sum(), aims[0][1], rate, 5)
    assert (q.argmax() != start.argmax()) == changes
    with mock.patch.object(writing, "RATE", rate):
        chosen = relative(models, [0.6, 0.4])(reads)
    assert chosen == models[0].texts[q.argmax()]


# All of them


@pytest.mark.parametrize("fusion", sorted(TOKEN_FUSIONS))
def test_a_member_alone_is_followed(fusion: str) -> None:
    """One member, or two that agree: its own most probable token, or the end."""
    one = TextModel(member(byte_level(), "llama"))
    for prompt in ([1, 2, 3], [70, 80], [5] * 9):
        read = Text(one, prompt)
        own = one.texts[int(read.texts.argmax())] if read.texts.max() > read.end else None
        assert TOKEN_FUSIONS[fusion]([one], [1.0])([read]) == own
        assert TOKEN_FUSIONS[fusion]([one, one], [0.5, 0.5])([read, read]) == own
