"""A Llama of transformers as a GGUF file with Q4_0 matrices, as llama.cpp's converter writes
one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoConfig

# Whether llama.cpp permutes the rows of queries and keys.
PERMUTED = {"llama": True}
Q4_0 = gguf.GGMLQuantizationType.Q4_0


def write_quantised(
    base: Path, out: Path, kind: gguf.GGMLQuantizationType = Q4_0, merges: Sequence[str] = ()
) -> Path:
    """Write the model of a directory, with tied output weights and a byte-level tokenizer.

    Matrices whose rows are whole blocks of 32 are of this type, everything else is float32. llama.cpp
    loads no tokenizer without `merges`.
    """
    config = AutoConfig.from_pretrained(base)
    writer = gguf.GGUFWriter(out, "llama")
    _describe(writer, config)
    _add_tokenizer(writer, base, config.vocab_size)
    if merges:
        writer.add_token_merges(merges)
    for name, weight in load_file(base / "model.safetensors").items():
        if name == "lm_head.weight":
            continue
        values = reordered(config, name, weight.float()).contiguous().numpy()
        if values.ndim == 2 and values.shape[1] % 32 == 0:
            writer.add_tensor(gguf_name(config, name), gguf.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(gguf_name(config, name), np.ascontiguousarray(values, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


def _describe(writer: gguf.GGUFWriter, config: AutoConfig) -> None:
    size = config.hidden_size // config.num_attention_heads
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name("tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_rope_dimension_count(size)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])


def _add_tokenizer(writer: gguf.GGUFWriter, base: Path, size: int) -> None:
    stored = json.loads((base / "tokenizer.json").read_text())
    tokens = [f"[PAD{i}]" for i in range(size)]
    types = [gguf.TokenType.UNUSED] * size
    for token, i in stored["model"]["vocab"].items():
        tokens[i], types[i] = token, gguf.TokenType.NORMAL
    for added in stored["added_tokens"]:
        tokens[added["id"]], types[added["id"]] = added["content"], gguf.TokenType.CONTROL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    special = gguf.SpecialVocab(base, load_merges=True, n_vocab=size)
    special.add_special_token["bos"] = False
    special.add_to_gguf(writer, quiet=True)


def gguf_name(config: Any, weight: str) -> str:
    """The name of a weight in a GGUF file, such as ``blk.0.attn_q.weight``."""
    kinds = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}
    table = gguf.get_tensor_name_map(kinds[config.model_type], config.num_hidden_layers)
    name = table.get_name(weight, try_suffixes=(".weight", ".bias"))
    if name is None:
        raise ValueError(weight)
    return str(name)


def reordered(config: Any, weight: str, value: Tensor) -> Tensor:
    """Rows of queries and keys in llama.cpp's order; other values unchanged.

    For the llama architecture, its rotary embedding expects the pairs (i, i + d/2) of each head
    side by side.
    """
    module = weight.rpartition(".")[0]
    if not PERMUTED[config.model_type] or not module.endswith(("q_proj", "k_proj")):
        return value
    is_query = module.endswith("q_proj")
    heads = config.num_attention_heads if is_query else config.num_key_value_heads
    return value.reshape(heads, 2, -1, *value.shape[1:]).transpose(1, 2).reshape(value.shape)
