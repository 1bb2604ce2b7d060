"""The space of docs/how-to/extend.md, from a package: searched, saved, read back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from search_helpers import history

from pyswarmopt_llm.api import search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.registry import plugins
from pyswarmopt_llm.experts.adapter import load_adapter, read_adapter
from pyswarmopt_llm.mix import build_space
from pyswarmopt_llm.report.card import model_card
from pyswarmopt_llm.run.directory import RunDirectory
from pyswarmopt_llm.run.result import RunResult

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "extend.md"
CONVEX = "convex"
MODULE = "q_proj"


@pytest.fixture(autouse=True)
def package(tmp_path: Path, importable: Callable[[Path], None]) -> Iterator[None]:
    """The example's module, as a package that pip has installed."""
    (code,) = re.findall(
        r'```python title="my_package.py"\n(.*?)```', PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
    metadata = tmp_path / "my_package-1.0.dist-info"
    metadata.mkdir()
    (tmp_path / "my_package.py").write_text(code, encoding="utf-8")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[swarm_llm.spaces]\nconvex = my_package:convex\n")
    importable(tmp_path)
    plugins.cache_clear()  # read once in a process
    yield
    plugins.cache_clear()


def test_its_candidates_are_averages_of_weight_changes(tiny_experts: list[Path]) -> None:
    """Against the sum of alpha / r * B A, worked out from the adapters' files, at the shares 0.75,
    0, 0.25.
    """
    space = build_space(CONVEX, [load_adapter(read_adapter(path)) for path in tiny_experts])
    patch = space.realise(torch.tensor([1.5, -2.0, 0.5], dtype=torch.float64))
    name = next(name for name in patch.low_rank if MODULE in name)
    total = torch.zeros(patch.low_rank[name].dense().shape)
    for share, path in zip((0.75, 0.0, 0.25), tiny_experts, strict=True):
        config = json.loads((path / "adapter_config.json").read_text())
        tensors = safetensors.torch.load_file(path / "adapter_model.safetensors")
        stem = f"base_model.model.{name.removesuffix('.weight')}"
        a, b = (tensors[f"{stem}.lora_{factor}.weight"].float() for factor in "AB")
        total += share * config["lora_alpha"] / config["r"] * b @ a
    torch.testing.assert_close(patch.low_rank[name].dense(), total)


def test_it_is_searched_saved_and_described(
    words_search: Callable[..., SearchConfig], tmp_path: Path
) -> None:
    result: Any = search(words_search(8, 4, space=CONVEX, max_iter=4)).result
    rows = [row for row in history(tmp_path / "run") if row["phase"] == "search"]
    assert len(rows) > 5
    assert all(
        min(row["coefficients"]) >= 0.0 and sum(row["coefficients"]) == pytest.approx(1.0)
        for row in rows
    )
    # the files, read back, score as the candidate did
    assert result["best_dev"] == max(row["value"] for row in rows)
    card = (tmp_path / "run" / "best" / "README.md").read_text()
    assert f"--space {CONVEX}" in card and "library_name: peft" in card
    # of a mixture, whichever won here
    weights = dict(zip(result["coefficients"], (0.5, 0.25, 0.25), strict=True))
    found = RunResult.from_json(result)
    mixed = {**found.models, "best": replace(found.best, weights=weights)}
    assert "an average of" in model_card(
        RunDirectory(tmp_path / "run").about, replace(found, models=mixed)
    )
