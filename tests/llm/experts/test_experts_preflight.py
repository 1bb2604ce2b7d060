"""Whether experts fit together and on a base, and which of them stand out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from changed_copies import changed_copy

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.experts.compatibility import PreflightReport, inspect_experts


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
    assert text.startswith("odd: its rank, alpha or modules differ")
    assert (severity, spaces) == ("error", {"factor"})
    report.require("delta")
    with pytest.raises(UserError, match="set space to delta"):
        report.require("factor")


def test_missing_and_extra_modules_block_factor_only(
    tiny_experts: list[Path], make_expert: Callable[..., Path]
) -> None:
    odd = make_expert("odd", 9, target_modules=["q_proj", "k_proj", "v_proj", "up_proj"])
    _, severity, spaces = only_problem(inspect_experts([tiny_experts[0], odd]))
    assert (severity, spaces) == ("error", {"factor"})


@pytest.mark.parametrize("stored", ["file", "settings"])
def test_another_chat_template_is_told(
    stored: str, tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    def put(template: str) -> None:
        if stored == "file":
            (expert / "chat_template.jinja").write_text(template)
        else:
            (expert / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))

    expert = changed_copy(tiny_experts[0], tmp_path / "ant")
    own = (tiny_base / "chat_template.jinja").read_text()
    put(f"{own}\n")
    base = resolve_base(str(tiny_base))
    assert not inspect_experts([expert], base).problems
    put("another")
    text, severity, _ = only_problem(inspect_experts([expert], base))
    assert "its chat template differs from that of" in text and severity == "warning"
    bare = Path(shutil.copytree(tiny_base, tmp_path / tiny_base.name))
    (bare / "chat_template.jinja").unlink()
    text, severity, _ = only_problem(inspect_experts([expert], resolve_base(str(bare))))
    assert "has none, so prompts are plain text" in text and severity == "warning"


def test_settings_that_are_on_and_that_peft_does_not_know_are_named(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    base = resolve_base(str(tiny_base))
    off = {"use_hydra_lora": False, "heads": None, "new_list": [], "unsloth_fixed": True}
    known = {"peft_version": "99.0", "megatron_core": "megatron.core", "ensure_weight_tying": True}
    same = changed_copy(tiny_experts[0], tmp_path / "same", **off, **known)
    assert not inspect_experts([same], base).problems
    odd = changed_copy(tiny_experts[0], tmp_path / "odd", use_hydra_lora=True, heads=3)
    text, severity, _ = only_problem(inspect_experts([odd], base))
    assert "sets heads, use_hydra_lora, which the installed PEFT" in text and severity == "warning"


def test_other_base_by_shape(tiny_base: Path, by_hand: Callable[..., Path]) -> None:
    factors = {"model.layers.0.self_attn.q_proj": ([[1.0]] * 48, [[1.0] * 32])}
    expert = by_hand("odd", factors, base_model_name_or_path=str(tiny_base))
    text, severity, spaces = only_problem(inspect_experts([expert], resolve_base(str(tiny_base))))
    assert "shape (48, 32)" in text and "has (32, 32);" in text
    assert (severity, spaces) == ("error", {"factor", "delta"})


def test_unreadable_experts_are_problems(tiny_experts: list[Path], tmp_path: Path) -> None:
    broken = changed_copy(tiny_experts[1], tmp_path / "broken")
    (broken / "adapter_config.json").write_text("{")
    pickled = changed_copy(tiny_experts[2], tmp_path / "pickled")
    (pickled / "adapter_model.safetensors").rename(pickled / "adapter_model.bin")
    report = inspect_experts([tiny_experts[0], broken, pickled])
    assert [p.expert for p in report.problems] == ["broken", "pickled"]
    assert [info.name for info in report.experts] == ["ant"]
    with pytest.raises(
        UserError, match=r"broken: .*line 1.*\(and 1 more; run swarm-llm inspect to list"
    ):
        report.require("delta")
