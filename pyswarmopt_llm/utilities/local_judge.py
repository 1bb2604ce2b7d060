"""A judge in this process: any causal language model with a chat template."""

from __future__ import annotations

from collections.abc import Sequence

from pyswarmopt_llm.engines.hardware import pick_device, pick_dtype
from pyswarmopt_llm.engines.transformers_engine import TransformersEngine
from pyswarmopt_llm.experts import load_model, resolve_base
from pyswarmopt_llm.utilities.judge import Judge

_ANSWER_TOKENS = 32  # the rating comes first


def load_local_judge(spec: str, device: str = "cpu") -> Judge:
    """A judge from a model's directory or hub id; it stays in memory beside the search's base.

    Raises:
        UserError: it cannot be loaded.
    """
    where = pick_device(device)
    model, tokenizer = load_model(resolve_base(spec), pick_dtype("auto", where), where)
    engine = TransformersEngine(model, tokenizer)

    def complete(prompts: Sequence[str]) -> list[str]:
        return engine.generate([engine.chat(prompt) for prompt in prompts], max_new_tokens=_ANSWER_TOKENS)

    return Judge(complete)


__all__ = ["load_local_judge"]
