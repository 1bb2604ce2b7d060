"""`sl.merge` from Python writes what the command writes."""

from __future__ import annotations

from pathlib import Path

import pytest

import pyswarmopt_llm as sl
from pyswarmopt_rivals.merge import merge
from pyswarmopt_rivals.merge_config import MergeConfig


def test_arguments_are_those_of_the_configuration(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    experts = [str(path) for path in tiny_experts[:2]]
    how = ("task-arithmetic", None, tmp_path / "a")
    by_arguments = sl.merge(str(tiny_base), experts, *how, weights="0.7,0.3")
    own = (str(tiny_base), tuple(experts), str(tmp_path / "b"), "task-arithmetic")
    assert by_arguments == merge(MergeConfig(*own, weights="0.7,0.3"))
    weights = [(tmp_path / name / "adapter_model.safetensors").read_bytes() for name in "ab"]
    assert weights[0] == weights[1]
    with pytest.raises(sl.UserError):
        sl.merge(str(tiny_base), experts, "task-arithmetic", None, tmp_path / "a")
