"""The base: found, fingerprinted, loaded; damaged ones are refused in a line, names are one model's."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from changed_copies import changed_copy, edited
from search_helpers import questions, swarm_llm, write_task

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.engine.chat import PromptTokenizer
from pyswarmopt_llm.experts.base import linear_layers, load_model, load_tokenizer, resolve_base


def test_fingerprint_sees_weights_and_config(tiny_base: Path, tmp_path: Path) -> None:
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
    assert changed("config", "config.json", with_config(rms_norm_eps=1e-3)) != original
    assert changed("weights", "model.safetensors", flip) != original


MODEL = "model.safetensors"
PROJ = "model.layers.0.self_attn.q_proj.weight"
CORPUS = Path(__file__).with_name("chat_templates.jsonl").read_text(encoding="utf-8").splitlines()
TEMPLATES = {case["name"]: case for case in map(json.loads, CORPUS)}
TRAP = TEMPLATES["escapes"]["template"]


def in_int8(tensors: dict[str, torch.Tensor]) -> None:
    tensors[PROJ] = (tensors[PROJ].float() * 100).to(torch.int8)
    tensors[PROJ.replace(".weight", ".SCB")] = torch.ones(32)


UNKNOWN = "transformers cannot read weights quantised with zzz"
BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no configuration": (lambda p: (p / "config.json").unlink(), "config.json (No such file"),
    "bad JSON": (lambda p: (p / "config.json").write_text("{\n\n,"), "line 3"),
    "pickled": (lambda p: (p / MODEL).rename(p / "pytorch_model.bin"), "no *.safetensors"),
    "truncated": (lambda p: (p / MODEL).write_bytes((p / MODEL).read_bytes()[:-100]), "truncated"),
    "no tokenizer": (lambda p: [f.unlink() for f in p.glob("token*")], "tokenizer cannot be loaded"),
    "a weight less": (lambda p: edited(p, lambda t: t.pop(PROJ)), f"missing weights, such as {PROJ}"),
    "int8": (lambda p: edited(p, in_int8), f"{PROJ} is quantised (I8), but config.json"),
    "unknown method": (lambda p: edited(p, quantization_config={"quant_method": "zzz"}), UNKNOWN),
    "template": (lambda p: (p / "chat_template.jinja").write_text(TRAP), "base: its chat template"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_base_is_one_line(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    breaks, said = BROKEN[kind]
    base = changed_copy(tiny_base, tmp_path / "base")
    breaks(base)
    task = write_task(tmp_path / "words.json", questions(4, 1), questions(4, 2))
    code, out, err = swarm_llm(capsys, "eval", "--base", base, "--task", task, "--threads", "1")
    assert (code, out) == (2, "") and err.count("\n") == 1 and said in err, err
    assert err.strip().isprintable()


# Chat templates


@pytest.fixture(scope="module")
def loaded(tiny_base: Path) -> Any:
    return load_tokenizer(resolve_base(str(tiny_base)))


@pytest.fixture
def tokenizer(loaded: Any) -> Any:
    """One to change."""
    return copy.deepcopy(loaded)


@pytest.mark.parametrize("kind", TEMPLATES)
def test_a_chat_template_that_fails_is_one_line_without_control_characters(
    tokenizer: Any, kind: str
) -> None:
    tokenizer.chat_template, said = TEMPLATES[kind]["template"], TEMPLATES[kind]["says"]
    with pytest.raises(UserError) as caught:
        PromptTokenizer(tokenizer, None).chat("Where?")
    text = str(caught.value)
    assert said in text and text.isprintable(), text


@pytest.mark.parametrize(
    "settings",
    [
        {"attn_implementation": "org/kernel"},
        {"_attn_implementation_internal": "paged|org/kernel"},
    ],
)
def test_code_for_attention_that_a_config_names_is_not_loaded(
    settings: dict[str, Any], tiny_base: Path, tmp_path: Path
) -> None:
    """With the package kernels, transformers would fetch and run it."""
    base = resolve_base(str(changed_base(tiny_base, tmp_path / "strange", settings)))
    model, _ = load_model(base, torch.float32)
    assert model.config._attn_implementation == "sdpa" and linear_layers(base)


def changed_base(base: Path, out: Path, settings: dict[str, Any]) -> Path:
    shutil.copytree(base, out)
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    (out / "config.json").write_text(json.dumps(config | settings), encoding="utf-8")
    return out
