"""Candidates added to layers' outputs at run time: the logits of merged ones, of PEFT, and of the
base again.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_reference import load_tiny, naive_logprobs
from llm_fixtures import save_random_expert
from torch import Tensor

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.engine.added_outputs import AddedOutputs
from pyswarmopt_llm.engine.by_token import next_token_logprobs
from pyswarmopt_llm.engine.generation import Draw
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.experts.adapter import Adapter, load_adapter, load_factors, read_adapter
from pyswarmopt_llm.mix.delta import DeltaSpace

Q0 = "model.layers.0.self_attn.q_proj.weight"  # (32, 32)
PAIRS = [("Which one?", " left"), ("Which one?", " right"), ("Where is it", ", then?"), ("A", "B")]


def engines(
    base: Path, dtype: torch.dtype = torch.float32
) -> tuple[TransformersEngine, TransformersEngine]:
    """One that merges, and one that adds at run time."""
    merged, tokenizer = load_tiny(base, dtype)
    runtime = copy.deepcopy(merged)
    return TransformersEngine(merged, tokenizer), TransformersEngine(
        runtime, tokenizer, mixing=AddedOutputs(runtime)
    )


@pytest.fixture(scope="module")
def experts(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Adapters of all kinds that can be mixed: rsLoRA, patterns of rank and alpha, and different
    modules.
    """
    folder = tmp_path_factory.mktemp("kinds")
    kinds: dict[str, dict[str, Any]] = {
        "plain": {},
        "rslora": {"use_rslora": True, "rank": 8},
        "patterns": {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"v_proj": 32}},
        "mlp": {"target_modules": ["up_proj", "down_proj"], "rank": 3},
    }
    return [
        save_random_expert(tiny_base, folder / name, seed, **kind)
        for seed, (name, kind) in enumerate(kinds.items())
    ]


def space_of(folders: list[Path]) -> DeltaSpace:
    adapters: list[Adapter] = [load_adapter(read_adapter(folder)) for folder in folders]
    return DeltaSpace(adapters)


@pytest.mark.parametrize("which", range(4))
def test_an_expert_at_weight_1_is_as_peft_runs_it(
    tiny_base: Path, experts: list[Path], which: int
) -> None:
    import peft

    _, runtime = engines(tiny_base)
    runtime.load(Patch(low_rank=load_factors(read_adapter(experts[which]))))
    model = peft.PeftModel.from_pretrained(load_tiny(tiny_base)[0], experts[which]).eval()
    ids = runtime.encode("Which one?")
    expected = naive_logprobs(model, ids)[-1].float()
    torch.testing.assert_close(
        next_token_logprobs(runtime, ["Which one?"])[0], expected, rtol=0, atol=1e-4
    )


def test_what_cannot_be_added_to_outputs_is_refused_and_changes_nothing(tiny_base: Path) -> None:
    _, runtime = engines(tiny_base)
    before = runtime.loglikelihood(PAIRS)
    value = torch.zeros(32, 32)

    def change(out: int) -> LowRank:
        return LowRank(b=torch.ones(out, 1), a=torch.ones(1, 32))

    cases: list[tuple[Patch, type[Exception], str]] = [
        (Patch(dense={Q0: value}), InvalidOption, "mix runtime adds only low-rank changes"),
        (Patch(full_rank={Q0: value}), InvalidOption, "mix runtime adds only low-rank changes"),
        (
            Patch({Q0: change(32), "model.norm.weight": change(32)}),
            KeyError,
            "no parameter model.norm",
        ),
        (Patch({Q0: change(16)}), ValueError, "change has shape"),
    ]
    for patch, kind, said in cases:
        with pytest.raises(kind, match=said):
            runtime.load(patch)
        runtime.load(Patch())
        assert runtime.loglikelihood(PAIRS) == before


def test_gradients_flow_through_what_is_added(tiny_base: Path, experts: list[Path]) -> None:
    """Also where the first pass with a candidate recorded none, as in a search that trains
    later.
    """
    patch = space_of(experts).realise(torch.full((4,), 0.5, dtype=torch.float64))
    slopes: list[Tensor] = []
    for engine in engines(tiny_base):
        engine.load(patch)
        engine.loglikelihood(PAIRS)
        embedded = (
            engine.model.get_input_embeddings()(torch.tensor([[3, 4, 5]])).detach().requires_grad_()
        )
        engine.model(inputs_embeds=embedded).logits.logsumexp(-1).sum().backward()
        slopes.append(embedded.grad)
    torch.testing.assert_close(slopes[0], slopes[1], rtol=1e-3, atol=1e-4)


# Candidates one after the other: whatever is called, in whatever order

PROMPTS = ["Which one is it, then?", "Which one?", "Which one?", "Where", "Which two of them? Say"]
WEIGHTS = [(0.5, -0.3, 1.2, 0.25), (0, 0, 0, 0), (0, 1, 0, 0), (1.5, 1, -1, 0.5), (2, 0, 0, 2)]


@pytest.mark.parametrize("draw", [None, Draw(2.0, (1, 2, 3, 4, 5))])
def test_replies_of_candidates_are_those_of_merged_ones(
    tiny_base: Path, experts: list[Path], draw: Draw | None
) -> None:
    """Also after likelihoods, of the same candidate and of another."""
    space = space_of(experts)
    written: list[list[list[str]]] = []
    for engine in engines(tiny_base):
        texts = []
        for weights in WEIGHTS:
            engine.load(space.realise(torch.tensor(weights, dtype=torch.float64)))
            before = engine.loglikelihood(PAIRS)
            texts.append(engine.generate(PROMPTS, 12, draw))
            assert engine.loglikelihood(PAIRS) == before
        written.append(texts)
    merged, runtime = written
    assert runtime == merged and len({tuple(texts) for texts in merged}) == len(WEIGHTS)
