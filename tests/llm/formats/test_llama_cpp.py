"""llama.cpp's own tool: it holds each tensor in the type and with the values that `quantize` scores, and finds
the codes of an export again.
"""

from __future__ import annotations

import shutil
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
from pyswarmopt_llm.formats import find_format
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks.load import load_task

pytestmark = needs_llama_cpp
BY_LLAMA_CPP = [name for name in FORMATS if name not in ("nf4", "int8")]
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


def test_the_server_chooses_the_options_that_are_scored(tiny_base: Path, tmp_path: Path) -> None:
    """From the same weights in float32 its log-probabilities are ours. From a file of few bits it also rounds
    activations to 8 bits, so near ties may differ.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = saved_model(tmp_path / "model", tiny_base, SIZES["blocks of 32"])
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    form = find_format("q4_1")
    with torch.no_grad():
        for weight, kind in form.layout(model).items():
            parameter = model.get_parameter(weight)
            parameter.copy_(form.rounded(20 * parameter, kind))  # clearly different options
    model.save_pretrained(folder)
    whole = write_quantised(folder, tmp_path / "whole.gguf", gguf.GGMLQuantizationType.F32, UNUSED)
    quantised_by_the_tool(whole, tmp_path / "few.gguf", "q4_1")

    engine = TransformersEngine(model, AutoTokenizer.from_pretrained(folder))
    metric = Accuracy(
        load_task("builtin:five-desks:0", dev=1, test=50).test, "likelihood", engine.chat, None
    )
    ours = scores_of(metric, engine)
    assert (
        np.abs(scores_of(metric, Server(whole)) - ours).max() < 0.05
    )  # it keeps keys and values in float16
    theirs = scores_of(metric, Server(tmp_path / "few.gguf"))
    noise = np.abs(theirs - ours).max()
    ahead = np.diff(np.sort(ours))[:, -1]
    clear = ahead > 2 * noise
    assert clear.sum() >= 25
    assert (theirs.argmax(1) == ours.argmax(1))[clear].all()


def scores_of(metric: Accuracy, engine: Any) -> npt.NDArray[np.float64]:
    """The log-probability of each option, (items, options)."""
    return np.array([list(scores.values()) for scores in metric.option_scores(engine)])
