"""Methods that score candidates, against literal transcriptions on dense vectors and against other
optimisers.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from trials import NearTo, flat, run, target

from pyswarmopt_llm.experts.adapter import Adapter
from pyswarmopt_rivals.bench import as_patch
from pyswarmopt_rivals.methods import load_method
from pyswarmopt_rivals.methods.searching.by_optimizer import candidate, decode
from pyswarmopt_rivals.methods.searching.natural_niches import draw_parents

# Those that look at no gradients and no activations

SCORED = ["best-single", "greedy-soup", "lorahub", "evolmerge", "natural-niches"]


@pytest.mark.parametrize("name", SCORED)
def test_the_same_seed_gives_the_same_bits_within_the_budget(name, experts: list[Adapter]) -> None:
    goal = target(experts, [0.6, 0.3, 0.1], "delta")
    before = torch.random.get_rng_state().tolist(), np.random.get_state()[1].tolist()
    trials = [NearTo(goal, 9), NearTo(goal, 9)]
    one, other = (flat(run(name, experts, trial)) for trial in trials)
    assert torch.equal(one, other) and trials[0].spent <= trials[0].budget
    assert (torch.random.get_rng_state().tolist(), np.random.get_state()[1].tolist()) == before


def test_greedy_soup_is_recipe_1_of_the_paper(experts: list[Adapter]) -> None:
    goal = target(experts, [0.5, 0.0, 0.5], "delta")
    changes = [flat(as_patch(expert)) for expert in experts]

    def accuracy(vectors: list[torch.Tensor]) -> float:
        return sum(trial.right(torch.stack(vectors).mean(0)))

    trial = NearTo(goal, 9)
    ranked = sorted(range(3), key=lambda i: -accuracy([changes[i]]))
    ingredients: list[torch.Tensor] = []
    for i in ranked:
        if not ingredients or accuracy([*ingredients, changes[i]]) >= accuracy(ingredients):
            ingredients.append(changes[i])
    found = flat(run("greedy-soup", experts, trial, "delta"))
    torch.testing.assert_close(found, torch.stack(ingredients).mean(0), rtol=1e-4, atol=1e-6)
    assert len(trial.seen) == 5


def test_evolmerge_candidates_are_dare_ties_entry_by_entry(experts: list[Adapter]) -> None:
    u = torch.tensor([0.7, 0.2, 0.9, 0.4, 0.8, 0.6], dtype=torch.float64)
    weights, densities = (part.tolist() for part in decode(u))
    settings = load_method("evolmerge").settings(3, "delta", seed=4)
    found = candidate(replace(settings, experts=experts), u)
    generator = torch.Generator().manual_seed(4)
    for module in sorted(experts[0].factors):
        dense = [expert.factors[module].dense() for expert in experts]
        rows, columns = dense[0].shape
        drawn = torch.rand(3, rows, columns, generator=generator)
        expected = torch.zeros(rows, columns)
        for r in range(rows):
            for c in range(columns):
                parts = zip(dense, densities, drawn, strict=True)
                kept = [float(d[r, c]) / p * float(u[r, c] < p) for d, p, u in parts]
                sign = 1.0 if sum(kept) >= 0 else -1.0
                agree = [w * x for w, x in zip(weights, kept, strict=True) if x * sign > 0]
                expected[r, c] = sum(agree) / max(len(agree), 1)
        own = found.full_rank[f"{module}.weight"]
        torch.testing.assert_close(own, expected, rtol=1e-5, atol=1e-6)


def test_natural_niches_is_the_published_loop_on_whole_vectors(experts: list[Adapter]) -> None:
    goal = target(experts, [0.4, 0.3, 0.3], "delta")
    trial = NearTo(goal, 25)
    found = flat(run("natural-niches", experts, trial, seed=5))

    modules = sorted(experts[0].factors)
    sizes = [experts[0].factors[m].b.shape[0] * experts[0].factors[m].a.shape[1] for m in modules]
    ends = np.cumsum([0, *sizes])

    def solves(vector: np.ndarray) -> np.ndarray:
        return np.array(trial.right(torch.from_numpy(vector)))

    rng = np.random.default_rng(5)
    archive = [flat(as_patch(expert)).numpy() for expert in experts]
    scores = np.array([solves(vector) for vector in archive])
    everything = [(float(s.mean()), v) for s, v in zip(scores, archive, strict=True)]
    for _ in range(22):
        a, b = draw_parents(scores, rng)
        t, split = rng.random(), int(rng.integers(len(modules)))
        x, y = archive[a], archive[b]
        omega = math.acos(min(1.0, max(-1.0, x @ y / math.sqrt((x @ x) * (y @ y)))))
        at = np.where(np.arange(len(x)) < ends[split], t, 1 - t)
        if math.sin(omega) > 1e-6:
            child = (np.sin((1 - at) * omega) * x + np.sin(at * omega) * y) / math.sin(omega)
        else:
            child = (1 - at) * x + at * y
        score = solves(child)
        everything.append((float(score.mean()), child))
        extended = np.vstack([scores, score])
        z = extended.sum(0)
        fitness = (extended / np.where(z > 0, z, 1)).sum(1)
        worst = int(fitness.argmin())
        if worst < len(archive):
            archive[worst], scores[worst] = child, score
    best = max(everything, key=lambda pair: pair[0])[1]
    np.testing.assert_allclose(found.numpy(), best, rtol=1e-3, atol=1e-5)
