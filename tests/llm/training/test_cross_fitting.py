"""What was trained on top of a mixture, and each item's outcome by what was trained without it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from engine_reference import load_tiny
from hypothesis import given
from hypothesis import strategies as st

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.experts.adapter import read_adapter
from pyswarmopt_llm.scores.choices import Choices, fold_count, fold_passes, training_passes
from pyswarmopt_llm.training.fitting import Fitting
from pyswarmopt_llm.training.trainer import folds


def item(question: str, options: str, right: int) -> Choices:
    return Choices(tuple((question, f" {option}") for option in options), (1.0,) * 2, right)


CHOICES = [item(f"Question {i}?", "rb", i % 2) for i in range(10)]


@pytest.mark.parametrize("without_fold", [2, 4])
def test_what_is_there_is_not_trained_again_and_what_is_missing_is(
    without_fold: int, tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    """`without_fold` epochs without each of five folds, and four on all."""
    engine, spent = TransformersEngine(*load_tiny(tiny_base)), list[float]()
    told: list[str] = []
    pattern, folder = read_adapter(tiny_experts[0]), tmp_path / "dev"
    epochs = 5 * without_fold + 4

    def trained() -> tuple[dict[int, float], dict[str, bytes]]:
        fitting = Fitting(
            engine,
            Patch(),
            CHOICES,
            pattern,
            0,
            folder,
            without_fold,
            spend=spent.append,
            at=told.append,
        )
        values: dict[int, float] = {}
        for fold, patch in fitting.without_folds():
            engine.load(patch)
            asked = [CHOICES[i].pairs[0] for i in fold]
            values |= zip(fold, engine.loglikelihood(asked), strict=True)
        fitting.whole()
        return values, {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.s*")}

    first, passes = trained(), training_passes(10) + fold_passes(10, without_fold)
    assert len(spent) == epochs and sum(spent) == passes
    whole = [f"all examples, step {step} of 4" for step in range(1, 5)]
    rest = [f"fold 2 of 5, step {step} of {without_fold}" for step in range(1, without_fold + 1)]
    assert told[-4:] == whole and {*rest, "fold 2 of 5, scoring"} <= {*told}
    assert len(told) == epochs + 5
    assert trained() == first and len(spent) == epochs + 6  # a call for each that is there
    assert told[-3:] == [
        "fold 5 of 5, already trained",
        "fold 5 of 5, scoring",
        "all examples, already trained",
    ]
    assert sum(spent) == 2 * passes
    spent.clear()
    for name in ("without-2", "all"):
        shutil.rmtree(folder / name)
    assert trained() == first and len(spent) == 4 + without_fold + 4
    assert sum(spent) == passes


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
