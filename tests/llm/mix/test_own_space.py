"""The worked example of docs/how-to/extend.md, from a file of its own: searched, saved, read back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from search_helpers import history

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.experts.adapter import load_adapter, read_adapter
from pyswarmopt_llm.mix import build_space, space_kind, use_own
from pyswarmopt_llm.report.card import model_card
from pyswarmopt_llm.report.run import resume, search
from pyswarmopt_llm.searching.scoring.result import Result
from pyswarmopt_llm.searching.scoring.run_directory import Run

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "extend.md"
CONVEX = "mine.py:convex"
MODULE = "q_proj"


@pytest.fixture
def example(tmp_path: Path, here: Path) -> Path:
    """The file of the example, in the current directory."""
    (code,) = re.findall(
        r'```python title="mine.py"\n(.*?)```', PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
    file = tmp_path / "mine.py"
    file.write_text(code, encoding="utf-8")
    return file


@pytest.mark.usefixtures("example")
def test_its_candidates_are_averages_of_weight_changes(tiny_experts: list[Path]) -> None:
    """Against the sum of alpha / r * B A, worked out from the adapters' files, at the shares 0.75,
    0, 0.25.
    """
    use_own(CONVEX)
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


@pytest.mark.usefixtures("example")
def test_it_is_searched_saved_described_and_resumed(
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
    found = Result.from_json(result)
    mixed = {**found.models, "best": replace(found.best, weights=weights)}
    assert "an average of" in model_card(Run(tmp_path / "run").about, replace(found, models=mixed))
    (tmp_path / "run" / "result.json").unlink()
    with pytest.raises(UserError, match=r"allow mine\.py:convex"):
        resume(tmp_path / "run")
    assert (
        resume(tmp_path / "run", allowed=[CONVEX]).result["coefficients"] == result["coefficients"]
    )


def test_reading_a_run_runs_no_file_that_it_names(example: Path) -> None:
    example.write_text("raise SystemExit('was run')\n")
    kind = space_kind("mine.py:other")
    assert (kind.name, kind.library, kind.linear) == ("mine.py:other", "peft", False)
