"""Whether experts fit together and on a base, and which of them stand out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from changed_copies import changed_copy, each
from search_helpers import swarm_llm
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.experts.compatibility import PreflightReport, check_weights, inspect_experts


def only_problem(report: PreflightReport) -> tuple[str, str, set[str]]:
    (problem,) = report.problems
    assert "\n" not in str(problem)
    return str(problem), problem.severity, set(problem.spaces)


@pytest.mark.parametrize(
    "options", [{"rank": 2}, {"alpha": 4}, {"use_rslora": True}, {"rank_pattern": {"k_proj": 2}}]
)
def test_unequal_rank_or_scale_blocks_factor_only(
    tiny_experts: list[Path], make_expert: Callable[..., Path], options: dict
) -> None:
    report = inspect_experts([tiny_experts[0], make_expert("odd", 9, **options)])
    text, severity, spaces = only_problem(report)
    assert text.startswith("odd: model.layers.0") and "set `space` to delta" in text
    assert (severity, spaces) == ("error", {"factor"})
    report.require("delta")
    with pytest.raises(UserError, match="but rank 4 and scale"):
        report.require("factor")


def test_missing_and_extra_modules_block_factor_only(
    tiny_experts: list[Path], make_expert: Callable[..., Path]
) -> None:
    odd = make_expert("odd", 9, target_modules=["q_proj", "k_proj", "v_proj", "up_proj"])
    lacks, adds = inspect_experts([tiny_experts[0], odd]).problems
    assert "missing: model.layers.0.self_attn.o_proj" in lacks.text
    assert "additional: model.layers.0.mlp.up_proj" in adds.text
    assert lacks.spaces == adds.spaces == {"factor"}


def test_a_module_that_peft_would_draw_at_random_is_named(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    lost = "model.layers.1.self_attn.k_proj"

    def without(tensors: dict[str, Tensor]) -> None:
        for name in [name for name in tensors if lost in name]:
            del tensors[name]

    odd = changed_copy(tiny_experts[1], tmp_path / "odd", without, init_lora_weights=False)
    report = inspect_experts([tiny_experts[0], odd], resolve_base(str(tiny_base)))
    (text,) = {str(problem) for problem in report.problems if "at random" in str(problem)}
    assert f"selects {lost}, but the file has no weights" in text


def test_other_base_by_shape(tiny_base: Path, by_hand: Callable[..., Path]) -> None:
    factors = {"model.layers.0.self_attn.q_proj": ([[1.0]] * 48, [[1.0] * 32])}
    expert = by_hand("odd", factors, base_model_name_or_path=str(tiny_base))
    text, severity, spaces = only_problem(inspect_experts([expert], resolve_base(str(tiny_base))))
    assert "shape 48 x 32" in text and "has 32 x 32" in text
    assert (severity, spaces) == ("error", {"factor", "delta"})


def test_duplicates_only_warn(tiny_base: Path, tiny_experts: list[Path], tmp_path: Path) -> None:
    twin = changed_copy(tiny_experts[0], tmp_path / "twin")
    report = inspect_experts([tiny_experts[0], twin], resolve_base(str(tiny_base)))
    text, severity, _ = only_problem(report)
    assert "same weights as ant" in text and severity == "warning"
    report.require("factor")


def test_unreadable_experts_are_rows_and_problems(tiny_experts: list[Path], tmp_path: Path) -> None:
    broken = changed_copy(tiny_experts[1], tmp_path / "broken")
    (broken / "adapter_config.json").write_text("{")
    pickled = changed_copy(tiny_experts[2], tmp_path / "pickled")
    (pickled / "adapter_model.safetensors").rename(pickled / "adapter_model.bin")
    report = inspect_experts([tiny_experts[0], broken, pickled])
    assert [(row.expert, row.rank) for row in report.rows] == [
        ("ant", "4"),
        ("broken", "-"),
        ("pickled", "-"),
    ]
    assert [p.expert for p in report.problems] == ["broken", "pickled"]
    assert [info.name for info in report.experts] == ["ant"]
    with pytest.raises(
        UserError, match=r"broken: .*line 1.*\(and 1 more; run swarm-llm inspect to list"
    ):
        report.require("delta")


def inspected(*experts: Path) -> PreflightReport:
    return check_weights(inspect_experts(experts))


def warnings(report: PreflightReport) -> dict[str, str]:
    return {
        problem.expert: problem.text for problem in report.problems if problem.severity == "warning"
    }


@pytest.mark.parametrize(
    ("size", "said"),
    [(math.nan, "NaN, infinite"), (1e38, "so large that they overflow")],
)
def test_weights_that_are_huge_or_no_numbers_are_answered(
    size: float,
    said: str,
    tiny_experts: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    large = each(lambda name, value: value.sign() * size)
    huge = changed_copy(tiny_experts[0], tmp_path / "huge", large)
    code, out, _ = swarm_llm(capsys, "inspect", *tiny_experts, huge, "--json")
    answer = json.loads(out)
    (problem,) = (problem for problem in answer["problems"] if problem["expert"] == "huge")
    assert said in problem["text"] and "\n" not in problem["text"]
    assert (code, problem["severity"], answer["recommended"]) == (2, "error", None)


def test_an_adapter_that_changes_nothing_is_found(tiny_experts: list[Path], tmp_path: Path) -> None:
    empty = changed_copy(tiny_experts[0], tmp_path / "empty", each(lambda name, value: 0 * value))
    report = inspected(*tiny_experts, empty)
    found = warnings(report)
    assert found.keys() == {"empty"} and found["empty"].startswith("no effect")
    assert warnings(inspected(empty)) == found  # alone, too
