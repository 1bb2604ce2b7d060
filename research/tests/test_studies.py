"""`studies.py`: a variant lacks what its name says, and the swarm of its page is in `factor`."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from laboratory import script

studies = script("studies")


def swarm_of(name: str, values: Any = None) -> Any:
    """The swarm of a variant that begins with ten experts."""
    bench = SimpleNamespace(start=lambda experts, seed: torch.eye(10, dtype=torch.float64))
    return studies.make_swarm(bench, studies.VARIANTS[name], 0, values)


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("full", [0.2, 0.3, 0.4, 0.05]),
        ("no inertia", [0.0, 0.3, 0.4, 0.05]),
        ("no p", [0.2, 0.0, 0.4, 0.05]),
        ("no g", [0.2, 0.3, 0.0, 0.05]),
        ("no repel", [0.2, 0.3, 0.4, 0.0]),
        ("social 0.6", [0.2, 0.3, 0.6, 0.05]),
    ],
)
def test_a_variant_has_the_coefficients_of_its_name(name: str, weights: list[float]) -> None:
    assert [term.weight for term in swarm_of(name).recipe.velocity.terms] == weights


def test_a_variant_lacks_the_part_of_its_name() -> None:
    assert {term.random for term in swarm_of("no randomness").recipe.velocity.terms} == {"none"}
    assert swarm_of("no schedule").recipe.schedule(40) == 0.8 > swarm_of("full").recipe.schedule(40)
    assert swarm_of("no restart").recipe.restart[0].patience > 1000
    sizes = ("no crossover", "15 particles", "full", "40 particles")
    assert [len(swarm_of(name).ask()) for name in sizes] == [10, 15, 20, 40]


def test_copies_are_equal_and_the_weaker_half_is_weaker() -> None:
    bench = SimpleNamespace(
        vertices=torch.eye(10), experts=np.array([5, 9, 1, 8, 2, 7, 3, 6, 4, 0])
    )
    start = studies.Bench.start
    copies = start(bench, "2 x 5", 0)
    assert len(copies) == 10 and copies.unique(dim=0, return_counts=True)[1].tolist() == [5, 5]
    drawn = [start(bench, "2 x 5", seed)[:2].argmax(dim=1).tolist() for seed in range(40)]
    assert {number for pair in drawn for number in pair} == set(range(10))
    assert torch.nonzero(start(bench, "weaker half", 0))[:, 1].tolist() == [2, 4, 6, 8, 9]


def test_rows_of_another_space_or_size_are_not_taken() -> None:
    args = SimpleNamespace(
        space="factor", paper_sizes=False, studies=["full"], seeds=[0], tasks=["t1"], out="x.jsonl"
    )
    row = {"variant": "full", "task": "t1", "seed": 0}
    assert not list(studies.missing(args, [row]))
    for other in ({"space": "delta"}, {"paper_sizes": True}):
        with pytest.raises(SystemExit, match=r"x\.jsonl: has searches of another --space or size"):
            list(studies.missing(args, [row | other]))


def test_outcomes_of_other_builds_stay(tmp_path: Path) -> None:
    write, file = script("twelve").write_outcomes, tmp_path / "twelve.jsonl"
    for build, seed in ((3, 0), (4, 0), (3, 1)):
        write(file, build, [{"seed": seed}])
    assert file.read_text() == '{"build": 4, "seed": 0}\n{"build": 3, "seed": 1}\n'
