"""The engine on a model server: the same numbers as the resident model, on each of the three protocols."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from model_server import ModelServer

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.models.adapters.adapter import AdapterFile
from pyswarmopt_llm.models.adapters.compatibility import inspect_experts
from pyswarmopt_llm.models.base import resolve_base
from pyswarmopt_llm.models.engines.load import load_engine
from pyswarmopt_llm.spaces.delta import DeltaSpace
from search_helpers import small

PAIRS = [("amber birch", " cedar"), ("delta", " ember fjord"), ("grove?", " heath"), ("amber birch", "A")]
LETTERS = [("amber birch", "A"), ("amber birch", "B"), ("delta", "A"), ("delta", "C")]


@pytest.mark.parametrize("kind", ["vllm", "sglang", "llamacpp"])
def test_it_answers_as_the_resident_model_does(kind: str, tiny_base: Path, tiny_experts: list[Path]) -> None:
    from pyswarmopt_llm.models.served.attach import attach

    base = resolve_base(str(tiny_base))
    experts = inspect_experts([str(path) for path in tiny_experts], base).experts
    server = ModelServer(kind, tiny_base, tiny_experts if kind == "llamacpp" else ())
    config = small(tiny_base, tiny_experts, [], "run", engine=server.url, space="delta", dtype="float32")
    engine, resident = attach(config, base, experts), load_engine(base, "float32", "cpu", 1)
    space = DeltaSpace([AdapterFile(info) for info in experts])
    pairs = LETTERS if kind == "llamacpp" else [*PAIRS, *LETTERS]
    prompts = [resident.chat(context) for context, _ in PAIRS]
    assert prompts == [engine.chat(context) for context, _ in PAIRS] and engine.window == 512
    for position in ([0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.7, -0.4, 1.2]):
        patch = space.realise(torch.tensor(position, dtype=torch.float64)) if any(position) else Patch()
        engine.load(patch)
        resident.load(patch)
        torch.testing.assert_close(engine.loglikelihood(pairs), resident.loglikelihood(pairs), rtol=0, atol=1e-3)
        assert engine.generate(prompts, 8) == resident.generate(prompts, 8)
    server.stop()
