"""Optimizers by name: all of them search from the experts, and a search takes any of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from search_helpers import MakeSearch, history

from pyswarmopt_llm.api import resume, search
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.searching.optimizers import make_optimizer, optimizer_names, released

NAMES = [
    *optimizer_names(),
    "nevergrad:CMA",
    "nevergrad:RandomSearch",
]
VERTICES = torch.eye(4, dtype=torch.float64)
GOAL = torch.tensor([0.5, 0.4, 0.1, 0.0], dtype=torch.float64)


def value(x: torch.Tensor) -> float:
    return -float(((x - GOAL) ** 2).sum())


@pytest.mark.parametrize("name", NAMES)
def test_each_searches_from_the_experts_and_ends(name: str) -> None:
    seen = []
    before = np.random.get_state()[1].tolist()
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
    assert np.random.get_state()[1].tolist() == before
    # others of nevergrad's may not take suggestions
    if not name.startswith("nevergrad:") or name == "nevergrad:CMA":
        assert all(any(torch.allclose(x, vertex) for x in seen[0][:6]) for vertex in VERTICES)


# In a search


MINE = """
import pyswarmopt as pso
mine = pso.compose([pso.inertia(0.5), pso.cognitive(1.0), pso.social(1.0)])
other = 3
def bare():
    return pso.compose([pso.inertia(0.5), lambda s: s.p - s.x])
def asks(more):
    return mine
"""


@pytest.mark.parametrize("name", ["nevergrad:CMA", "mine.py:mine"])
def test_a_search_takes_it_and_resumes(
    name: str, words_search: MakeSearch, tmp_path: Path, here: Path
) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    found = search(words_search(6, 6, optimizer=name))
    rows = history(tmp_path / "run")
    assert 10 <= len(rows) <= 23 and found.result["best_dev"] >= found.result["best_single_dev"]
    whole = (tmp_path / "run" / "results.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "run" / "results.jsonl").write_text("".join(whole[:7]))
    (tmp_path / "run" / "result.json").unlink()
    for file in (tmp_path / "run" / "checkpoint").iterdir():
        file.unlink()
    resume(tmp_path / "run", allowed=[name] if name.startswith("mine") else [])
    assert history(tmp_path / "run") == rows
    if name.startswith("mine"):
        (tmp_path / "run" / "result.json").unlink()
        (tmp_path / "mine.py").write_text(MINE.replace("0.5", "0.6"))
        with pytest.raises(UserError, match=r"custom code \(mine\.py:mine\) changed"):
            resume(tmp_path / "run", allowed=[name])
