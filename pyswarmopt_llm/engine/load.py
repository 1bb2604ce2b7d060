"""Load a base into the engine that runs it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch

from pyswarmopt_llm.common.hardware import keep_few_products, pick_device, pick_dtype
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.mixing import Mixing, PatchedWeights
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.experts.base import BaseModel, load_model, refuse_quantised
from pyswarmopt_llm.experts.safetensors_file import StoredTensors

AT_RUN_TIME = "candidates are added to the outputs of layers at run time, not merged"


def load_engine(
    base: BaseModel,
    dtype: str,
    device: str,
    threads: int | None,
    batch_tokens: int | None = None,
    whole_models: bool = False,
    mix: str = "auto",
    system: str = "",
    changed: Collection[str] = (),
) -> TransformersEngine:
    """The resident base, and how candidates are put into it.

    Packed weights stay as they are, and changes are added at run time; plain weights are changed,
    unless `mix` says otherwise, or the device does not hold a copy of those that are `changed`. On
    a CPU their own values are read from its files again when a candidate needs them; on a GPU,
    where that would be slow against its arithmetic, those that candidates change are kept beside
    it, unless candidates are `whole_models`, which replace all of them. Without `batch_tokens` a
    batch has 1,024 on a CPU, and on a GPU as many as fit. Each question comes after the turn
    `system`, if there is one.

    Raises:
        UserError: no such device or dtype, the model cannot be loaded, or nothing can be merged
            into its weights.
    """
    if mix == "merged":
        refuse_quantised(base)
    if threads is not None:
        torch.set_num_threads(threads)
    keep_few_products()
    where = pick_device(device)
    model, tokenizer = load_model(base, pick_dtype(dtype, where), where)
    on_cpu = where.type == "cpu"
    decided: dict[str, Any] = {}
    why = ""
    if base.packing:
        mix, why = "runtime", f"the weights of {base.spec} stay quantised ({base.packing})"
    elif mix == "runtime":
        why = "as `mix` says"
    if not on_cpu:
        from pyswarmopt_llm.engine.memory import decide

        decided, short = decide(model, mix, changed, batch_tokens)
        mix, batch_tokens = decided.get("mix", mix), decided["batch_tokens"]
        why = why or short
    mixing: Mixing
    if mix == "runtime":
        from pyswarmopt_llm.experts.quantised.added_outputs import AddedOutputs

        mixing = AddedOutputs(model)
    else:
        stored = StoredTensors(base.weight_files) if on_cpu or whole_models else None
        mixing = PatchedWeights(model, stored)
    engine = TransformersEngine(model, tokenizer, batch_tokens or 1024, mixing)
    engine.name, engine.system, engine.decided = base.spec, system, decided
    if why:
        engine.notes = {**engine.notes, "mix": f"{AT_RUN_TIME}: {why}"}
    engine.load(Patch())
    return engine
