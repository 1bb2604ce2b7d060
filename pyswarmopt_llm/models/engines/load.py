"""Load a base into the engine that runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.models.adapters.safetensors_file import StoredTensors
from pyswarmopt_llm.models.base import BaseModel, load_model, load_tokenizer, refuse_quantised
from pyswarmopt_llm.models.engines.base import window_of
from pyswarmopt_llm.models.engines.hardware import pick_device, pick_dtype
from pyswarmopt_llm.models.engines.mixing import Mixing, PatchedWeights
from pyswarmopt_llm.models.engines.transformers import TransformersEngine

if TYPE_CHECKING:
    from pyswarmopt_llm.models.engines.vllm import VllmEngine


def load_engine(
    base: BaseModel,
    dtype: str,
    device: str,
    threads: int | None,
    batch_tokens: int = 1024,
    whole_models: bool = False,
    mix: str = "auto",
) -> TransformersEngine:
    """The resident base, and how candidates are put into it.

    Packed weights stay as they are, and changes are added at run time; plain weights are changed,
    unless `mix` says otherwise. On a CPU their own values are read from its files again when a
    candidate needs them; on a GPU, where that would be slow against its arithmetic, those that
    candidates change are kept beside it, unless candidates are `whole_models`, which replace all of
    them.

    Raises:
        UserError: no such device or dtype, the model cannot be loaded, or nothing can be merged
            into its weights.
    """
    if mix == "merged":
        refuse_quantised(base)
    if threads is not None:
        torch.set_num_threads(threads)
    where = pick_device(device)
    model, tokenizer = load_model(base, pick_dtype(dtype, where), where)
    mixing: Mixing
    if mix == "runtime" or base.packing:
        from pyswarmopt_llm.models.quantised.added_outputs import AddedOutputs

        mixing = AddedOutputs(model)
    else:
        stored = StoredTensors(base.weight_files) if where.type == "cpu" or whole_models else None
        mixing = PatchedWeights(model, stored)
    return TransformersEngine(model, tokenizer, batch_tokens, mixing)


def load_vllm(config: SearchConfig, base: BaseModel, rank: int) -> VllmEngine:
    """The base in vLLM, with room for candidates of this rank.

    Raises:
        UserError: vLLM cannot be imported, or has no such room.
    """
    from transformers import AutoConfig

    from pyswarmopt_llm.models.engines.vllm import VllmEngine

    model = AutoConfig.from_pretrained(base.path, trust_remote_code=False, local_files_only=True)
    dtype = pick_dtype(config.dtype, pick_device(config.device))
    return VllmEngine(base.path, load_tokenizer(base), window_of(model), dtype, rank)
