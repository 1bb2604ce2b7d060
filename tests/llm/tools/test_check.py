"""check: what is wrong with an adapter is said, each with a remedy, and a healthy one is ok."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from changed_copies import Edit, edited
from search_helpers import swarm_llm

from pyswarmopt_llm.common.hardware import pick_dtype
from pyswarmopt_llm.engine.mixing import PatchedWeights
from pyswarmopt_llm.experts.adapter import AdapterConfig
from pyswarmopt_llm.tools.check import check

Tensors = dict[str, torch.Tensor]
AUTOMATIC = str(pick_dtype("auto", torch.device("cpu"))).removeprefix("torch.")
LAYER_0 = "base_model.model.model.layers.0"


def only(adapter: Path, base: Path) -> str:
    """What is wrong with one adapter."""
    return check([adapter], str(base), "cpu", 1)[adapter.name]


def zero_b(tensors: Tensors) -> None:
    for name in tensors:
        if "lora_B" in name:
            tensors[name].zero_()


def without_q_of_layer_0(tensors: Tensors) -> None:
    for factor in "AB":
        del tensors[f"{LAYER_0}.self_attn.q_proj.lora_{factor}.weight"]


def with_up_of_layer_0(tensors: Tensors) -> None:
    tensors[f"{LAYER_0}.mlp.up_proj.lora_A.weight"] = torch.ones(4, 32)
    tensors[f"{LAYER_0}.mlp.up_proj.lora_B.weight"] = torch.ones(64, 4)


KINDS: dict[str, dict[str, object]] = {
    "plain": {},
    "rslora": {"use_rslora": True},
    "patterns": {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"k_proj": 3}},
    "all-linear": {"target_modules": "all-linear"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_healthy_adapter_is_ok(
    kind: str, tiny_base: Path, make_expert: Callable[..., Path]
) -> None:
    assert only(make_expert("ant", 1, **KINDS[kind]), tiny_base) == ""


def enormous(tensors: Tensors) -> None:
    for name in tensors:
        # of queries and keys
        tensors[name] *= 1e21 if "lora_B" in name and "v_proj" not in name else 1


WRONG: dict[str, tuple[Edit, str]] = {
    "zero B": (zero_b, "it changes nothing, not even in PEFT; train"),
    "module missing": (
        without_q_of_layer_0,
        ("selects model.layers.0.self_attn.q_proj, which its file lacks, so the base model's "
        "weights are used; export it again"),
    ),
    "extra module": (
        with_up_of_layer_0,
        "target_modules does not select model.layers.0.mlp.up_proj, so PEFT would ignore",
    ),
    "enormous": (
        enormous,
        f"not finite in {AUTOMATIC}; the weights are damaged or too large; use other weights",
    ),
    "not finite": (
        lambda tensors: tensors[f"{LAYER_0}.self_attn.q_proj.lora_A.weight"].fill_(torch.nan),
        "train or export"
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_said_in_one_line(
    wrong: str,
    tiny_base: Path,
    make_expert: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    edit, words = WRONG[wrong]
    adapters = [edited(make_expert("ant", 1), edit), make_expert("bee", 2)]
    code, out, _ = swarm_llm(capsys, "check", *adapters, "--base", tiny_base, "--threads", "1")
    first, second = out.splitlines()
    assert code == 1
    assert first.startswith("ant: ") and words in first and second == "bee: ok"


def test_a_wrong_scale_of_our_own_is_found(
    tiny_base: Path, make_expert: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with add_weighted_adapter: alpha / r where it has to be alpha / sqrt(r)."""
    adapter = make_expert("ant", 1, use_rslora=True)
    assert only(adapter, tiny_base) == ""
    monkeypatch.setattr(
        AdapterConfig, "scale_of", lambda self, module, rank: self.lora_alpha / rank
    )
    assert only(adapter, tiny_base).startswith("its weight changes differ")


def test_an_adapter_that_our_loading_ignores_is_found(
    tiny_base: Path, make_expert: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = make_expert("ant", 1)
    monkeypatch.setattr(PatchedWeights, "load", lambda self, patch: None)
    assert only(adapter, tiny_base).startswith("it is not applied")
