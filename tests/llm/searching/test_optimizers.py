"""Optimizers by name: all of them search from the experts, and a search takes any of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import cma
import numpy as np
import pytest
import torch
from search_helpers import history

from pyswarmopt.interop.pycma import PycmaOptimizer
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.optimizers import make_optimizer, optimizer_names, released
from pyswarmopt_llm.searching.loop import resume, search

NAMES = [
    *optimizer_names(),
    "nevergrad:CMA",
    "nevergrad:NGOpt",
    "nevergrad:TwoPointsDE",
    "nevergrad:RandomSearch",
]
VERTICES = torch.eye(4, dtype=torch.float64)
GOAL = torch.tensor([0.5, 0.4, 0.1, 0.0], dtype=torch.float64)


def value(x: torch.Tensor) -> float:
    return -float(((x - GOAL) ** 2).sum())


@pytest.mark.parametrize("name", NAMES)
def test_each_searches_from_the_experts_and_ends(name: str) -> None:
    seen = []
    for _ in range(2):
        with released(
            make_optimizer(name, VERTICES, population=6, max_iter=19, patience=20, seed=3)
        ) as optimizer:
            asked: list[torch.Tensor] = []
            while not optimizer.stop():
                x = optimizer.ask()
                asked += list(x)
                optimizer.tell(x, [value(one) for one in x])
            best = optimizer.best
        assert len(asked) <= 6 * 20 + 4
        assert best.value == max(map(value, asked)) == value(best.x)
        seen.append(torch.stack(asked))
    assert torch.equal(*seen)
    # others of nevergrad's may not take suggestions
    if not name.startswith("nevergrad:") or name == "nevergrad:CMA":
        assert all(any(torch.allclose(x, vertex) for x in seen[0][:6]) for vertex in VERTICES)


def test_threads_that_nevergrad_started_are_gone() -> None:
    before = threading.active_count()
    with released(
        make_optimizer("nevergrad:Cobyla", VERTICES, population=6, max_iter=9, patience=3, seed=0)
    ) as optimizer:
        x = optimizer.ask()
        assert x.shape == (1, 4)  # one point at a time
        optimizer.tell(x, [value(x[0])])
        optimizer.tell(optimizer.ask(), [0.0])
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join(timeout=60)
    assert threading.active_count() <= before


# pycma


def test_it_is_pycma_with_the_same_draws() -> None:
    start = VERTICES.numpy()
    ours = PycmaOptimizer(start, population=8, seed=5, maximize=True)
    ours.tell(ours.ask(), [value(x) for x in VERTICES])
    random = np.random.default_rng(6)
    options = {
        "seed": np.nan,
        "verbose": -9,
        "popsize": 8,
        "randn": lambda *shape: random.standard_normal(shape),
    }
    theirs = cma.CMAEvolutionStrategy(start.mean(0), float(start.std(0).mean()), options)
    for _ in range(15):
        x, y = ours.ask(), np.array(theirs.ask())
        np.testing.assert_array_equal(x.numpy(), y)
        ours.tell(x, [value(one) for one in x])
        theirs.tell(list(y), [-value(torch.from_numpy(one)) for one in y])
    assert ours.best.value > -1e-2


def test_pycma_resumes_to_the_bit_and_leaves_the_global_state_alone() -> None:
    before = np.random.get_state()[1].tolist()
    whole, half = (PycmaOptimizer(VERTICES, budget=60, seed=1, maximize=True) for _ in range(2))
    for optimizer, rounds in ((whole, 4), (half, 2)):
        for _ in range(rounds):
            x = optimizer.ask()
            optimizer.tell(x, [value(one) for one in x])
    half.ask()
    back = PycmaOptimizer(VERTICES, budget=60, seed=99, maximize=True)
    back.load_state_dict(half.state_dict())
    for _ in range(2):
        x = back.ask()
        back.tell(x, [value(one) for one in x])
    assert torch.equal(back.ask(), whole.ask()) and back.best.value == whole.best.value
    assert np.random.get_state()[1].tolist() == before
    while not whole.stop():
        x = whole.ask()
        whole.tell(x, [float("nan")] * len(x))  # failures count as the worst
    assert whole.stop()["max_evals"] == 60
    with pytest.raises(ValueError, match="another budget"):
        PycmaOptimizer(VERTICES, budget=61, maximize=True).load_state_dict(half.state_dict())
    with pytest.raises(ValueError, match="at least two that differ"):
        PycmaOptimizer(VERTICES[:1])
    with pytest.raises(ValueError, match="tell\\(\\) without ask"):
        back_again = PycmaOptimizer(VERTICES)
        back_again.tell(VERTICES, [0.0] * 4)


# In a search


@pytest.mark.parametrize("name", ["nevergrad:CMA", "pycma", "constriction"])
def test_a_search_takes_it_and_resumes(
    name: str, words_search: Callable[..., SearchConfig], tmp_path: Path
) -> None:
    found = search(words_search(6, 6, optimizer=name))
    rows = history(tmp_path / "run")
    assert 10 <= len(rows) <= 23 and found.result["best_dev"] >= found.result["best_single_dev"]
    whole = (tmp_path / "run" / "results.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "run" / "results.jsonl").write_text("".join(whole[:7]))
    (tmp_path / "run" / "result.json").unlink()
    for file in (tmp_path / "run" / "checkpoint").iterdir():
        file.unlink()
    resume(tmp_path / "run")
    assert history(tmp_path / "run") == rows
