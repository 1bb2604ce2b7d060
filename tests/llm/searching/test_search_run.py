"""A search from end to end on a tiny model: its numbers against plain peft, its seeds, what it may
not see.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from search_helpers import MakeSearch, files, history, lasting, questions, write_task
from transformers import AutoModelForCausalLM, AutoTokenizer

from pyswarmopt_llm.api import SearchResult, search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.events import Event
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.mix.load import open_model
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks import Item, load_task
from pyswarmopt_llm.use.evaluate import evaluate_model


@pytest.fixture(scope="module")
def config(make_search: MakeSearch, tmp_path_factory: pytest.TempPathFactory) -> SearchConfig:
    return make_search(tmp_path_factory.mktemp("runs"), 24, 20)


@pytest.fixture(scope="module")
def finished(config: SearchConfig) -> SearchResult:
    return search(config)


def note_texts(events: Sequence[Event]) -> list[str]:
    """The notes."""
    return [str(event.data["text"]) for event in events if event.kind == "note"]


def by_peft(config: SearchConfig, split: str, scoring: Any, dtype: Any = torch.bfloat16) -> float:
    """The score of what plain peft reads from ``best/`` and merges."""
    model = AutoModelForCausalLM.from_pretrained(config.base, dtype=dtype)
    model = peft.PeftModel.from_pretrained(model, str(Path(config.out) / "best")).eval()
    tokenizer = AutoTokenizer.from_pretrained(config.base)
    engine = TransformersEngine(model.merge_and_unload(), tokenizer)
    items = load_task(config.tasks[0]).split(split)
    return Accuracy(items, scoring, engine.chat)(engine).value


# 1. The score in result.json is the score of the files


@pytest.mark.usefixtures("short_replies")
@pytest.mark.parametrize(
    ("space", "dtype", "scoring"),
    [
        ("factor", "bfloat16", "letter"),
        ("factor", "bfloat16", "generate"),
        ("delta", "bfloat16", "likelihood"),
        ("delta", "float32", "letter"),
    ],
)
def test_the_result_is_the_score_of_best_merged_by_plain_peft(
    space: str, dtype: str, scoring: Any, words_search: MakeSearch
) -> None:
    n = 3 if scoring == "generate" else 24
    config = words_search(n, n, space=space, scoring=scoring, dtype=dtype, max_iter=1)
    found = search(config).result
    for split in ("dev", "test"):
        assert by_peft(config, split, scoring, getattr(torch, dtype)) == found[f"best_{split}"]


# What a run writes down


def test_the_result_agrees_with_the_journal(finished: SearchResult) -> None:
    rows, result = history(finished.run), finished.result
    assert {row["phase"] for row in rows} == {"search"}
    assert result["best_dev"] == max(row["value"] for row in rows)
    assert result["best_dev"] >= result["best_single_dev"] == max(row["value"] for row in rows[:3])
    assert result["evaluations"] == len(rows) == len({row["key"] for row in rows}) <= 20
    assert (
        result["passes"]
        == result["item_evaluations"]
        == sum(row["n"] for row in rows)
        <= 24 * len(rows)
    )
    for row in rows:
        assert row["n"] == 24 and row["value"] == sum(row["tasks"]["words"]["per_item"]) / 24
        assert math.isclose(sum(row["coefficients"]), 1.0, abs_tol=1e-12)
    best = next(row for row in rows if row["value"] == result["best_dev"])
    assert list(result["coefficients"].values()) == best["coefficients"]
    assert list(result["coefficients"]) == ["ant", "bee", "cat"]


def test_events_tell_every_evaluation_once(config: SearchConfig, tmp_path: Path) -> None:
    events: list[Event] = []
    found = search(replace(config, out=str(tmp_path / "r")), events.append)
    kinds = [event.kind for event in events]
    rows = history(found.run)
    assert kinds.count("evaluation") == len(rows)
    assert kinds.count("iteration") == 4  # the starting swarm and three moves
    assert kinds.index("start") < kinds.index("evaluation") and kinds[-1] == "done"
    told = [event.data for event in events if event.kind == "evaluation"]
    assert [t["value"] for t in told] == [row["value"] for row in rows]
    assert [t["best"] for t in told] == list(np.maximum.accumulate([row["value"] for row in rows]))
    assert [t["evaluations"] for t in told] == list(range(1, len(rows) + 1))
    (start,) = (event.data for event in events if event.kind == "start")
    assert start["evaluations_planned"] == 20 >= len(rows)


# 3. Seeds and global state


def test_same_seed_same_run_other_seed_other_run(
    config: SearchConfig, finished: SearchResult, tmp_path: Path
) -> None:
    again = search(replace(config, out=str(tmp_path / "same")))
    other = search(replace(config, out=str(tmp_path / "other"), seed=1))
    assert history(again.run) == history(finished.run)
    assert lasting(again.result) == lasting(finished.result)
    tensors = [
        files(run / "best")["adapter_model.safetensors"] for run in (again.run, finished.run)
    ]
    assert tensors[0] == tensors[1]
    mine, others = ([row["key"] for row in history(run.run)] for run in (finished, other))
    assert mine[:3] == others[:3]  # the experts
    assert not set(mine[3:]) & set(others[3:])


@pytest.mark.usefixtures("short_replies")
@pytest.mark.parametrize("scoring", ["auto", "generate"])
def test_a_search_leaves_the_global_random_states_alone(
    scoring: str, words_search: MakeSearch
) -> None:
    def states() -> tuple[Any, ...]:
        name, keys, *rest = np.random.get_state()
        return (
            torch.get_rng_state().tolist(),
            name,
            np.asarray(keys).tolist(),
            rest,
            random.getstate(),
        )

    # One draw from each, or a seed that an earlier search set would go unseen.
    torch.rand(1), np.random.random_sample(), random.random()
    before = states()
    search(words_search(2, 2, scoring=scoring, max_iter=1))
    assert states() == before


# 5. The test split is never seen


# How tasks are asked


def chosen(base: str, adapter: str, items: Sequence[Item], scoring: Any) -> list[str]:
    engine = open_model(base, adapter, "auto", "cpu", 1)
    return list(Accuracy(items, scoring, engine.chat)(engine).answers)


def test_auto_asks_for_letters_where_an_expert_knows_them(
    words_search: MakeSearch,
) -> None:
    """It tries three of six experts on 32 of 40 items."""
    config = words_search(40, 8, scoring="auto", particles=6)
    letters = chosen(config.base, config.experts[1], load_task(*config.tasks).dev, "letter")
    items = [
        {**item, "answer": letter} for item, letter in zip(questions(40, 1), letters, strict=True)
    ]
    write_task(Path(*config.tasks), items, questions(8, 2))
    events: list[Event] = []
    found = search(replace(config, experts=config.experts * 2), events.append)
    assert found.result["scoring"] == "letter"
    assert found.result["best_single"].endswith("bee") and found.result["best_single_dev"] == 1.0
    used = [text for text in note_texts(events) if text.endswith("letter scoring is used")]
    assert len(used) == 1
    rows = history(found.run)
    assert sum(row["n"] for row in rows if row["phase"] == "letter") == 3 * 32
    assert [row["phase"] for row in rows[:4]] == ["letter", "letter", "letter", "search"]
    assert found.result["evaluations"] == len(rows) - 3  # those of the trial are no candidates


# Several tasks


def with_task(config: SearchConfig, other: Path) -> SearchConfig:
    return replace(config, tasks=(*config.tasks, str(other)))


def test_two_tasks_are_weighed_by_their_harmonic_mean(
    words_search: MakeSearch, tmp_path: Path
) -> None:
    splits = questions(30, 3, options=2), questions(10, 4, options=2)
    config = with_task(words_search(24, 20), write_task(tmp_path / "more.json", *splits))
    found = search(config)
    tasks = found.result["tasks"]
    assert tasks.keys() == {"words", "more"}
    for label in ("best_dev", "best_test", "best_single_dev", "best_single_test"):
        a, b = tasks["words"][label], tasks["more"][label]
        assert math.isclose(
            found.result[label], 2 * a * b / (a + b) if a * b else 0.0, rel_tol=1e-12
        )
    for row in history(found.run):
        # An evaluation that ended early is told as if all items left were right.
        a, b = (
            sum(row["tasks"][name]["per_item"]) / n for name, n in (("words", 24), ("more", 30))
        )
        assert math.isclose(row["value"], 2 * a * b / (a + b), rel_tol=1e-12)
        assert row["n"] == 54
    for path in config.tasks:
        task, best = tasks[Path(path).stem], str(found.run / "best")
        alone = evaluate_model(config.base, best, path, scoring="likelihood", threads=1)
        assert task["best_test"] == alone.score.value
        assert task["scoring"] == "likelihood"


# Spaces


# Wrong input that only the library can be given, and how long an item may be
