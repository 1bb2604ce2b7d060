"""From names on the command line to models that answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Engine, Patch
from pyswarmopt_llm.models.adapters.adapter import load_factors
from pyswarmopt_llm.models.adapters.compatibility import inspect_experts
from pyswarmopt_llm.models.adapters.safetensors_file import StoredTensors
from pyswarmopt_llm.models.base import BaseModel, load_model, load_tokenizer, resolve_base
from pyswarmopt_llm.models.engines.hardware import pick_device, pick_dtype
from pyswarmopt_llm.models.engines.transformers import TransformersEngine
from pyswarmopt_llm.spaces import saved_kind

if TYPE_CHECKING:
    from pyswarmopt_llm.models.engines.vllm import VllmEngine


def load_engine(
    base: BaseModel,
    dtype: str,
    device: str,
    threads: int | None,
    batch_tokens: int = 1024,
    whole_models: bool = False,
) -> TransformersEngine:
    """The resident base.

    On a CPU the base's own values are read from its files again when a candidate needs them; on a GPU, where that
    would be slow against its arithmetic, those that candidates change are kept beside it, unless candidates are
    `whole_models`, which replace all of them.

    Raises:
        UserError: no such device or dtype, or the model cannot be loaded.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    where = pick_device(device)
    model, tokenizer = load_model(base, pick_dtype(dtype, where), where)
    stored = StoredTensors(base.weight_files) if where.type == "cpu" or whole_models else None
    return TransformersEngine(model, tokenizer, batch_tokens, stored)


def load_vllm(config: SearchConfig, base: BaseModel, rank: int) -> VllmEngine:
    """The base in vLLM, with room for candidates of this rank.

    Raises:
        UserError: vLLM cannot be imported, or has no such room.
    """
    from transformers import AutoConfig

    from pyswarmopt_llm.models.engines.tokenizing import window_of
    from pyswarmopt_llm.models.engines.vllm import VllmEngine

    model = AutoConfig.from_pretrained(base.path, trust_remote_code=False, local_files_only=True)
    dtype = pick_dtype(config.dtype, pick_device(config.device))
    return VllmEngine(base.path, load_tokenizer(base), window_of(model), dtype, rank)


def open_model(base: str, adapter: str | None, dtype: str, device: str, threads: int | None) -> Engine:
    """A base model, an adapter merged into it, or the several models that a directory such as RUN/best stands for.

    Raises:
        UserError: the base or the adapter cannot be used.
    """
    kind = saved_kind(base)
    if kind is not None:
        if adapter is not None:
            raise UserError(f"{base}: stands for several models, so it takes no adapter; leave out `adapter`")
        return kind.open(Path(base), dtype, device, threads)
    patch = Patch() if adapter is None else adapter_patch(base, adapter)
    engine = load_engine(resolve_base(base), dtype, device, threads)
    engine.load(patch)
    return engine


def adapter_patch(base: str, adapter: str) -> Patch:
    """What an adapter changes in a base.

    Raises:
        UserError: it does not fit.
    """
    report = inspect_experts([adapter], resolve_base(base))
    report.require("delta")
    return Patch(low_rank=load_factors(report.experts[0]))
