"""Preflight: every kind of mismatch is found, blocks what it should block, and says what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.experts.compatibility import PreflightReport, inspect_experts


def configured(path: Path, **changes: object) -> Path:
    """Change adapter_config.json."""
    file = path / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    return path


def copy(source: Path, target: Path) -> Path:
    return Path(shutil.copytree(source, target))


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
    assert text.startswith("odd: has rank") and "use `space` delta" in text
    assert (severity, spaces) == ("error", {"factor"})
    report.require("delta")
    with pytest.raises(UserError, match="odd: has rank"):
        report.require("factor")


def test_missing_and_extra_modules_block_factor_only(
    tiny_experts: list[Path], make_expert: Callable[..., Path]
) -> None:
    odd = make_expert("odd", 9, target_modules=["q_proj", "k_proj", "v_proj", "up_proj"])
    text, severity, spaces = only_problem(inspect_experts([tiny_experts[0], odd]))
    assert "lacks 2 modules such as model.layers.0.self_attn.o_proj" in text
    assert "adds 2 modules such as model.layers.0.mlp.up_proj" in text
    assert (severity, spaces) == ("error", {"factor"})


def test_other_base_by_name(tiny_base: Path, tiny_experts: list[Path], tmp_path: Path) -> None:
    """Shapes decide: a name alone is a warning, with a base and without one."""
    odd = configured(
        copy(tiny_experts[1], tmp_path / "odd"), base_model_name_or_path="some/other-model"
    )
    report = inspect_experts([tiny_experts[0], odd])
    text, severity, _ = only_problem(report)
    assert "odd: was trained on some/other-model, ant on " in text
    assert severity == "warning"
    report = inspect_experts([tiny_experts[0], odd], resolve_base(str(tiny_base)))
    text, severity, _ = only_problem(report)
    assert "odd: was trained on some/other-model, not on " in text
    assert severity == "warning"


def test_other_base_by_its_files(tiny_base: Path, tiny_experts: list[Path], tmp_path: Path) -> None:
    """Both directories are at hand and differ in a weight, though their last names are the same."""
    other = copy(tiny_base, tmp_path / tiny_base.name)
    weights = other / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 0x40
    weights.write_bytes(content)
    text, severity, _ = only_problem(inspect_experts([tiny_experts[0]], resolve_base(str(other))))
    assert "was trained on" in text
    assert severity == "warning"


def test_other_base_by_shape(tiny_base: Path, by_hand: Callable[..., Path]) -> None:
    factors = {"model.layers.0.self_attn.q_proj": ([[1.0]] * 48, [[1.0] * 32])}
    expert = by_hand("odd", factors, base_model_name_or_path=str(tiny_base))
    text, severity, spaces = only_problem(inspect_experts([expert], resolve_base(str(tiny_base))))
    assert "shape 48 x 32" in text and "it is 32 x 32" in text
    assert (severity, spaces) == ("error", {"factor", "delta"})


def test_shapes_among_experts(by_hand: Callable[..., Path]) -> None:
    one = by_hand("one", {"m.q_proj": ([[1.0]] * 4, [[1.0] * 6])})
    two = by_hand("two", {"m.q_proj": ([[1.0]] * 6, [[1.0] * 4])})
    text, severity, spaces = only_problem(inspect_experts([one, two]))
    assert "two: changes m.q_proj of shape 6 x 4, one one of 4 x 6" in text
    assert (severity, spaces) == ("error", {"factor", "delta"})


def test_duplicates_and_tokenizers_only_warn(
    tiny_base: Path, tiny_experts: list[Path], make_expert: Callable[..., Path], tmp_path: Path
) -> None:
    twin = copy(tiny_experts[0], tmp_path / "twin")
    worded = make_expert("worded", 10)
    tokenizer = json.loads((tiny_base / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["new"] = 9999
    (worded / "tokenizer.json").write_text(json.dumps(tokenizer))
    report = inspect_experts([tiny_experts[0], twin, worded], resolve_base(str(tiny_base)))
    assert {p.expert: p.severity for p in report.problems} == dict.fromkeys(
        ["twin", "worded"], "warning"
    )
    texts = {p.expert: p.text for p in report.problems}
    assert "same weights as ant" in texts["twin"]
    assert "another vocabulary" in texts["worded"]
    report.require("factor")


def test_unreadable_experts_are_rows_and_problems(tiny_experts: list[Path], tmp_path: Path) -> None:
    broken = copy(tiny_experts[1], tmp_path / "broken")
    (broken / "adapter_config.json").write_text("{")
    pickled = copy(tiny_experts[2], tmp_path / "pickled")
    (pickled / "adapter_model.safetensors").rename(pickled / "adapter_model.bin")
    report = inspect_experts([tiny_experts[0], broken, pickled])
    assert [(row.expert, row.rank) for row in report.rows] == [
        ("ant", "4"),
        ("broken", "-"),
        ("pickled", "-"),
    ]
    assert [p.expert for p in report.problems] == ["broken", "pickled"]
    assert [info.name for info in report.experts] == ["ant"]
    with pytest.raises(UserError, match=r"broken: .*line 1.*\(and 1 more; run swarm-llm inspect\)"):
        report.require("delta")


def test_names_are_unique(tiny_experts: list[Path], tmp_path: Path) -> None:
    paths = [
        copy(e, tmp_path / place / "math") for e, place in zip(tiny_experts, "abc", strict=True)
    ]
    report = inspect_experts([*paths, paths[0], tiny_experts[0]])
    assert [row.expert for row in report.rows] == [
        "a/math",
        "b/math",
        "c/math",
        "a/math-2",
        "ant",
    ]


def test_shared_experts_pass(shared_experts: list[Path]) -> None:
    report = inspect_experts(shared_experts)
    assert report.problems == ()
    assert {(row.rank, row.alpha, row.dtype) for row in report.rows} == {("8", "16", "BF16")}
