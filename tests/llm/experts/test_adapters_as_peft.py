"""What a config and a file say together is what peft makes of them: equal logits, or a refusal in
one line.

Adapters are made by peft on tiny models, some then changed as people and tools change them.
Compared are peft's loaded model, its merged one, our candidates of weight 1, and the files that
they are saved to, read back by peft.
"""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import peft
import pytest
import safetensors.torch
import torch
from engine_reference import random_model

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.mixing import PatchedWeights
from pyswarmopt_llm.experts.adapter import Adapter
from pyswarmopt_llm.experts.base import BaseModel, resolve_base
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.mix import build_space

Json = dict[str, Any]
Edit = Callable[[Json, dict[str, torch.Tensor]], None]  # of adapter_config.json and the tensors
IDS = torch.tensor([[5, 17, 40, 3, 22, 9, 31, 11]])
PREFIX = "base_model.model."


class Bases:
    """Tiny random models: their directories, and each loaded once in float32."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._models: dict[str, Any] = {}

    def path(self, name: str) -> Path:
        """The directory: llama (untied, bf16), tied, twice (tied, with the head in its file, too),
        or gpt2.
        """
        path = self._folder / name
        if not path.exists():
            model = random_model("gpt2" if name == "gpt2" else "llama", 64)
            if name in ("tied", "twice"):
                model.config.tie_word_embeddings = True
                model.tie_weights()
            model.to(torch.bfloat16 if name == "llama" else torch.float32).save_pretrained(path)
            if name == "twice":
                weights = safetensors.torch.load_file(path / "model.safetensors")
                head = {"lm_head.weight": weights["model.embed_tokens.weight"].clone()}
                safetensors.torch.save_file(
                    weights | head, path / "model.safetensors", {"format": "pt"}
                )
        return path

    def model(self, name: str) -> Any:
        """A copy of the model."""
        from transformers import AutoModelForCausalLM

        if name not in self._models:
            self._models[name] = AutoModelForCausalLM.from_pretrained(
                self.path(name), dtype=torch.float32
            ).eval()
        return copy.deepcopy(self._models[name])


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Bases:
    return Bases(tmp_path_factory.mktemp("bases"))


@contextmanager
def quiet() -> Iterator[None]:
    """peft warns of what these tests are about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def saved(
    bases: Bases, base: str, folder: Path, options: Json, edit: Edit | None = None, seed: int = 1
) -> Path:
    """An adapter with random weights, saved by peft, then edited."""
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = peft.get_peft_model(
            bases.model(base), peft.LoraConfig(**{"task_type": "CAUSAL_LM", "r": 3, **options})
        )
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_" in name or "modules_to_save" in name:
                    parameter.add_(torch.randn(parameter.shape) * 0.2)
        model.save_pretrained(folder, save_embedding_layers=False)
    config, tensors = folder / "adapter_config.json", folder / "adapter_model.safetensors"
    settings, weights = json.loads(config.read_text()), safetensors.torch.load_file(tensors)
    settings["base_model_name_or_path"] = None
    if edit is not None:
        edit(settings, weights)
    config.write_text(json.dumps(settings))
    safetensors.torch.save_file(
        {key: value.contiguous() for key, value in weights.items()}, tensors
    )
    return folder


@torch.inference_mode()
def logits(model: Any) -> torch.Tensor:
    return model(IDS).logits


def by_peft(model: Any, folder: Path, merged: bool = False) -> torch.Tensor:
    with quiet():
        loaded = peft.PeftModel.from_pretrained(model, folder)
        return logits((loaded.merge_and_unload() if merged else loaded).eval())


def patched(model: Any, patch: Patch) -> torch.Tensor:
    PatchedWeights(model).load(patch)
    return logits(model)


def compare(bases: Bases, base: str, adapter: Path, folder: Path) -> str:
    """Whether an adapter is "refused", or all its logits are "equal"; anything else fails."""
    resolved: BaseModel = resolve_base(str(bases.path(base)))
    try:
        report = inspect_experts([adapter], resolved)
        report.require("factor")
        spaces = {
            name: build_space(name, [Adapter(report.experts[0])]) for name in ("delta", "factor")
        }
    except UserError as error:
        assert "\n" not in str(error)
        return "refused"
    expected = by_peft(bases.model(base), adapter)
    assert (expected - logits(bases.model(base))).abs().max() > 0.05  # the adapter tells
    found = {"merged by peft": by_peft(bases.model(base), adapter, merged=True)}
    for name, space in spaces.items():
        alone = space.vertices()[0]
        found[name] = patched(bases.model(base), space.realise(alone))
        space.save(alone, folder / name)
        found[f"{name}, saved"] = by_peft(bases.model(base), folder / name)
        found[f"{name}, read"] = patched(bases.model(base), space.read(folder / name))
    for what, result in found.items():
        off = (result - expected).abs().max()
        assert off <= 1e-5 * max(1.0, float(expected.abs().max())), what
    return "equal"


def configured(**changes: Any) -> Edit:
    def edit(config: Json, tensors: dict[str, torch.Tensor]) -> None:
        config.update(changes)
        for option in [option for option, value in changes.items() if value == "(gone)"]:
            del config[option]

    return edit


def in_float64(config: Json, tensors: dict[str, torch.Tensor]) -> None:
    tensors.update({key: value.double() for key, value in tensors.items()})


def without_layer_0(config: Json, tensors: dict[str, torch.Tensor]) -> None:
    for key in [key for key in tensors if ".0." in key]:
        del tensors[key]


def with_embedding_as_linear(config: Json, tensors: dict[str, torch.Tensor]) -> None:
    tensors[f"{PREFIX}model.embed_tokens.lora_A.weight"] = torch.randn(3, 32)
    tensors[f"{PREFIX}model.embed_tokens.lora_B.weight"] = torch.randn(64, 3)
    config["target_modules"] = [*config["target_modules"], "embed_tokens"]


def with_broken_bystander(config: Json, tensors: dict[str, torch.Tensor]) -> None:
    """Of another rank, without its B, and not selected."""
    tensors[f"{PREFIX}model.layers.0.self_attn.o_proj.lora_A.weight"] = torch.randn(7, 32)


# base, options of peft's LoraConfig, what is then changed in adapter_config.json ("(gone)": removed) or
# by a function of these, and the outcome
CORPUS = Path(__file__).with_name("adapters.jsonl").read_text(encoding="utf-8").splitlines()
CASES: dict[str, Json] = {case["case"]: case for case in map(json.loads, CORPUS)}
BY_NAME: dict[str, Edit] = {
    edit.__name__: edit
    for edit in (in_float64, without_layer_0, with_embedding_as_linear, with_broken_bystander)
}


@pytest.mark.parametrize("case", CASES)
def test_as_peft_or_refused(case: str, bases: Bases, tmp_path: Path) -> None:
    found = CASES[case]
    edit = BY_NAME.get(found.get("edit", ""), configured(**found.get("config", {})))
    adapter = saved(bases, found["base"], tmp_path / "adapter", found["options"], edit)
    assert compare(bases, found["base"], adapter, tmp_path) == found["outcome"]
