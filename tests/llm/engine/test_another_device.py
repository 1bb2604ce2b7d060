"""Everything that a GPU does, on a device that is not the CPU: the same numbers, no tensor of two
devices, and no waiting in a loop.
"""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import torch
from card import OnCard, card, with_card
from engine_reference import load_tiny

from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.engine.added_outputs import AddedOutputs
from pyswarmopt_llm.engine.by_token import distributions, next_token_logprobs, score_tokens
from pyswarmopt_llm.engine.generation import Draw
from pyswarmopt_llm.engine.mixing import Mixing, PatchedWeights
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.scores.choices import Choices
from pyswarmopt_llm.searching.training.trainer import Lora, shuffled, train

NAMES = ("model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj")
SHAPES = {NAMES[0]: (32, 32), NAMES[1]: (32, 64)}
PAIRS = [
    ("A question that all share?", " yes"),
    ("A question that all share?", " no"),
    ("A question that all", " begin like"),
    ("A question that is longer than the others, and by much", " indeed"),
]
PROMPTS = ["A question that all share?", "A question", "A question that is longer than others"]


def patch(seed: int) -> Patch:
    draws = torch.Generator().manual_seed(seed)

    def change(out: int, into: int) -> LowRank:
        return LowRank(
            b=0.3 * torch.randn(out, 2, generator=draws), a=torch.randn(2, into, generator=draws)
        )

    return Patch(low_rank={f"{name}.weight": change(*shape) for name, shape in SHAPES.items()})


def engine_on(base: Path, mix: str, device: torch.device | str = "cpu") -> TransformersEngine:
    model, tokenizer = load_tiny(base)
    model = model.to(device)
    mixing: Mixing = AddedOutputs(model) if mix == "runtime" else PatchedWeights(model)
    return TransformersEngine(model, tokenizer, 60, mixing)


@pytest.fixture
def waits() -> Iterator[Counter[str]]:
    with with_card() as counted:
        yield counted


def test_the_card_refuses_what_a_gpu_refuses(waits: Counter[str]) -> None:
    ones = torch.ones(2, device=card())
    assert isinstance(ones, OnCard) and isinstance(ones * 2 + torch.tensor(1.0), OnCard)
    with pytest.raises(RuntimeError, match="one device"):
        _ = ones + torch.ones(2)
    with pytest.raises((RuntimeError, TypeError)):
        ones.numpy()
    assert not waits
    assert ones.cpu().tolist() == [1.0, 1.0] and float(ones.sum()) == 2.0
    assert sum(waits.values()) == 2


@pytest.mark.parametrize("mix", ["merged", "runtime"])
def test_scores_and_replies_are_those_of_the_cpu(
    tiny_base: Path, mix: str, waits: Counter[str]
) -> None:
    plain, engine = engine_on(tiny_base, mix), engine_on(tiny_base, mix, card())
    assert engine.model.device.type == card().type
    draw = Draw(0.7, (1, 2, 3))
    for candidate in (patch(1), Patch()):
        plain.load(candidate)
        engine.load(candidate)
        assert engine.loglikelihood(PAIRS) == pytest.approx(plain.loglikelihood(PAIRS), abs=1e-4)
        assert engine.generate(PROMPTS, 3) == plain.generate(PROMPTS, 3)
        assert engine.generate(PROMPTS, 3, draw) == plain.generate(PROMPTS, 3, draw)
        torch.testing.assert_close(
            next_token_logprobs(engine, PROMPTS), next_token_logprobs(plain, PROMPTS)
        )
        assert score_tokens(engine, PAIRS)[0].tokens == score_tokens(plain, PAIRS)[0].tokens
        assert len(distributions(engine, PAIRS)) == len(PAIRS)


def trained(base: Path, mix: str, on_card: bool) -> tuple[list[float], list[list[float]]]:
    """The losses of training steps, and the change that they make."""
    items = [
        Choices(tuple((f"Question {i}?", w) for w in (" left", " right")), (4.0, 5.0), i % 2)
        for i in range(4)
    ]
    with with_card():
        engine = engine_on(base, mix, card() if on_card else "cpu")
        engine.load(patch(1))
        lora = Lora.new(SHAPES, 2, 2.0, seed=3, device=engine.model.device)
        losses = train(engine, lora, shuffled(items, 1, seed=0), 1e-2)
        change = lora.patch().low_rank[f"{NAMES[0]}.weight"]
        assert isinstance(lora.tensors[0], OnCard) == on_card
        assert not isinstance(change.b, OnCard)
    return losses, change.dense().tolist()


def test_training_steps_are_those_of_the_cpu(tiny_base: Path) -> None:
    """In a process of its own: autograd knows the devices that there are at its first step."""
    mixes = ("merged", "runtime")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
        there = [fresh.submit(trained, tiny_base, mix, True).result() for mix in mixes]
    for mix, (losses_there, change_there) in zip(mixes, there, strict=True):
        losses, change = trained(tiny_base, mix, on_card=False)
        assert losses_there == pytest.approx(losses, abs=1e-4)
        torch.testing.assert_close(
            torch.tensor(change_there), torch.tensor(change), rtol=1e-2, atol=1e-4
        )


def test_nothing_waits_for_the_device_but_results(tiny_base: Path, waits: Counter[str]) -> None:
    """Two waits for each batch that is scored or token that is written, however many layers there
    are: whether its numbers are defined, and the result.
    """
    engine = engine_on(tiny_base, "merged", card())
    waits.clear()
    engine.load(patch(1))
    assert not waits
    batches: list[int] = []
    engine.progress = lambda done, texts: batches.append(done)
    engine.loglikelihood(PAIRS)
    assert sum(waits.values()) == 2 * len(batches)
    waits.clear()
    batches.clear()
    engine.generate(PROMPTS, 6)
    assert sum(waits.values()) <= 13 * len(batches)
