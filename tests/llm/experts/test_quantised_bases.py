"""Quantised bases: GGUF files are read by their values, others stay packed and are mixed at run
time, or refused.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import gguf
import pytest
import safetensors.torch
import torch
from engine_reference import load_tiny, naive_logprobs, save_base
from gguf_model import Q4_0, write_quantised
from search_helpers import louder, questions, small, swarm_llm, write_task

from pyswarmopt_llm.api import search
from pyswarmopt_llm.engine.by_token import next_token_logprobs
from pyswarmopt_llm.experts.base import load_model, resolve_base
from pyswarmopt_llm.mix.load import open_model


@pytest.fixture(scope="module")
def original(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama as it was before it was quantised."""
    return save_base(tmp_path_factory.mktemp("original") / "base", tiny_base, "llama")


@pytest.fixture(scope="module")
def quants(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as ``model.Q4_0.gguf``."""
    return write_quantised(original, tmp_path_factory.mktemp("quants") / "model.Q4_0.gguf")


@pytest.fixture(autouse=True)
def cache(own_cache: Path) -> Path:
    return own_cache


def test_a_gguf_base_has_the_values_that_its_blocks_stand_for(quants: Path, original: Path) -> None:
    base = resolve_base(str(quants))
    stored = safetensors.torch.load_file(base.path / "model.safetensors")
    up = next(
        tensor for tensor in gguf.GGUFReader(quants).tensors if tensor.name == "blk.1.ffn_up.weight"
    )
    assert up.tensor_type == Q4_0
    values = torch.from_numpy(gguf.dequantize(up.data, up.tensor_type).copy())
    assert torch.equal(stored["model.layers.1.mlp.up_proj.weight"], values.bfloat16())
    before = load_tiny(original)[0].get_submodule("model.layers.1.mlp.up_proj").weight
    # four bits are lossy: these are not the original's values
    assert 0.01 < (values - before).abs().max() < 0.3


@pytest.fixture(scope="module")
def nf4(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny base as transformers packs and saves it."""
    pytest.importorskip("bitsandbytes")
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    folder = shutil.copytree(tiny_base, tmp_path_factory.mktemp("nf4") / "base")
    how = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True
    )
    model = AutoModelForCausalLM.from_pretrained(
        tiny_base, quantization_config=how, device_map={"": "cpu"}
    )
    model.save_pretrained(folder)
    return folder


def test_nf4_weights_act_as_the_values_that_they_stand_for_forward_and_backward(
    nf4: Path, tiny_base: Path
) -> None:
    """Also after a pass without gradients, after which bitsandbytes may keep a format without a
    backward pass.
    """
    bitsandbytes: Any = pytest.importorskip("bitsandbytes")
    packed, tokenizer = load_model(resolve_base(str(nf4)), torch.float32)
    plain = load_tiny(tiny_base)[0]
    for name, module in packed.named_modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            values = bitsandbytes.functional.dequantize_4bit(
                module.weight.data, module.weight.quant_state
            )
            plain.get_submodule(name).weight.data = values
    ids = tokenizer("many days in a year")["input_ids"]
    torch.testing.assert_close(
        naive_logprobs(packed, ids), naive_logprobs(plain, ids), rtol=0, atol=1e-5
    )
    slopes = []
    for model in (packed, plain):
        embedded = model.get_input_embeddings()(torch.tensor([ids])).detach().requires_grad_()
        model(inputs_embeds=embedded).logits.logsumexp(-1).sum().backward()
        slopes.append(embedded.grad)
    torch.testing.assert_close(slopes[0], slopes[1], rtol=1e-4, atol=1e-4)


def test_a_search_over_an_nf4_base_trains_and_hands_over_an_adapter_that_peft_loads(
    nf4: Path,
    tiny_base: Path,
    tiny_experts: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import peft
    from transformers import AutoModelForCausalLM

    task, run = (
        write_task(tmp_path / "words.json", questions(12, 1), questions(8, 2)),
        tmp_path / "run",
    )
    experts = louder(tiny_experts, tmp_path / "loud")
    more = {"max_iter": 1, "space": "delta", "train": "on", "dtype": "float32"}
    result = search(small(nf4, experts, [task], run, **more)).result
    assert any("at run time" in note and "bitsandbytes" in note for note in result["notes"])
    words = ("--adapter", run / "best", "--dtype", "float32", "--threads", "1")
    code, out, _ = swarm_llm(
        capsys, "eval", "--base", nf4, *words, "--task", task, "--scoring", "likelihood", "--json"
    )  # fmt: skip
    assert code == 0 and json.loads(out)["value"] == result["best_test"]
    engine: Any = open_model(str(nf4), str(run / "best"), "float32", "cpu", 1)
    base, _ = load_model(resolve_base(f"nf4:{tiny_base}"), torch.float32)  # the same codes
    bare = naive_logprobs(base, engine.encode("Which?"))[-1]
    by_peft = naive_logprobs(
        peft.PeftModel.from_pretrained(base, run / "best").eval(), engine.encode("Which?")
    )[-1]
    torch.testing.assert_close(
        next_token_logprobs(engine, ["Which?"])[0].double(), by_peft, rtol=0, atol=1e-4
    )
    assert (by_peft - bare).abs().max() > 0.1
    assert AutoModelForCausalLM.from_pretrained(nf4).config.quantization_config.load_in_4bit
    assert swarm_llm(capsys, "check", tiny_experts[0], "--base", nf4)[0] == 0
