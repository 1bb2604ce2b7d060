"""Hostile and broken adapters in a pool: loud, silent, one-directional, not finite."""

from __future__ import annotations

import json
import math
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from search_helpers import swarm_llm
from torch import Tensor

from pyswarmopt_llm.experts.adapter import load_adapter, load_factors, read_adapter
from pyswarmopt_llm.experts.compatibility import (
    PreflightReport,
    inspect_experts,
    inspect_weights,
    spectrum,
)

Change = Callable[[str, Tensor], Tensor]


def altered(expert: Path, path: Path, change: Change) -> Path:
    """A copy of an expert under another name whose tensors are changed."""
    shutil.copytree(expert, path)
    file = path / "adapter_model.safetensors"
    tensors = safetensors.torch.load_file(file)
    safetensors.torch.save_file(
        {name: change(name, value).contiguous() for name, value in tensors.items()}, file
    )
    return path


def inspected(*experts: Path) -> PreflightReport:
    return inspect_weights(inspect_experts(experts), "my/base")


def warnings(report: PreflightReport) -> dict[str, str]:
    return {
        problem.expert: problem.text for problem in report.problems if problem.severity == "warning"
    }


def test_norm_and_share_are_those_of_the_dense_change(tiny_experts: list[Path]) -> None:
    info = read_adapter(tiny_experts[0])
    factors = load_adapter(info).factors
    (row, *_) = inspected(*tiny_experts).rows
    norms, shares = [], []
    for name, change in load_factors(info).items():
        own = factors[name.removesuffix(".weight")]
        dense = own.scale * own.b.numpy().astype(float) @ own.a.numpy().astype(float)
        values = np.linalg.svd(dense, compute_uv=False)
        found = spectrum(change)
        assert found.norm == pytest.approx(np.linalg.norm(dense), rel=1e-5)
        assert found.share == pytest.approx(values[0] ** 2 / (values**2).sum(), rel=1e-5)
        norms.append(found.norm)
        shares.append(found.share)
    assert row.norm == pytest.approx(math.hypot(*norms)) and row.top_share == pytest.approx(
        np.median(shares)
    )


@pytest.mark.parametrize(("size", "severity"), [(1e38, "error"), (1e15, "warning")])
def test_huge_finite_weights_are_answered(
    size: float,
    severity: str,
    tiny_experts: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    huge = altered(tiny_experts[0], tmp_path / "huge", lambda name, value: value.sign() * size)
    code, out, _ = swarm_llm(capsys, "inspect", *tiny_experts, huge, "--json")
    answer = json.loads(out)
    (problem,) = (problem for problem in answer["problems"] if problem["expert"] == "huge")
    assert problem["severity"] == severity and "\n" not in problem["text"]
    assert code == (2 if severity == "error" else 0)
    if severity == "error":
        assert "so large that its change overflows" in problem["text"]
    else:
        assert answer["experts"][-1]["norm"] > size**2


def test_one_loud_module_is_found_and_named_with_what_to_do(
    tiny_experts: list[Path], tmp_path: Path
) -> None:
    def louder(name: str, value: Tensor) -> Tensor:
        return 40 * value if "layers.1.self_attn.v_proj.lora_B" in name else value

    loud = altered(tiny_experts[0], tmp_path / "loud", louder)
    found = warnings(inspected(*tiny_experts, loud))
    assert found.keys() == {"loud"}
    assert (
        "changes model.layers.1.self_attn.v_proj " in found["loud"]
        and "(1 of 8 modules" in found["loud"]
    )
    remedy = found["loud"].split("(")[-1].partition(")")[0]
    assert shlex.split(remedy) == [
        *("swarm-llm", "eval", "--base", "my/base", "--adapter", str(loud), "--against", "base"),
        *("--task", "TASK.json"),
    ]


def test_an_adapter_that_changes_nothing_is_found(tiny_experts: list[Path], tmp_path: Path) -> None:
    empty = altered(tiny_experts[0], tmp_path / "empty", lambda name, value: 0 * value)
    report = inspected(*tiny_experts, empty)
    found = warnings(report)
    assert found.keys() == {"empty"} and found["empty"].startswith("changes nothing: B is zero")
    assert warnings(inspected(empty)) == found  # alone, too
    assert (report.rows[-1].norm, report.rows[-1].top_share) == (0.0, 0.0)


def test_a_change_in_a_single_direction_is_found_at_an_ordinary_norm(
    tiny_experts: list[Path], tmp_path: Path
) -> None:
    def one_direction(name: str, value: Tensor) -> Tensor:
        if "lora_A" not in name:
            return value
        flat = value[:1].repeat(len(value), 1) + 1e-3 * value
        return flat * value.norm() / flat.norm()

    flat = altered(tiny_experts[0], tmp_path / "flat", one_direction)
    report = inspected(*tiny_experts, flat)
    found = warnings(report)
    assert found.keys() == {"flat"} and found["flat"].startswith(
        "has 100% of its change in one direction per module"
    )


def test_weights_that_are_not_finite_block_the_expert(
    tiny_experts: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def damaged(name: str, value: Tensor) -> Tensor:
        return (
            value.clone().index_fill(0, torch.tensor([0]), math.nan)
            if "k_proj.lora_B" in name
            else value
        )

    broken = altered(tiny_experts[0], tmp_path / "broken", damaged)
    code, out, _ = swarm_llm(capsys, "inspect", *tiny_experts, broken, "--json")
    record = json.loads(out)
    (problem,) = record["problems"]
    assert code == 2 and record["recommended"] is None
    assert (
        problem["expert"] == "broken"
        and problem["severity"] == "error"
        and "NaN or infinite" in problem["text"]
    )
    assert record["experts"][-1]["norm"] is None and record["experts"][0]["norm"] > 0
