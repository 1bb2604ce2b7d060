"""Checkpoints that an earlier version wrote (tests/frozen/checkpoints) go on to the bit."""

from __future__ import annotations

import json
import platform
import shutil
from pathlib import Path

import pytest
from frozen_searches import ROUNDS, at_the_lowest, drive, resumed, swarm

import pyswarmopt as pso

FROZEN = Path(__file__).parents[2] / "frozen" / "checkpoints"


def expected(name: str) -> object:
    return json.loads((FROZEN / f"{name}.json").read_text())


def test_a_saved_swarm_of_model_swarms_moves_on_as_it_did_then() -> None:
    loaded = pso.Swarm.load(FROZEN / "model-swarms.npz")
    assert loaded.iteration == ROUNDS - 1
    assert drive(loaded, ROUNDS) == expected("model-swarms")


def test_the_same_seed_leads_to_the_saved_swarm() -> None:
    fresh = swarm()
    drive(fresh, ROUNDS)
    assert drive(fresh, ROUNDS) == expected("model-swarms")


def test_a_bounded_constriction_search_goes_on_with_its_history(tmp_path: Path) -> None:
    shutil.copy(FROZEN / "constriction.npz", tmp_path)
    assert resumed("constriction", tmp_path / "constriction.npz") == expected("constriction")


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="its matrix products are those of an x86-64")
def test_the_default_search_goes_on_with_its_history(tmp_path: Path) -> None:
    shutil.copy(FROZEN / "memetic.npz", tmp_path)
    assert at_the_lowest("memetic", tmp_path / "memetic.npz") == expected("memetic")
