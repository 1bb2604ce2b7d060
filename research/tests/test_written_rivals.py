"""`research/benchmarks/scores`: evolution strategies and GRPO as published, and no run repeated."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from laboratory import script
from torch import Tensor
from trials import flat

from pyswarmopt_llm.common.interfaces import Patch, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.experts.adapter import read_adapter
from pyswarmopt_llm.scores.tasks import Item

evolution = script("evolution")
grpo = script("grpo")
rivals_lab = script("rivals_lab")

# GRPO


def test_an_advantage_is_in_standard_deviations_of_its_group() -> None:
    """Of 1, 0, 0, 0 the mean is 1/4 and the standard deviation sqrt(3)/4."""
    rewards = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.5, 0.5]])
    expected = [[math.sqrt(3), *[-1 / math.sqrt(3)] * 3], [0.0] * 4]
    torch.testing.assert_close(grpo.advantages(rewards), torch.tensor(expected))


def test_the_divergence_is_estimated_as_in_equation_4() -> None:
    """r - ln r - 1 with r = reference / policy: of 2, 1/2 and 1."""
    policy, reference = torch.tensor([0.25, 0.5, 0.3]), torch.tensor([0.5, 0.25, 0.3])
    expected = torch.tensor([1 - math.log(2), math.log(2) - 0.5, 0.0])
    torch.testing.assert_close(grpo.divergence(policy.log(), reference.log()), expected)


def test_the_objective_is_that_of_equation_3() -> None:
    """Ratios 3/2 and 1/2 in a good reply, the same in a bad one, 11/10 in a third of one token.

    Gains: min(1.5, 1.2) and 0.5; min(-1.5, -1.2) is -1.5, min(-0.5, -0.8) is -0.8; 2 * 1.1.
    """
    old, new = torch.tensor([0.4, 0.4, 0.4, 0.4, 0.5]), torch.tensor([0.6, 0.2, 0.6, 0.2, 0.55])
    reference, owner = torch.tensor([0.6, 0.2, 0.6, 0.4, 0.55]), torch.tensor([0, 0, 1, 1, 2])
    options = grpo.GrpoOptions(prompts=1, lr=0.0, clip=0.2, beta=0.04)
    advantage = torch.tensor([1.0, -1.0, 2.0])
    value = grpo.objective(new.log(), old.log(), reference.log(), advantage, owner, options)
    cost = 0.04 * (1 - math.log(2))  # where the reference is twice as likely
    expected = ((1.2 + 0.5) / 2 + (-1.5 - 0.8 - cost) / 2 + 2.2) / 3
    assert value.item() == pytest.approx(expected, abs=1e-6)


def test_log_probabilities_are_those_of_each_reply_alone(engine: Any) -> None:
    """Two replies share a prompt and a first token, one is the same twice."""
    replies = [((5, 6, 7), (8, 9)), ((9, 8), (4,)), ((5, 6, 7), (8, 4, 4)), ((9, 8), (4,))]
    values, owner = grpo.token_logprobs(engine, replies)
    for number, (prompt, reply) in enumerate(replies):
        logits = engine.model(torch.tensor([prompt + reply])).logits[0].log_softmax(-1)
        rows = logits[len(prompt) - 1 : -1]
        expected = rows[torch.arange(len(reply)), torch.tensor(reply)]
        torch.testing.assert_close(values[owner == number].float(), expected, atol=1e-5, rtol=1e-5)


def test_a_sampled_reply_ends_with_the_token_that_ended_it(engine: Any) -> None:
    limit = 40
    prompts = engine.encode_prompts([engine.chat(f"number {i}") for i in range(30)], limit)
    replies = [reply for _, reply in grpo.sampled_replies(engine, prompts, limit, range(30))]
    ended = [reply for reply in replies if reply[-1] in engine.stops()]
    assert ended
    assert all(len(reply) == limit for reply in replies if reply not in ended)
    assert not any(set(reply[:-1]) & engine.stops() for reply in replies)


# Evolution strategies


def test_centred_ranks_are_between_halves_and_equals_share_theirs() -> None:
    ranks = evolution.centred_ranks(torch.tensor([3.0, 1.0, 3.0, 7.0, -2.0]))
    assert ranks.tolist() == pytest.approx([0.125, -0.25, 0.125, 0.5, -0.5])


def test_the_estimate_is_the_gradient_of_a_quadratic() -> None:
    """With orthogonal noise of the right length it is exact; with random noise on average."""
    slope, theta = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.3, 0.2, -1.0])
    curvature, sigma = 0.7, 0.1

    def score(points: Tensor) -> Tensor:
        return points @ slope - curvature * (points**2).sum(1)

    expected = slope - 2 * curvature * theta
    orthogonal = math.sqrt(3) * torch.eye(3)
    random = torch.randn(50_000, 3, generator=torch.Generator().manual_seed(0))
    for noise, tolerance in ((orthogonal, 1e-5), (random, 0.05)):
        above, below = score(theta + sigma * noise), score(theta - sigma * noise)
        estimate = evolution.estimated_gradient(above, below, noise, sigma)
        torch.testing.assert_close(estimate, expected, atol=tolerance, rtol=0)


@pytest.mark.parametrize("rank", [1, 2])
def test_noise_of_low_rank_has_that_rank_and_unit_variance(rank: int) -> None:
    draws = torch.Generator().manual_seed(0)
    noise = evolution.draw_noise([torch.Size((300, 8)), torch.Size((8, 200))], rank, draws)
    matrix = noise[:2400].view(300, 8)
    assert torch.linalg.matrix_rank(matrix) == rank
    many = evolution.draw_noise([torch.Size((30, 8))] * 400, rank, draws)
    assert many.square().mean().item() == pytest.approx(1, abs=0.15)


class Along:
    """A trial that scores a patch by how far its changes go in a direction."""

    def __init__(self, direction: Tensor, items: int) -> None:
        self.direction, self.items_left = direction, items
        self.bench = SimpleNamespace(dev_items=10)

    def score(self, patch: Patch, items: Sequence[int]) -> Score:
        self.items_left -= len(items)
        return score_of([float(flat(patch) @ self.direction)] * len(items))


def test_evolution_climbs_within_its_budget(tiny_experts: list[Path]) -> None:
    info = read_adapter(tiny_experts[0])
    size = sum(math.prod(shape.weight_shape) for shape in info.modules.values())
    direction = torch.randn(size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    trial = Along(direction, 4_030)
    options = evolution.EvolutionOptions(pairs=10, items=5, sigma=0.02, lr=0.01)
    result = flat(evolution.evolve(trial, Patch(), info, options, 0))
    assert trial.items_left == 30
    # A step in a random direction would have a cosine of 0 +- 1 / sqrt(size), which is 0.01.
    assert result @ direction / result.norm() / direction.norm() > 0.1


# The script


def test_training_raises_the_reward_and_spends_its_budget(folder: Path, tmp_path: Path) -> None:
    """The reward is the number of letters; replies of the last quarter have more of them."""
    bench = rivals_lab.benches(folder, tmp_path, ["t1"])["t1"]
    trial = rivals_lab.Trial(bench, 643)
    rewards: list[float] = []

    def reward(items: Sequence[Item], texts: Sequence[str]) -> list[float]:
        assert len(items) == len(texts)
        rewards.extend(float(sum(map(str.isalpha, text))) for text in texts)
        return rewards[-len(texts) :]

    options = grpo.GrpoOptions(prompts=4, lr=0.01)
    info = bench.experts[0].info
    result = grpo.train(trial, Patch(), info, reward, options, seed=0, max_new_tokens=6)
    assert (len(rewards), trial.items_left) == (640, 3)
    assert sum(rewards[-160:]) > 1.2 * sum(rewards[:160])
    assert result.rewarded == 1


def test_a_run_that_has_its_line_is_not_repeated(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "lines.jsonl"
    words = ["rivals_lab.py", str(folder), "--out", str(tmp_path / "out"), "--outcomes", str(file)]
    words += ["--tasks", "t1", "--seeds", "0", "1", "--methods", "sum", "es-best"]
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr(rivals_lab, "EVALUATIONS", 1 + len(list((folder / "experts").iterdir())))
    rivals_lab.main()
    first = file.read_text()
    rows = [json.loads(line) for line in first.splitlines()]
    runs = [(row["method"], row["seed"]) for row in rows]
    assert runs == [("sum", 0), ("es-best", 0), ("es-best", 1)]
    assert all(len(row["test"]) == 8 for row in rows)
    rivals_lab.main()
    assert file.read_text() == first
