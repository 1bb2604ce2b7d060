"""Methods that look inside the model (inputs, gradients, entropies), against the same by other
means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from trials import NearTo, flat, run

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.experts.adapter import Adapter
from pyswarmopt_llm.experts.base import load_model, resolve_base
from pyswarmopt_rivals.bench import as_patch
from pyswarmopt_rivals.methods import load_method
from pyswarmopt_rivals.methods.training import inside

PROMPTS = ["amber birch cedar?", "delta", "ember fjord grove heath?", "a b"]


class OnModel(NearTo):
    """A trial on the tiny model in float32, with the same prompts for everyone."""

    def __init__(
        self, engine: TransformersEngine, items: int, asked: Sequence[str] = PROMPTS
    ) -> None:
        super().__init__(torch.zeros(1), 1, items)
        self.engine, self.model, self.tokenizer = engine, engine.model, engine.tokenizer
        self.asked = asked

    def load(self, patch: Patch) -> None:
        self.engine.load(patch)

    def prompts(self, expert: str) -> Sequence[str]:
        return self.asked

    def examples(self, expert: str) -> Sequence[Mapping[str, Any]]:
        return []


@pytest.fixture(scope="module")
def engine(tiny_base: Path) -> TransformersEngine:
    return TransformersEngine(*load_model(resolve_base(str(tiny_base)), torch.float32))


def test_regmean_sees_the_inputs_of_the_experts_own_model(
    engine: TransformersEngine, experts: list[Adapter]
) -> None:
    first = "model.layers.0.self_attn.q_proj.weight"
    engine.load(as_patch(experts[0]))
    found = inside.input_grams(engine, [first], PROMPTS)[first]
    expected = torch.zeros(32, 32, dtype=torch.float64)
    with torch.no_grad():
        for prompt in PROMPTS:
            ids = torch.tensor([engine.tokenizer(prompt, add_special_tokens=False)["input_ids"]])
            embedded = engine.model.model.embed_tokens(ids)
            x = engine.model.model.layers[0].input_layernorm(embedded)[0].double()
            expected += x.T @ x
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
    # behind what the expert changes, and padding, too
    second, grams = "model.layers.1.self_attn.q_proj.weight", []
    for expert in experts[:2]:
        engine.load(as_patch(expert))
        grams.append(inside.input_grams(engine, [second], PROMPTS)[second])
    assert not torch.allclose(*grams)
    expected = torch.zeros(32, 32, dtype=torch.float64)
    with torch.no_grad():
        for prompt in PROMPTS:  # one by one: nothing is padded; the second expert is loaded
            ids = torch.tensor([engine.tokenizer(prompt, add_special_tokens=False)["input_ids"]])
            states = engine.model(input_ids=ids, output_hidden_states=True).hidden_states
            x = engine.model.model.layers[1].input_layernorm(states[1])[0].double()
            expected += x.T @ x
    torch.testing.assert_close(grams[1], expected, rtol=1e-4, atol=1e-6)


def test_regmean_is_the_closed_form_on_dense_matrices(
    engine: TransformersEngine, experts: list[Adapter]
) -> None:
    """(sum dW_i G_i) (sum G_i)^-1; off the diagonal, G_i is multiplied by 0.9."""
    found = run("regmean", experts, OnModel(engine, 100)).low_rank
    for module in list(experts[0].factors)[:3]:
        above = below = torch.zeros(())
        for expert in experts:
            engine.load(as_patch(expert))
            gram = inside.input_grams(engine, [f"{module}.weight"], PROMPTS)[f"{module}.weight"]
            gram = gram * (0.9 + 0.1 * torch.eye(len(gram)))
            above = above + expert.factors[module].dense().double() @ gram
            below = below + gram
        below = below + 1e-6 * below.diagonal().mean() * torch.eye(len(below))
        own = found[f"{module}.weight"].dense().double()
        torch.testing.assert_close(own, above @ torch.linalg.inv(below), rtol=1e-3, atol=1e-4)


class OwnPrompts(OnModel):
    """A trial in which each expert has prompts of its own, the first three."""

    def prompts(self, expert: str) -> Sequence[str]:
        words = ("amber birch", "cedar?", "dune")
        return [f"{expert} {word}" for word in words[: 3 if expert == "ant" else 2]]


def test_fisher_weights_are_of_each_expert_on_its_own_prompts(
    engine: TransformersEngine, experts: list[Adapter]
) -> None:
    """sum F_i dW_i / sum F_i; gradients by a backward pass, one draw of a token for each prompt."""
    trial = OwnPrompts(engine, 100)
    settings = load_method("fisher").settings(len(experts), seed=3)
    found = inside.fisher(replace(settings, experts=experts, trial=trial)).patch.full_rank
    generator = torch.Generator().manual_seed(3)
    modules = sorted(experts[0].factors)
    weighted = {module: [] for module in modules}
    for expert in experts:
        engine.load(as_patch(expert))
        weights = [engine.model.get_submodule(module).weight for module in modules]
        squares = [torch.zeros_like(weight) for weight in weights]
        for prompt in trial.prompts(expert.info.name):
            ids = torch.tensor([engine.tokenizer(prompt, add_special_tokens=False)["input_ids"]])
            logprobs = engine.model(input_ids=ids).logits[0, -1].log_softmax(-1)
            drawn = int(torch.multinomial(logprobs.detach().exp(), 1, generator=generator))
            for square, slope in zip(
                squares, torch.autograd.grad(logprobs[drawn], weights), strict=True
            ):
                square += slope**2 / len(trial.prompts(expert.info.name))
        for module, square in zip(modules, squares, strict=True):
            weighted[module].append((square.detach(), expert.factors[module].dense()))
    for module, pairs in weighted.items():
        floor = 1e-6 * sum(float(f.mean()) for f, _ in pairs) / len(pairs)
        expected = sum((f + floor) * change for f, change in pairs) / sum(
            f + floor for f, _ in pairs
        )
        torch.testing.assert_close(found[f"{module}.weight"], expected, rtol=1e-2, atol=1e-4)


def test_adamerging_follows_adam_on_the_entropy(
    engine: TransformersEngine, experts: list[Adapter]
) -> None:
    """Two steps with dense changes written into copies of the parameters, by autograd; the second
    step is on the prompts that follow.
    """
    asked = [f"{word} {prompt}" for word in ("one", "two", "three") for prompt in PROMPTS]
    trial = OnModel(engine, 2 * 20, asked)  # two steps of 8 prompts at 2.5
    settings = load_method("adamerging").settings(len(experts))
    found = inside.adamerging(replace(settings, experts=experts, trial=trial)).patch
    assert trial.items_left == 0

    engine.load(Patch())
    modules = sorted(experts[0].factors)
    dense = {m: torch.stack([e.factors[m].dense() for e in experts]) for m in modules}
    pristine = {m: engine.model.get_submodule(m).weight.detach().clone() for m in modules}

    def entropy(weights: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        own = {
            f"{m}.weight": pristine[m] + (w[:, None, None] * dense[m]).sum(0)
            for w, m in zip(weights, modules, strict=True)
        }
        total = torch.zeros(())
        for prompt in prompts:  # one by one: nothing is padded here
            ids = torch.tensor([engine.tokenizer(prompt, add_special_tokens=False)["input_ids"]])
            out = torch.func.functional_call(engine.model, own, (), {"input_ids": ids})
            p = out.logits[0, -1].softmax(-1)
            total = total - (p * p.log()).sum() / len(prompts)
        return total

    weights = torch.full((len(modules), len(experts)), 0.3)
    m = v = torch.zeros_like(weights)
    for step, prompts in ((1, asked[:8]), (2, asked[8:])):
        leaf = weights.clone().requires_grad_()
        g = torch.autograd.grad(entropy(leaf.clamp(0, 1), prompts), leaf)[0]
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        weights = weights - 0.01 * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)
    for row, module in zip(weights, modules, strict=True):
        expected = (row[:, None, None] * dense[module]).sum(0)
        own = found.low_rank[f"{module}.weight"].dense()
        torch.testing.assert_close(own, expected, rtol=1e-3, atol=1e-4)
    assert all(p.grad is None or not p.grad.any() for p in engine.model.parameters())


@pytest.mark.parametrize("name", ["regmean", "fisher", "adamerging"])
def test_the_budget_is_kept_and_the_same_seed_gives_the_same_bits(
    name: str, engine: TransformersEngine, experts: list[Adapter]
) -> None:
    trials = [OnModel(engine, 30), OnModel(engine, 30)]
    first, second = (flat(run(name, experts, trial, seed=1)) for trial in trials)
    assert 0 <= trials[0].items_left == trials[1].items_left < 30
    assert torch.equal(first, second) and first.abs().max() > 0
