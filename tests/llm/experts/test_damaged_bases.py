"""Bases whose configuration does not describe their files, and chat templates that fail: one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_reference import load_tiny
from safetensors.torch import load_file, save_file
from search_helpers import questions, swarm_llm, write_task

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.engine.chat import prompt_of, rendered
from pyswarmopt_llm.experts.base import load_model, load_tokenizer, resolve_base

PROJ = "model.layers.0.self_attn.q_proj.weight"


def changed(base: Path, folder: Path, weights: Any = None, **config: Any) -> Path:
    """A copy of a base with another configuration, and with its tensors changed."""
    shutil.copytree(base, folder)
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **config}))
    if weights is not None:
        tensors = load_file(folder / "model.safetensors")
        weights(tensors)
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


def in_int8(tensors: dict[str, torch.Tensor]) -> None:
    tensors[PROJ] = (tensors[PROJ].float() * 100).to(torch.int8)
    tensors[PROJ.replace(".weight", ".SCB")] = torch.ones(32)


PLAIN = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
IN_8 = {"quant_method": "bitsandbytes", "load_in_8bit": True}
LESS = "its files hold 9 weights that its config.json leaves out, such as model.layers.1."
UNKNOWN = "its weights are packed by zzz; transformers does not know it"
BROKEN: dict[str, tuple[Any, dict[str, Any], str]] = {
    "a layer less": (None, {"num_hidden_layers": 1}, LESS),
    "int8": (in_int8, {}, f"{PROJ} is packed (I8), and config.json does not say how"),
    "unknown method": (None, {"quantization_config": {"quant_method": "zzz"}}, UNKNOWN),
    "plain in 4 bits": (None, {"quantization_config": PLAIN}, "and they are plain; remove"),
    "plain in 8 bits": (None, {"quantization_config": IN_8}, "and they are plain; remove"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_configuration_that_does_not_describe_the_files_is_one_line(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    weights, config, said = BROKEN[kind]
    if "quantization_config" in config:
        pytest.importorskip("bitsandbytes")
    base = changed(tiny_base, tmp_path / "base", weights, **config)
    task = write_task(tmp_path / "words.json", questions(4, 1), questions(4, 2))
    code, out, err = swarm_llm(capsys, "eval", "--base", base, "--task", task, "--threads", "1")
    assert (code, out) == (2, "") and err.count("\n") == 1 and said in err, err


def test_weights_of_another_part_are_said_and_harmless_ones_are_not(
    tiny_base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def harmless(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()

    base = changed(tiny_base, tmp_path / "harmless", harmless)
    load_model(resolve_base(str(base)), torch.float32)
    assert caplog.text == ""

    def towers(tensors: dict[str, torch.Tensor]) -> None:
        harmless(tensors)
        tensors["vision_tower.blocks.0.weight"] = torch.ones(4)

    base = changed(tiny_base, tmp_path / "towers", towers)
    load_model(resolve_base(str(base)), torch.float32)
    assert "1 weights of its files are not used, such as vision_tower.blocks.0.we" in caplog.text


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_an_fp8_base_runs_on_a_cpu_in_every_dtype(
    tiny_base: Path, tmp_path: Path, dtype: torch.dtype
) -> None:
    """As the values that it stands for, to which transformers unpacks it there."""
    values: dict[str, torch.Tensor] = {}

    def in_fp8(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if "_proj" in name]:
            tensors[name] = tensors[name].to(torch.float8_e4m3fn)
            values[name] = tensors[name].to(dtype)
            blocks = [(n + 127) // 128 for n in tensors[name].shape]
            tensors[name.replace(".weight", ".weight_scale_inv")] = torch.ones(blocks)

    packing = {"quant_method": "fp8", "weight_block_size": [128, 128]}
    packing |= {"activation_scheme": "dynamic"}
    base = changed(tiny_base, tmp_path / "base", in_fp8, quantization_config=packing)
    model, _ = load_model(resolve_base(str(base)), dtype)
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    plain, tokenizer = load_tiny(tiny_base, dtype)
    for name, value in values.items():
        plain.get_parameter(name).data = value
    ids = torch.tensor([tokenizer("many days")["input_ids"]])
    assert torch.equal(model(input_ids=ids).logits, plain(input_ids=ids).logits)


# Chat templates

CORPUS = Path(__file__).with_name("chat_templates.jsonl").read_text(encoding="utf-8").splitlines()
TEMPLATES = {case["name"]: case for case in map(json.loads, CORPUS)}


@pytest.fixture(scope="module")
def tokenizer(tiny_base: Path) -> Any:
    return load_tokenizer(resolve_base(str(tiny_base)))


@pytest.mark.parametrize("kind", TEMPLATES)
def test_a_chat_template_that_fails_is_one_line_without_control_characters(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    template, said = TEMPLATES[kind]["template"], TEMPLATES[kind]["says"]
    monkeypatch.setattr(tokenizer, "chat_template", template)
    with pytest.raises(UserError) as caught:
        prompt_of(tokenizer, "", "Where?")
    text = str(caught.value)
    assert said in text and text.isprintable(), text


def test_a_command_says_so(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = changed(tiny_base, tmp_path / "base")
    (base / "chat_template.jinja").write_text(TEMPLATES["escapes"]["template"])
    task = write_task(tmp_path / "words.json", questions(4, 1), questions(4, 2))
    code, out, err = swarm_llm(capsys, "eval", "--base", base, "--task", task, "--threads", "1")
    assert (code, out) == (2, "") and err.count("\n") == 1 and "base: its chat template" in err
    assert err.strip().isprintable()


def test_a_long_conversation_and_arguments_by_name_are_no_error(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = [{"role": "user", "content": "word " * 50}, {"role": "assistant", "content": "Yes."}]
    plain = tokenizer.apply_chat_template(turns * 500, tokenize=False)
    assert rendered(tokenizer, turns * 500) == plain
    named = "{% macro f() %}{{ kwargs.a }}{% endmacro %}{{ f(**{'a': '**bold** 2 ** 3'}) }}"
    monkeypatch.setattr(tokenizer, "chat_template", named)
    assert rendered(tokenizer, turns) == "**bold** 2 ** 3"
