"""From names on the command line to models that answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.models import BaseModel, load_model, load_tokenizer, resolve_base
from pyswarmopt_llm.models.adapters.adapter import AdapterInfo, load_factors
from pyswarmopt_llm.models.adapters.compatibility import inspect_experts
from pyswarmopt_llm.models.adapters.safetensors_file import StoredTensors
from pyswarmopt_llm.models.engines.hardware import pick_device, pick_dtype
from pyswarmopt_llm.models.engines.transformers import TransformersEngine
from pyswarmopt_llm.models.full_model import ModelInfo
from pyswarmopt_llm.spaces.graph.engine import GraphEngine
from pyswarmopt_llm.spaces.graph.files import holds_graph
from pyswarmopt_llm.spaces.graph.opening import open_graph
from pyswarmopt_llm.spaces.mixture.engine import MixtureEngine, open_mixture
from pyswarmopt_llm.spaces.mixture.files import holds_mixture

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


def holds_several(base: str) -> bool:
    """Whether a directory holds a mixture or a graph of several models instead of one."""
    return holds_mixture(base) or holds_graph(base)


def load_vllm(config: SearchConfig, base: BaseModel, experts: Sequence[AdapterInfo | ModelInfo]) -> VllmEngine:
    """The base in vLLM, with room for the candidates of these experts.

    Raises:
        UserError: vLLM cannot be imported, or has no such room.
    """
    from transformers import AutoConfig

    from pyswarmopt_llm.models.engines.tokenizing import window_of
    from pyswarmopt_llm.models.engines.vllm import VllmEngine

    adapters = [info for info in experts if isinstance(info, AdapterInfo)]
    ranks = [max(shape.rank for shape in info.modules.values()) for info in adapters]
    model = AutoConfig.from_pretrained(base.path, trust_remote_code=False, local_files_only=True)
    dtype = pick_dtype(config.dtype, pick_device(config.device))
    return VllmEngine(
        base.path,
        load_tokenizer(base),
        window_of(model),
        dtype,
        max(ranks) if config.space == "factor" else sum(ranks),
    )


def open_model(
    base: str, adapter: str | None, dtype: str, device: str, threads: int | None
) -> TransformersEngine | MixtureEngine | GraphEngine:
    """A base model, an adapter merged into it, or the mixture or graph in a directory such as RUN/best, ready to ask.

    Raises:
        UserError: the base or the adapter cannot be used.
    """
    if holds_several(base):
        if adapter is not None:
            raise UserError(f"{base}: stands for several models, so it takes no adapter; leave out --adapter")
        return (open_mixture if holds_mixture(base) else open_graph)(base, dtype, device, threads)
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


__all__ = ["adapter_patch", "holds_several", "load_engine", "load_vllm", "open_model"]
