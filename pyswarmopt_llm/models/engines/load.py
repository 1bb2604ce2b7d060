"""Load a base into the engine that runs it."""

from __future__ import annotations

import torch

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.models.adapters.safetensors_file import StoredTensors
from pyswarmopt_llm.models.base import BaseModel, load_model, refuse_quantised
from pyswarmopt_llm.models.engines.chat import Chat
from pyswarmopt_llm.models.engines.hardware import pick_device, pick_dtype
from pyswarmopt_llm.models.engines.mixing import Mixing, PatchedWeights
from pyswarmopt_llm.models.engines.transformers import TransformersEngine


def load_engine(
    base: BaseModel,
    dtype: str,
    device: str,
    threads: int | None,
    batch_tokens: int = 1024,
    whole_models: bool = False,
    mix: str = "auto",
    system: str = "",
) -> TransformersEngine:
    """The resident base, and how candidates are put into it.

    Packed weights stay as they are, and changes are added at run time; plain weights are changed,
    unless `mix` says otherwise. On a CPU their own values are read from its files again when a
    candidate needs them; on a GPU, where that would be slow against its arithmetic, those that
    candidates change are kept beside it, unless candidates are `whole_models`, which replace all of
    them. Each question comes after the turn `system`, if there is one.

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
    engine = TransformersEngine(model, tokenizer, batch_tokens, mixing)
    engine.name, engine.form = base.spec, Chat(system)
    engine.load(Patch())
    return engine
