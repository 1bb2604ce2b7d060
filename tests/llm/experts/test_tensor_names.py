"""Adapters as trainers write them: loaded as PEFT does, or one line with a remedy that works."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers
from changed_copies import changed_copy, edited
from engine_reference import load_tiny

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.experts.adapter import load_factors, read_adapter
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.experts.compatibility import PreflightReport, inspect_experts
from pyswarmopt_llm.tools.check import check
from pyswarmopt_llm.tools.export import export_model

Rename = Callable[[str], str]


def renamed(adapter: Path, out: Path, rename: Rename, **config: object) -> Path:
    def rename_all(tensors: dict[str, torch.Tensor]) -> None:
        for key in list(tensors):
            tensors[rename(key)] = tensors.pop(key)

    return changed_copy(adapter, out, rename_all, **config)


def report_of(adapter: Path, base: Path) -> PreflightReport:
    return inspect_experts([adapter], resolve_base(str(base)))


FOREIGN: dict[str, Rename] = {
    "torch.compile": lambda k: k.replace("model.model.", "model._orig_mod.model.", 1),
    "fsdp": lambda k: k.replace("layers.0.", "layers.0._fsdp_wrapped_module."),
    "checkpointing": lambda k: k.replace("layers.1.", "layers.1._checkpoint_wrapped_module."),
    "ddp": lambda k: f"module.{k}",
    "state dict": lambda k: k.replace(".weight", ".default.weight"),
    "around": lambda k: k.replace("model.model.", "model.model.language_model.", 1),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_names_of_training_programs_and_of_models_around_are_read(
    kind: str, tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    report = report_of(renamed(tiny_experts[0], tmp_path / "foreign", FOREIGN[kind]), tiny_base)
    report.require("delta")
    found = load_factors(report.experts[0])
    for name, change in load_factors(read_adapter(tiny_experts[0])).items():
        assert torch.equal(found[name].dense(), change.dense())


@pytest.mark.parametrize("kind", [kind for kind in FOREIGN if kind != "state dict"])
def test_check_says_that_peft_does_not_know_these_names(
    kind: str, tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    foreign = renamed(tiny_experts[0], tmp_path / "foreign", FOREIGN[kind])
    assert "it does not recognise" in check([foreign], str(tiny_base), "cpu", 1)["foreign"]


TWICE: dict[str, Rename] = {
    "contains several adapters": lambda k: k.replace(".weight", ".math.weight"),
    "twice": lambda k: k.replace("model.model.", "model.model.language_model.", 1),
    "has no such linear layer": lambda k: k.replace("model.model.", "model.vision_tower.", 1),
}


@pytest.mark.parametrize("words", TWICE)
def test_two_adapters_in_one_file_and_towers_are_refused(
    words: str, tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    def add(tensors: dict[str, torch.Tensor]) -> None:
        tensors.update({TWICE[words](key): 2 * value for key, value in tensors.items()})

    with pytest.raises(UserError, match=words):
        report_of(changed_copy(tiny_experts[0], tmp_path / "two", add), tiny_base).require("delta")


def test_empty_tensors_of_zero_3_are_called_so(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    def empty(tensors: dict[str, torch.Tensor]) -> None:
        tensors.update(dict.fromkeys(tensors, torch.zeros(0)))

    adapter = changed_copy(tiny_experts[0], tmp_path / "empty", empty)
    with pytest.raises(UserError, match=r"DeepSpeed ZeRO-3") as refused:
        report_of(adapter, tiny_base).require("delta")
    assert "flatten" not in str(refused.value)


def test_an_adapter_of_mlx_is_called_so(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    apple = Path(shutil.copytree(tiny_experts[0], tmp_path / "apple"))
    settings = {"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": {"rank": 4}}
    (apple / "adapter_config.json").write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(UserError, match="MLX adapter"):
        report_of(apple, tiny_base).require("delta")


@pytest.fixture(scope="module")
def wrapper(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Gemma 3 with a tower for images; its files have the names from before transformers 4.52."""
    folder = Path(shutil.copytree(tiny_base, tmp_path_factory.mktemp("gemma") / "gemma"))
    (folder / "model.safetensors").unlink()
    words = len(transformers.AutoTokenizer.from_pretrained(tiny_base))
    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
    tower = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    tower |= {"num_attention_heads": 2, "image_size": 28, "patch_size": 14}
    text = transformers.Gemma3TextConfig(vocab_size=words, sliding_window=64, **sizes, **heads)
    config = transformers.Gemma3Config(
        text_config=text, vision_config=tower, mm_tokens_per_image=4, image_token_index=words - 1
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(config)
        for weight in model.parameters():
            weight.normal_(0, 0.15)
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def newer(wrapper: Path, tmp_path: Path) -> Path:
    """An adapter of its text layers."""
    settings = peft.LoraConfig(
        r=4, target_modules=r".*language_model.*(q_proj|v_proj)$", task_type="CAUSAL_LM"
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        model = peft.get_peft_model(load_tiny(wrapper)[0], settings)
        for name, weight in model.named_parameters():
            if "lora_" in name:
                weight.normal_(0, 0.3)
    model.save_pretrained(tmp_path / "newer")
    return edited(tmp_path / "newer", None, base_model_name_or_path=str(wrapper))


def next_logits(base: Path, adapter: Path | None = None) -> torch.Tensor:
    model = load_tiny(base)[0]
    if adapter is not None:
        model = peft.PeftModel.from_pretrained(model, adapter)
    with torch.no_grad():
        return model.eval()(torch.tensor([[5, 60, 61, 62, 70]])).logits


def test_names_of_earlier_transformers_are_those_that_peft_loads(
    wrapper: Path, newer: Path, tmp_path: Path
) -> None:
    """Against logits of peft: checked, mixed and merged."""

    def old(key: str) -> str:
        return key.replace("model.model.language_model.", "model.language_model.model.")

    adapter = renamed(newer, tmp_path / "old", old, target_modules=["q_proj", "v_proj"])
    assert check([adapter], str(wrapper), "cpu", 1) == {"old": ""}
    export_model(str(adapter), tmp_path / "merged", base=str(wrapper))
    by_peft = next_logits(wrapper, newer)
    torch.testing.assert_close(next_logits(tmp_path / "merged"), by_peft, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(by_peft, next_logits(wrapper), atol=0.1)
