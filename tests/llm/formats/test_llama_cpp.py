"""llama.cpp's own tool: it holds each tensor in the type and with the values that `quantize` scores, and finds
the codes of an export again.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
import pytest
import torch
from gguf_model import gguf_name, reordered, write_quantised
from llama_server import Server, needs_llama_cpp, quantised_by_the_tool

from pyswarmopt_llm.common.options import FORMATS
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.experts.quantised import NAME, spec_of
from pyswarmopt_llm.formats import find_format
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks.load import load_task

pytestmark = needs_llama_cpp
BY_LLAMA_CPP = [name for name in FORMATS if name not in ("nf4", "int8")]
LLAMA_CPP = os.environ.get("LLAMA_CPP")  # the folder of a clone, with its converter
ROOT = Path(__file__).parents[3]
UNUSED = ["Ā ā"]  # a merge of two bytes that no text here has
SIZES = {"blocks of 256": (256, 512, 8), "blocks of 32": (96, 160, 2), "odd rows": (64, 72, 2)}


def saved_model(folder: Path, tiny_base: Path, sizes: tuple[int, int, int]) -> Path:
    """A random Llama in float32, with the tiny base's tokenizer."""
    from transformers import AutoConfig, LlamaConfig, LlamaForCausalLM

    hidden, inner, layers = sizes
    vocabulary = AutoConfig.from_pretrained(tiny_base).vocab_size
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    shape = {"hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": layers}
    config = LlamaConfig(vocab_size=vocabulary, tie_word_embeddings=True, **shape, **heads)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        LlamaForCausalLM(config).float().save_pretrained(folder)
    for file in tiny_base.glob("*token*"):
        shutil.copyfile(file, folder / file.name)
    return folder


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("name", BY_LLAMA_CPP)
def test_types_and_values_are_those_of_the_tool(
    name: str, sizes: str, tiny_base: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    folder = saved_model(tmp_path / "model", tiny_base, SIZES[sizes])
    whole = write_quantised(folder, tmp_path / "whole.gguf", gguf.GGMLQuantizationType.F32)
    written = quantised_by_the_tool(whole, tmp_path / "few.gguf", name)

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    form = find_format(name)
    layout = form.layout(model)
    few = gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16
    changed = {key for key, tensor in written.items() if tensor.tensor_type not in few[:1]}
    assert changed == {gguf_name(model.config, weight) for weight in layout}
    for weight, kind in layout.items():
        tensor = written[gguf_name(model.config, weight)]
        assert tensor.tensor_type.name == kind, weight
        found = gguf.dequantize(tensor.data, tensor.tensor_type)
        held = form.rounded(model.get_parameter(weight).detach(), kind)
        assert np.array_equal(found, reordered(model.config, weight, held).numpy()), weight


@pytest.mark.parametrize("name", BY_LLAMA_CPP)
def test_the_tool_finds_the_codes_of_what_is_rounded_already(
    name: str, tiny_base: Path, tmp_path: Path
) -> None:
    """An export in float32, as after a search with `quantize`. K-quants search for their scales, so they may
    find others.
    """
    from transformers import AutoModelForCausalLM

    folder = saved_model(tmp_path / "model", tiny_base, SIZES["blocks of 32"])
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    form = find_format(name)
    with torch.no_grad():
        for weight, kind in form.layout(model).items():
            parameter = model.get_parameter(weight)
            parameter.copy_(form.rounded(parameter, kind))
    model.save_pretrained(folder)
    whole = write_quantised(folder, tmp_path / "whole.gguf", gguf.GGMLQuantizationType.F32)
    written = quantised_by_the_tool(whole, tmp_path / "few.gguf", name)
    for weight in form.layout(model):
        tensor = written[gguf_name(model.config, weight)]
        found = gguf.dequantize(tensor.data, tensor.tensor_type)
        value = reordered(model.config, weight, model.get_parameter(weight).detach())
        assert np.array_equal(found, value.numpy()), weight


def round_to(folder: Path, name: str) -> None:
    """Make the saved model's options clearly different, and its weights those that a format holds."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    form = find_format(name)
    with torch.no_grad():
        for weight, kind in form.layout(model).items():
            parameter = model.get_parameter(weight)
            parameter.copy_(form.rounded(20 * parameter, kind))
    model.save_pretrained(folder)


def option_scores(engine: Any, chat: Any) -> npt.NDArray[np.float64]:
    """The log-probability of each option of fifty prompts, (50, options)."""
    items = load_task("builtin:five-desks:0", dev=1, test=50).test
    scores = Accuracy(items, "likelihood", chat, None).option_scores(engine)
    return np.array([list(of_item.values()) for of_item in scores])


def serves_what_is_scored(folder: Path, whole: Path, few: Path) -> None:
    """From the same weights in float32 its log-probabilities are ours, but for keys and values in float16.
    From a file of few bits it also rounds activations to 8 bits, so near ties may differ.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    engine = TransformersEngine(model, AutoTokenizer.from_pretrained(folder))
    ours = option_scores(engine, engine.chat)
    assert np.abs(option_scores(Server(whole), engine.chat) - ours).max() < 0.05
    theirs = option_scores(Server(few), engine.chat)
    ahead = np.diff(np.sort(ours))[:, -1]
    clear = ahead > 2 * np.abs(theirs - ours).max()
    assert clear.sum() >= 25
    assert (theirs.argmax(1) == ours.argmax(1))[clear].all()


def test_the_server_chooses_the_options_that_are_scored(tiny_base: Path, tmp_path: Path) -> None:
    folder = saved_model(tmp_path / "model", tiny_base, SIZES["blocks of 32"])
    round_to(folder, "q4_1")
    whole = write_quantised(folder, tmp_path / "whole.gguf", gguf.GGMLQuantizationType.F32, UNUSED)
    quantised_by_the_tool(whole, tmp_path / "few.gguf", "q4_1")
    serves_what_is_scored(folder, whole, tmp_path / "few.gguf")


@pytest.mark.skipif(
    LLAMA_CPP is None or spec_of(NAME) is None,
    reason="LLAMA_CPP names no clone of llama.cpp, or the embedded base, whose tokenizer it knows, is missing",
)
def test_the_commands_of_the_page_make_the_file_that_is_scored(tmp_path: Path) -> None:
    """llama.cpp's converter, and its tool by the binding, on a small model with the embedded base's tokenizer."""
    base = resolve_base(spec_of(NAME) or "").path
    folder = saved_model(tmp_path / "few-merged", base, (64, 128, 2))
    round_to(folder, "q4_1")
    page = (ROOT / "docs/how-to/served-models.md").read_text(encoding="utf-8")
    (convert,) = re.findall(r"^python (convert_hf_to_gguf.py few-merged .*)$", page, re.MULTILINE)
    (quantise,) = re.findall(r"^llama-quantize (.*)$", page, re.MULTILINE)
    script, *words = convert.split()
    subprocess.run([sys.executable, f"{LLAMA_CPP}/{script}", *words], cwd=tmp_path, check=True)
    whole, few, name = quantise.split()
    quantised_by_the_tool(tmp_path / whole, tmp_path / few, name)
    serves_what_is_scored(folder, tmp_path / whole, tmp_path / few)
