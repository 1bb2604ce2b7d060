"""What was trained on top of a mixture, and each item's outcome by what was trained without it."""

from __future__ import annotations

import math
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_reference import load_tiny
from hypothesis import given
from hypothesis import strategies as st

from pyswarmopt_llm.common.interfaces import Patch, Score
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.experts.adapter import Adapter, load_adapter, read_adapter
from pyswarmopt_llm.mix.delta import DeltaSpace
from pyswarmopt_llm.scores.choices import Choices, Schedule, fold_count
from pyswarmopt_llm.searching.train import Fitting, not_worse
from pyswarmopt_llm.searching.training.trainer import fit, folds
from pyswarmopt_rivals.methods.searching.optimizers import cross_fit


def item(question: str, options: str, right: int) -> Choices:
    return Choices(tuple((question, f" {option}") for option in options), (1.0,) * 2, right)


CHOICES = [item(f"Question {i}?", "rb", i % 2) for i in range(10)]
# One question with other options each time, but for the last, which is there already.
REPEATED = [*(item("Which?", f"{a}{b}", 0) for a in "abc" for b in "xyz"), item("Which?", "bz", 0)]


def dense(experts: Sequence[Adapter], weights: Sequence[float], lora: Patch) -> Patch:
    """The weighted sum of the experts plus a change, as matrices."""
    changes = {name: change.dense() for name, change in lora.low_rank.items()}
    for expert, weight in zip(experts, weights, strict=True):
        for module, part in expert.factors.items():
            change = weight * part.scale * part.b @ part.a
            changes[f"{module}.weight"] = changes.get(f"{module}.weight", 0.0) + change
    return Patch(full_rank=changes)


@pytest.mark.parametrize("items", [CHOICES, REPEATED], ids=["different prompts", "one prompt"])
def test_the_loras_are_trained_on_top_of_the_mixture_and_added_to_it(
    items: list[Choices], tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    experts = [load_adapter(read_adapter(path)) for path in tiny_experts[:3]]
    engine, weights = TransformersEngine(*load_tiny(tiny_base)), [0.5, -0.2, 0.7]
    start = DeltaSpace(experts).realise(torch.tensor(weights, dtype=torch.float64))
    pattern, schedule = experts[0].info, Schedule(without_fold=2)
    fitting = Fitting(engine, start, items, pattern, 3, tmp_path / "dev", schedule)
    scored: list[list[int]] = []

    def score(places: Sequence[int]) -> list[list[float]]:
        scored.append([*places])
        return [engine.loglikelihood(items[place].pairs) for place in places]

    outcomes, whole = cross_fit(fitting, score), fitting.whole()
    assert scored == folds(items, 3)
    by_hand = [([*range(10)], range(10), 4)]
    by_hand += [(fold, [i for i in range(10) if i not in fold], 2) for fold in scored]
    nothing = Patch(low_rank={name: replace(x, b=0 * x.b) for name, x in pattern_of(experts)})
    for places, trained_on, epochs in by_hand:
        own = [items[i] for i in trained_on]
        lora = fit(engine, dense(experts, weights, nothing), own, pattern, 3, epochs=epochs)
        expected = dense(experts, weights, lora)
        if epochs == 4:
            for name, change in whole.low_rank.items():
                assert torch.allclose(change.dense(), expected.full_rank[name], atol=2e-5), name
            continue
        engine.load(expected)
        for place in places:
            values = engine.loglikelihood(items[place].pairs)
            assert outcomes[place] == pytest.approx(values, abs=1e-3)


def pattern_of(experts: Sequence[Adapter]) -> Any:
    space = DeltaSpace(experts)
    return space.realise(space.vertices()[0]).low_rank.items()


def test_what_is_there_is_not_trained_again_and_what_is_missing_is(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    engine, shares = TransformersEngine(*load_tiny(tiny_base)), list[float]()
    pattern, folder = read_adapter(tiny_experts[0]), tmp_path / "dev"

    def trained() -> tuple[list[Any], dict[str, bytes]]:
        fitting = Fitting(engine, Patch(), CHOICES, pattern, 0, folder, progress=shares.append)
        values = cross_fit(
            fitting, lambda places: engine.loglikelihood([CHOICES[i].pairs[0] for i in places])
        )
        fitting.whole()
        return values, {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.s*")}

    first = trained()
    assert shares == sorted(shares) and shares[-1] == 1.0 and len(shares) == 4 * (5 + 1)
    assert trained() == first and len(shares) == 24
    for name in ("without-2", "all"):
        shutil.rmtree(folder / name)
    assert trained() == first and len(shares) == 24 + 2 * 4


ITEMS = st.tuples(st.sampled_from("pqr"), st.sampled_from(["ab", "ac", "bd"]), st.integers(0, 1))


@given(st.lists(ITEMS, min_size=5, max_size=90), st.integers(0, 5))
def test_folds_are_of_items_whatever_their_prompts(rows: list[Any], seed: int) -> None:
    items, count = [item(*row) for row in rows], fold_count(len(rows))
    found = folds(items, seed)
    assert len(found) == count and all(fold == sorted(fold) for fold in found)
    assert sorted(place for fold in found for place in fold) == list(range(len(items)))
    if len(set(rows)) >= count:  # the same item is in one fold
        homes: dict[Any, set[int]] = {}
        for number, fold in enumerate(found):
            for place in fold:
                homes.setdefault(rows[place], set()).add(number)
        assert all(len(home) == 1 for home in homes.values()) and all(found)
    else:
        assert max(map(len, found)) - min(map(len, found)) <= 1


@pytest.mark.parametrize("n", [10, 60, 200])
def test_folds_of_one_question_are_balanced_in_size_and_by_answer(n: int) -> None:
    """Two options in turns that differ from item to item by a third, so that none is there twice."""
    items = [
        Choices((("Which?", " yes"), ("Which?", " no"), ("Which?", f" {i}")), (1.0,) * 3, i % 2)
        for i in range(n)
    ]
    found = folds(items, 0)
    assert max(map(len, found)) - min(map(len, found)) <= 1
    for answer in (0, 1):
        counts = [Counter(items[place].right for place in fold)[answer] for fold in found]
        assert max(counts) - min(counts) <= 1


def test_items_are_known_by_what_is_given() -> None:
    """Prompts with the replies that are trained on: the first and the last are one item."""
    replies = [Choices((("Why?", f" {k}"),), (1.0,), 0) for k in range(10)]
    found = folds(replies, 1, identities=[*range(9), 0])
    assert any({0, 9} <= set(fold) for fold in found)


@pytest.mark.parametrize(
    ("trained", "mixture", "error", "kept"),
    [
        (0.5, 0.54, 0.05, True),
        (0.5, 0.56, 0.05, False),
        (0.9, 0.5, 0.0, True),
        (-2.0, -1.0, math.nan, False),
    ],
)
def test_training_is_kept_unless_the_mixture_is_a_standard_error_ahead(
    trained: float, mixture: float, error: float, kept: bool
) -> None:
    assert not_worse(Score(trained, (), 100, 0.3), Score(mixture, (), 100, error)) is kept
