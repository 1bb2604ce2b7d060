"""`research/benchmarks/lab/studies.py`: its algorithm is that of `swarm-llm search`, its variants are what
their names say.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from laboratory import script

from pyswarmopt_llm import SearchConfig, search
from pyswarmopt_llm.searching.scoring.record import Row

studies = script("studies")


@pytest.fixture(scope="module")
def bench(folder: Path) -> Any:
    return studies.Bench(folder, "t1", 1)


def test_the_whole_algorithm_finds_what_the_command_finds(
    bench: Any, folder: Path, tmp_path: Path
) -> None:
    config = SearchConfig(
        str(folder / "base"),
        tuple(map(str, sorted((folder / "experts").iterdir()))),
        (str(folder / "tasks" / "t1.json"),),
        str(tmp_path / "run"),
        compat="paper",
        particles=6,
        patience=2,
        scoring="likelihood",
        dtype="float32",
        threads=1,
        seed=3,
    )
    theirs = search(config).result
    (read,) = studies.outcomes_of(tmp_path)
    ours = studies.search(bench, studies.Variant(particles=6, patience=2), 3)
    assert [ours["dev"], ours["test"]] == [theirs["best_dev"], theirs["best_test"]]
    assert ours["items"] == theirs["item_evaluations"]
    assert [read["variant"], read["task"], read["seed"]] == ["full, every item", "t1", 3]
    same = "dev test best_expert_test items rank found_in unknown ever emerged lost".split()
    assert [read[key] for key in same] == [ours[key] for key in same]
    assert ours["best_expert_dev"] == theirs["best_single_dev"]
    assert ours["best_expert_test"] == theirs["best_single_test"]


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
    assert len(swarm_of("no crossover").ask()) == 10 < len(swarm_of("full").ask())


def test_starting_velocities_are_zero_or_point_to_the_best() -> None:
    assert not swarm_of("velocity zero").velocities.any()
    swarm = swarm_of("velocity best", lambda x: [float(i == 13) for i in range(len(x))])
    x = swarm.ask()
    assert torch.equal(x, swarm_of("full").ask())
    assert torch.equal(x + swarm.velocities, x[13].expand(20, -1))


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


def test_emergence_by_hand() -> None:
    """Two experts, a point between them, and a move to the best: of two items that no expert gets
    right one is right at the start, another later, which is the one that the best gets right.
    """
    known = [(0, "1000"), (0, "0100"), (0, "0010"), (1, "1101")]
    mixtures = [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.4, 0.6]]
    rows = [
        Row(
            "search",
            iteration,
            i % 3,
            str(i),
            mixtures[i],
            items.count("1") / 4,
            4,
            0.0,
            {"t": items},
        )
        for i, (iteration, items) in enumerate(known)
    ]
    found = studies.analysed("t", rows, studies.outcome(rows, {"a": 0.4, "b": 0.6}))
    assert (found["unknown"], found["at_start"], found["ever"], found["emerged"]) == (2, 1, 2, 1)
    assert (found["known"], found["lost"], found["found_in"]) == (2, 0, 1)


def outcome(variant: str, seed: int, dev: float, test: float, **more: Any) -> dict[str, Any]:
    names = {
        "variant": variant,
        "task": "t1",
        "seed": seed,
        "best_expert_test": 0.5,
        "evaluations": 10 * (seed + 1),
        "items": 9,
    }
    return {
        **names,
        "dev": dev,
        "test": test,
        "rank": 15.0,
        "population": 20,
        "found_in": 4,
        **more,
    }


def test_differences_are_paired_with_the_whole_algorithm_of_the_same_seed() -> None:
    full = [outcome("full", seed, 0.8, 0.7) for seed in range(3)]
    other = [outcome("no p", seed, 0.8 - 0.01 * (seed + 1), 0.7) for seed in (0, 1, 2, 3)]
    shown = studies.tables([*full, *other], {"full": ["full"], "ablations": ["no p", "no g"]})
    # -.02 with a standard deviation of .01: 4.303 * .01 / sqrt(3)
    assert "| no p | 3 | -0.020 ± 0.025 | +0.000 ± 0.000 | +0.200 ± 0.000 | 20 |" in shown
    assert "no g" not in shown and "lower half in 3 (median rank 15)" in shown


def test_what_is_there_is_not_searched_again_and_half_a_line_is(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "out.jsonl"
    done = [json.dumps(outcome(name, 0, 0.8, 0.7)) for name in ("full", "velocity zero")]
    file.write_text(f"{done[0]}\n{done[1][:30]}")
    monkeypatch.setattr(studies, "search", lambda bench, variant, seed: outcome("", seed, 0.9, 0.7))
    words = f"--lab {folder} --out {file} --studies full velocity --tasks t1 --seeds 0"
    monkeypatch.setattr(sys, "argv", ["studies.py", *words.split()])
    studies.main()
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert rows[0] == json.loads(done[0])
    assert [row["variant"] for row in rows[1:]] == ["velocity zero", "velocity best"]
    assert "| velocity zero | 1 | +0.100 |" in capsys.readouterr().out
