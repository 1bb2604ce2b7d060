"""Quantised bases: GGUF files are read by their values, as the package gguf dequantises them; others are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import gguf
import pytest
import safetensors.torch
import torch
from engine_reference import load_tiny, naive_logprobs, save_base
from gguf_model import Q4_0, write_quantised
from llm_fixtures import save_random_expert
from search_helpers import louder, questions, small, swarm_llm, write_task

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.jobs.export.export import export_model
from pyswarmopt_llm.jobs.search.loop import search
from pyswarmopt_llm.models import dequantise
from pyswarmopt_llm.models.base import load_model, resolve_base


@pytest.fixture(scope="module")
def original(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama as it was before it was quantised."""
    return save_base(tmp_path_factory.mktemp("original") / "base", tiny_base, "llama")


@pytest.fixture(scope="module")
def quants(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as ``model.Q4_0.gguf``."""
    return write_quantised(original, tmp_path_factory.mktemp("quants") / "model.Q4_0.gguf")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the user."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_gguf_base_has_the_values_that_its_blocks_stand_for(quants: Path, original: Path) -> None:
    base = resolve_base(str(quants))
    stored = safetensors.torch.load_file(base.path / "model.safetensors")
    up = next(tensor for tensor in gguf.GGUFReader(quants).tensors if tensor.name == "blk.1.ffn_up.weight")
    assert up.tensor_type == Q4_0
    values = torch.from_numpy(gguf.dequantize(up.data, up.tensor_type).copy())
    assert torch.equal(stored["model.layers.1.mlp.up_proj.weight"], values.bfloat16())
    before = load_tiny(original)[0].get_submodule("model.layers.1.mlp.up_proj").weight
    assert 0.01 < (values - before).abs().max() < 0.3  # four bits are lossy: these are not the original's values


def test_it_predicts_what_transformers_predicts_from_the_file(quants: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    expected = AutoModelForCausalLM.from_pretrained(quants.parent, gguf_file=quants.name, dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in expected.parameters():
            parameter.copy_(parameter.bfloat16())
    model, tokenizer = load_model(resolve_base(str(quants)), torch.float32)
    ids = AutoTokenizer.from_pretrained(quants.parent, gguf_file=quants.name)("many days in a year")["input_ids"]
    assert tokenizer("many days in a year")["input_ids"] == ids
    torch.testing.assert_close(naive_logprobs(model, ids), naive_logprobs(expected, ids), rtol=0, atol=1e-4)


def test_it_is_converted_once_for_each_content(quants: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = resolve_base(str(quants))
    monkeypatch.setattr(dequantise, "_convert", lambda *_: pytest.fail("converted twice"))
    again = resolve_base(str(shutil.copy(quants, tmp_path / "renamed.gguf")))
    assert (again.path, again.fingerprint) == (first.path, first.fingerprint)


def test_a_search_over_a_gguf_base_is_scored_exported_and_used(
    quants: Path, original: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = [save_random_expert(original, tmp_path / name, seed) for seed, name in enumerate(("ant", "bee"), 1)]
    experts = louder(plain, tmp_path / "loud")
    task = write_task(tmp_path / "words.json", questions(12, 1), questions(8, 2))
    run = tmp_path / "run"
    result = search(small(quants, experts, [task], run, max_iter=1, space="delta")).result
    code, out, _ = swarm_llm(
        capsys, *("eval", "--base", quants, "--adapter", run / "best", "--task", task, "--threads", "1"),
        *("--scoring", "likelihood", "--json"),
    )  # fmt: skip
    assert code == 0 and json.loads(out)["value"] == result["best_test"]
    exported = export_model(str(run), tmp_path / "exported", "gguf")
    assert "adapter.gguf" in exported.files


def test_files_that_are_no_such_model_are_one_line_and_leave_nothing(
    quants: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nonsense = tmp_path / "nonsense.gguf"
    nonsense.write_bytes(b"GGUF" + bytes(100))
    half = tmp_path / "half.gguf"
    half.write_bytes(quants.read_bytes()[: quants.stat().st_size // 2])
    absent = tmp_path / "absent.gguf"
    for file, said in ((nonsense, "cannot be loaded"), (half, "cannot be loaded"), (absent, "no such file")):
        code, out, err = swarm_llm(capsys, "eval", "--base", file, "--task", "builtin:dates")
        assert (code, out) == (2, "") and f"{file}: {said}" in err and err.count("\n") == 1, err
    assert [path for path in cache.rglob("*") if path.suffix == ".safetensors"] == []
    with pytest.raises(UserError, match=r"holds GGUF files and no \*\.safetensors; name one of them, such as .*Q4_0"):
        resolve_base(str(quants.parent))


IN_8_BITS = {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}


@pytest.fixture(params=[IN_8_BITS, {"text_config": IN_8_BITS}, {"a": {"b": IN_8_BITS}}], ids=["top", "inner", "deep"])
def in_8_bits(tiny_base: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A directory whose configuration, or a configuration in it, says what bitsandbytes writes there."""
    folder = shutil.copytree(tiny_base, tmp_path / "in-8-bits")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | request.param))
    return folder


def test_changes_to_a_bitsandbytes_base_are_refused_in_one_line(
    in_8_bits: Path, tiny_experts: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = write_task(tmp_path / "words.json", questions(8, 1), questions(8, 2))
    said = (
        f"error: {in_8_bits}: its weights are quantised (bitsandbytes), and a change cannot be added to them; "
        "give the original checkpoint in bf16, and quantise the result\n"
    )
    out = tmp_path / "out"
    rest = ("--task", task, "--out", out)
    for words in (
        ("search", "--base", in_8_bits, "--experts", *tiny_experts, *rest),
        ("search", "--base", in_8_bits, "--experts", in_8_bits, in_8_bits, *rest, "--space", "full"),
        ("merge", "--base", in_8_bits, "--experts", *tiny_experts, "--method", "ties", "--out", out),
        ("inspect", *tiny_experts, "--base", in_8_bits),
        ("eval", "--base", in_8_bits, "--adapter", tiny_experts[0], "--task", task),
        ("export", tiny_experts[0], "--base", in_8_bits, "--out", out),
    ):
        assert swarm_llm(capsys, *words) == (2, "", said), words
    assert not out.exists()
