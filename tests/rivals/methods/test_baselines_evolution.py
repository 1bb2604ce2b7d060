"""Methods that evolve a population, against literal transcriptions on whole weight vectors and simulated answers."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import nn
from trials import NearTo, flat, run, target

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.models.adapters.adapter import Adapter, load_adapter, read_adapter
from pyswarmopt_rivals.methods.changes import as_patch
from pyswarmopt_rivals.methods.evolution import evogm, genome, merge3
from pyswarmopt_rivals.methods.evolution.merge3 import ItemModel, anchors, crossed, fit, mutated, offspring, tournament


@pytest.fixture(scope="module")
def experts(tiny_experts: list[Path]) -> list[Adapter]:
    return [load_adapter(read_adapter(path)) for path in tiny_experts]


def closeness(goal: torch.Tensor) -> Any:
    """The dev score of `NearTo`, of a NumPy vector."""
    judge = NearTo(goal, 1)
    return lambda vector: score_of(judge.right(torch.from_numpy(vector))).value


# GENOME


def test_genome_is_the_published_loop_on_whole_vectors(experts: list[Adapter]) -> None:
    goal = target(experts, [0.5, 0.3, 0.2], "delta")
    trial = NearTo(goal, 40)
    run("genome", experts, trial, seed=4)
    fitness_of = closeness(goal)

    modules = sorted(experts[0].factors)
    types = list(dict.fromkeys(m.rpartition(".")[2] for m in modules))
    dense = {m: np.stack([e.factors[m].low_rank().dense().double().numpy() for e in experts]) for m in modules}

    def whole(x: np.ndarray) -> np.ndarray:
        by_type = dict(zip(types, x.reshape(len(types), 3), strict=True))
        return np.concatenate([np.tensordot(by_type[m.rpartition(".")[2]], dense[m], 1).ravel() for m in modules])

    rng = np.random.default_rng(4)
    scored: list[np.ndarray] = []
    seen: list[tuple[float, np.ndarray]] = []

    def score(x: np.ndarray) -> float | None:
        if len(scored) == 40:
            return None
        scored.append(whole(x))
        seen.append((fitness_of(scored[-1]), x))
        return seen[-1][0]

    def best() -> np.ndarray:
        return max(seen, key=lambda pair: pair[0])[1]

    def worst() -> np.ndarray:
        return min(seen, key=lambda pair: pair[0])[1]

    people: list[dict[str, Any]] = []

    def add(newcomers: list[np.ndarray]) -> None:
        born = [(x, f) for x in newcomers if (f := score(x)) is not None]
        everyone = [one["x"] for one in people] + [x for x, _ in born]
        for x, f in born:
            people.append({"x": x, "f": f, "p": x, "pf": f, "v": everyone[rng.integers(len(everyone))] - x})

    def roulette(fitness: list[float], count: int) -> list[int]:
        f = np.array(fitness)
        enough = (f > 0).sum() >= count
        return list(rng.choice(len(f), size=count, replace=False, p=f / f.sum() if enough else None))

    r = rng.random(4) * [0.2, 0.2, 0.2, 0.1]
    r = r / r.sum()
    pairs = list(combinations(range(3), 2))
    order = rng.permutation(3)
    first = []
    for k in range(10):
        i, j = pairs[order[k % 3]]
        w = rng.random(2)
        x = np.zeros((len(types), 3))
        x[:, i], x[:, j] = w / w.sum()
        first.append(x.ravel())
    add(first)
    step = 0.5
    while len(scored) < 40:
        top, bottom = best(), worst()
        for one in people:
            v = r[0] * one["v"] + r[1] * (one["p"] - one["x"]) + r[2] * (top - one["x"]) - r[3] * (bottom - one["x"])
            x = one["x"] + step * v
            f = score(x)
            if f is not None:
                one.update(x=x, v=v, f=f)
                if f > one["pf"]:
                    one.update(p=x, pf=f)
        step *= 0.95
        parents = [dict(one) for one in people]
        children = []
        for _ in range(len(parents) // 2):
            if rng.random() <= 0.3:
                a, b = (parents[i] for i in roulette([one["f"] for one in parents], 2))
                share = a["f"] / (a["f"] + b["f"]) if a["f"] + b["f"] > 0 else 0.5
                children.append(share * a["x"] + (1 - share) * b["x"])
        for one in parents:
            if rng.random() <= 0.3:
                mask = rng.random(len(one["x"])) < 0.1
                children.append(one["x"] + 0.05 * mask * rng.standard_normal(len(one["x"])))
        add(children)
        if len(people) > 10:
            people.sort(key=lambda one: -one["f"])
            elite = round(0.1 * len(people))
            rest = people[elite:]
            people[:] = people[:elite] + [rest[i] for i in roulette([one["f"] for one in rest], 10 - elite)]
    assert len(scored) == len(trial.seen) == 40
    for ours, theirs in zip(trial.seen, scored, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-3, atol=1e-5)


def test_parents_are_drawn_by_fitness() -> None:
    rng = np.random.default_rng(0)
    drawn = [genome.draw([0.0, 3.0, 1.0], 1, rng)[0] for _ in range(3000)]
    assert np.bincount(drawn, minlength=3) / 3000 == pytest.approx([0, 0.75, 0.25], abs=0.03)
    assert sorted(genome.draw([0.0, 0.0, 1.0], 2, rng)) != []  # nobody but one is fit: uniform, no error
    below = [genome.draw([-3.0, -1.0, -2.0], 1, rng)[0] for _ in range(3000)]
    assert np.bincount(below, minlength=3) / 3000 == pytest.approx([0, 2 / 3, 1 / 3], abs=0.03)


# EvoGM


class Halved:
    """Networks that have nothing to learn: half of each coefficient, and the last one first."""

    def __init__(self, size: int, seed: int) -> None:
        pass

    def train(self, winners: torch.Tensor, losers: torch.Tensor) -> None:
        LEARNT.append((len(winners), len(losers)))

    def improved(self, population: torch.Tensor) -> torch.Tensor:
        return population.roll(1, dims=1) / 2


LEARNT: list[tuple[int, int]] = []


def test_evogm_is_the_published_loop_on_whole_vectors(experts: list[Adapter], monkeypatch: pytest.MonkeyPatch) -> None:
    """There, new experts are merged weights and everything is scored; here what is known is not scored again."""
    monkeypatch.setattr(evogm, "Generators", Halved)
    LEARNT.clear()
    goal = target(experts, [0.6, 0.1, 0.3], "delta")
    trial = NearTo(goal, 400)
    run("evogm", experts, trial, seed=2)
    fitness_of = closeness(goal)
    rng = np.random.default_rng(2)
    tasks = np.stack([flat(as_patch(expert)).numpy() for expert in experts])
    scored: list[np.ndarray] = []
    sizes = []
    while len(scored) < 400:
        before = len(scored)
        population = np.concatenate([np.eye(3), np.full((1, 3), 1 / 3), rng.uniform(-1, 1, (16, 3))])
        rng.integers(2**31)

        def judged(rows: np.ndarray, tasks: np.ndarray = tasks) -> np.ndarray:
            for vector in rows @ tasks:
                if not any(np.allclose(vector, other, rtol=1e-9, atol=1e-12) for other in scored):
                    scored.append(vector)
            return np.array([fitness_of(vector) for vector in rows @ tasks])

        scores = judged(population)
        history, all_scores = population, scores
        for _ in range(3):
            winners = max(1, int(0.3 * len(history)))
            sizes.append((winners, len(history) - winners))
            images = np.roll(population, 1, axis=1) / 2
            found = judged(images)
            history, all_scores = np.concatenate([history, images]), np.concatenate([all_scores, found])
            stay = np.argsort(-np.concatenate([scores, found]), kind="stable")[:20]
            population, scores = np.concatenate([population, images])[stay], np.concatenate([scores, found])[stay]
            if len(scored) - before >= 200 or len(scored) >= 400:
                break
        tasks = history[np.argsort(-all_scores, kind="stable")[:3]] @ tasks
    for ours, theirs in zip(trial.seen, scored[:400], strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-3, atol=1e-5)
    assert LEARNT[: len(sizes) - 1] == sizes[:-1]


def test_a_small_budget_still_shifts_the_basis(experts: list[Adapter], monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[torch.Tensor] = []
    begun = evogm.Round.__init__

    def noted(own: Any, basis: torch.Tensor, *rest: Any) -> None:
        made.append(basis)
        begun(own, basis, *rest)

    monkeypatch.setattr(evogm.Round, "__init__", noted)
    goal = target(experts, [0.6, 0.1, 0.3], "delta")
    run("evogm", experts, NearTo(goal, 16), seed=1)
    assert len(made) >= 2 and torch.equal(made[0], torch.eye(3, dtype=torch.float64))
    assert not torch.equal(made[1], made[0])


def test_the_loss_of_the_generators_by_hand() -> None:
    """lose2win doubles, win2lose takes a quarter: cycles leave half of everything, -x/2 squared."""
    generators = evogm.Generators(1, 0)
    for name, factor in (("lose2win", 2.0), ("win2lose", 0.25)):
        layer = nn.Linear(1, 1, bias=False)
        nn.init.constant_(layer.weight, factor)
        setattr(generators, name, layer)
    winners, losers = torch.tensor([[1.0], [0.5]]), torch.tensor([[-1.0], [0.0]])
    cycles = (0.5**2 * 1.0 + 0) / 2 + (0.5**2 * 1.0 + 0.5**2 * 0.25) / 2
    aim = ((-2 - 0.75) ** 2 + (0 - 0.75) ** 2) / 2
    assert generators.loss(winners, losers).item() == pytest.approx(100 * cycles + aim)


def test_the_generators_are_those_of_the_released_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five hidden layers, Adam at 1e-4, 200 steps on as many losers as there are winners."""
    generators = evogm.Generators(7, 0)
    for made in (generators.lose2win, generators.win2lose):
        layers = [(layer.in_features, layer.out_features) for layer in made if isinstance(layer, nn.Linear)]
        assert layers == [(7, 128), (128, 256), (256, 256), (256, 256), (256, 128), (128, 7)]
        assert isinstance(made[-1], nn.Tanh) and sum(isinstance(layer, nn.ReLU) for layer in made) == 5
    assert isinstance(generators._optimizer, torch.optim.Adam) and generators._optimizer.defaults["lr"] == 1e-4
    seen: list[tuple[int, int]] = []

    def noted(winners: torch.Tensor, losers: torch.Tensor) -> torch.Tensor:
        seen.append((len(winners), len(losers)))
        return generators.lose2win(losers).sum()

    monkeypatch.setattr(generators, "loss", noted)
    generators.train(torch.zeros(3, 7), torch.ones(9, 7))
    assert seen == [(3, 3)] * 200


def test_training_moves_losers_towards_winners_and_leaves_the_global_state() -> None:
    rng = torch.Generator().manual_seed(3)
    winners = 0.6 + 0.05 * torch.randn(6, 3, generator=rng, dtype=torch.float64)
    losers = -0.5 + 0.3 * torch.randn(14, 3, generator=rng, dtype=torch.float64)
    before = torch.random.get_rng_state()
    one, other = evogm.Generators(3, 7), evogm.Generators(3, 7)
    first = one.improved(losers)
    for generators in (one, other):
        generators.train(winners, losers)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(one.improved(losers), other.improved(losers))
    away = [float((found - winners.mean(0)).norm()) for found in (first, one.improved(losers))]
    assert away[1] < away[0] and one.improved(losers).abs().max() <= 1


# Item response theory


def simulated(models: int, items: int, seed: int) -> tuple[ItemModel, np.ndarray]:
    """A true model in two dimensions, and answers."""
    rng = np.random.default_rng(seed)
    truth = ItemModel(
        1.5 * np.abs(rng.standard_normal((items, 2))), rng.standard_normal(items), rng.standard_normal((models, 2))
    )
    p = np.stack([truth.curve(ability) for ability in truth.abilities])
    return truth, (rng.random(p.shape) < p).astype(float)


def test_the_fit_is_a_maximum_of_the_posterior() -> None:
    """No small step from it has a higher density, written out here."""
    _, right = simulated(6, 12, 1)
    found = fit(right, 2)
    usual = np.log((72 - right.sum() + 1) / (right.sum() + 1))

    def density(t: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
        p = expit(t @ a.T - b)
        likelihood = np.where(right == 1, p, 1 - p)
        return float(np.log(likelihood).sum() - ((t**2).sum() + (a**2).sum() + ((b - usual) ** 2).sum()) / 2)

    best = density(found.abilities, found.discriminations, found.difficulties)
    rng = np.random.default_rng(2)
    for _ in range(200):
        step = [0.01 * rng.standard_normal(x.shape) for x in (found.abilities, found.discriminations)]
        b = found.difficulties + 0.01 * rng.standard_normal(12)
        assert density(found.abilities + step[0], found.discriminations + step[1], b) < best + 1e-6


def test_a_merged_ability_is_the_likeliest_sum_of_the_experts() -> None:
    model = ItemModel(
        np.array([[1.0], [2.0], [0.5], [1.5]]), np.array([0.0, 1.0, -1.0, 0.5]), np.array([[2.0], [-1.0], [7.0]])
    )
    right, seen = np.array([1.0, 0.0, 1.0]), [0, 1, 3]
    found = model.merged_ability(right, seen, [0, 1])
    grid = np.stack(np.meshgrid(np.linspace(-1, 2, 601), np.linspace(-1, 2, 601)), -1).reshape(-1, 2)
    t = grid @ np.array([2.0, -1.0])
    z = t[:, None] * model.discriminations[seen, 0] - model.difficulties[seen]
    density = np.log(np.where(right == 1, expit(z), 1 - expit(z))).sum(1) - ((grid - 0.5) ** 2).sum(1) / 2
    assert float(found[0]) == pytest.approx(t[density.argmax()], abs=0.02)


def test_the_estimator_by_hand() -> None:
    """Experts without ability: the others are answered with sigma(-b), whatever was seen."""
    model = ItemModel(np.ones((4, 1)), np.log([1.0, 1.0, 3.0, 1 / 3]), np.zeros((2, 1)))
    found = model.estimate(np.array([1.0, 0.0]), [0, 1], np.array([0.8, 0.2]), [0, 1])
    unseen = (0.25 + 0.75) / 2
    assert found == pytest.approx(0.5 * 0.8 + 0.5 * (0.5 * 0.8 + 0.5 * unseen))
    assert model.estimate(np.ones(4), [0, 1, 2, 3], np.full(4, 0.25), [0, 1]) == 1.0


def test_anchors_stand_for_clusters_of_items() -> None:
    a = np.array([[0.0], [0.01], [-0.01], [5.0], [5.01], [9.0]])
    model = ItemModel(a, np.array([0.0, 0.0, 0.0, 3.0, 3.0, -4.0]), np.zeros((2, 1)))
    chosen, shares = anchors(model, 3, 0)
    assert chosen[0] == 0 and chosen[1] in (3, 4) and chosen[2] == 5
    assert shares.tolist() == pytest.approx([1 / 2, 1 / 3, 1 / 6])
    assert anchors(model, 6, 0)[0] == [0, 1, 2, 3, 4, 5]
    alike = ItemModel(np.array([[0.0]] * 5 + [[9.0]]), np.zeros(6), np.zeros((2, 1)))
    chosen, shares = anchors(alike, 4, 0)
    assert len(set(chosen)) == 4 and chosen[-1] == 5
    assert shares.tolist() == pytest.approx([5 / 18] * 3 + [1 / 6])


# A genetic algorithm


@pytest.mark.parametrize("seed", range(20))
def test_crossover_and_mutation_are_those_of_deb_and_agrawal_and_of_deb_and_goyal(seed: int) -> None:
    """Coordinate by coordinate with the same draws: rate .9, indices 15 and 20, a half and a 1 / n of coordinates."""
    one, other = np.random.default_rng(100 + seed).uniform(0.3, 0.7, (2, 6))
    rng = np.random.default_rng(seed)
    together = rng.random() <= 0.9
    u, chosen = rng.random(6), rng.random(6) < 0.5
    children = []
    for x, y, draw, exchanged in zip(one, other, u, chosen, strict=True):
        beta = (2 * draw) ** (1 / 16) if draw <= 0.5 else (1 / (2 - 2 * draw)) ** (1 / 16)
        if not (together and exchanged):
            beta = 1.0
        children.append((((1 + beta) * x + (1 - beta) * y) / 2, ((1 - beta) * x + (1 + beta) * y) / 2))
    np.testing.assert_allclose(np.stack(crossed(one, other, np.random.default_rng(seed))).T, children, rtol=1e-12)
    rng = np.random.default_rng(seed)
    u, touched = rng.random(6), rng.random(6) < 1 / 6
    deltas = [(2 * draw) ** (1 / 21) - 1 if draw < 0.5 else 1 - (2 - 2 * draw) ** (1 / 21) for draw in u]
    np.testing.assert_allclose(mutated(one, np.random.default_rng(seed)), one + touched * np.array(deltas), rtol=1e-12)


def test_nine_pairs_in_ten_are_crossed() -> None:
    rng = np.random.default_rng(0)
    parents = np.full(30, 0.4), np.full(30, 0.6)
    same = [np.array_equal(crossed(*parents, rng)[0], parents[0]) for _ in range(4000)]
    assert np.mean(same) == pytest.approx(0.1, abs=0.02)


def test_the_better_wins_and_a_population_of_children_is_as_large() -> None:
    rng = np.random.default_rng(0)
    wins = np.bincount([tournament([0.1, 0.9, 0.5], rng) for _ in range(9000)], minlength=3) / 9000
    assert wins == pytest.approx([1 / 9, 5 / 9, 3 / 9], abs=0.02)
    parents = rng.random((7, 4))
    assert offspring(parents, [0.0] * 7, rng).shape == (7, 4)
    clustered = offspring(np.vstack([np.full((6, 4), 0.2), np.full((1, 4), 0.9)]), [0.0] * 6 + [1.0], rng)
    assert clustered.shape == (7, 4)


# MERGE3


def test_merge3_calibrates_evolves_on_a_subset_and_proves_its_finalists(experts: list[Adapter]) -> None:
    goal = target(experts, [0.5, 0.4, 0.1], "delta")
    trial = NearTo(goal, 20, items=60)
    found = flat(run("merge3", experts, trial, seed=3))
    for vector, expert in zip(trial.seen, experts, strict=False):
        torch.testing.assert_close(vector, flat(as_patch(expert)), rtol=1e-4, atol=1e-6)
    assert all(items is None for items in trial.asked[:10]) and trial.asked[10] is not None  # half of 20 in full
    assert all(items is None for items in trial.asked[-5:])  # five finalists
    subsets = {items for items in trial.asked if items is not None}
    assert len(subsets) == 1 and len(next(iter(subsets))) == 10
    cost = sum(60 if items is None else len(items) for items in trial.asked)
    assert trial.spent == cost <= 20 * 60 and trial.spent > 20 * 60 - 10
    judge = closeness(goal)
    best = max(judge(vector.numpy()) for vector in trial.seen_in_full)
    assert judge(found.numpy()) == best >= max(judge(vector.numpy()) for vector in trial.seen_in_full[:10])
    changes = torch.stack([flat(as_patch(expert)) for expert in experts])
    weights = torch.linalg.lstsq(changes.T, torch.stack(trial.seen).T).solution
    assert weights.min() > -1e-4 and weights.max() < 1 + 1e-4


def test_the_finalists_are_the_best_estimates(experts: list[Adapter], monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[merge3.Candidates] = []
    made = merge3.Candidates.__init__

    def noted(own: merge3.Candidates, *given: Any) -> None:
        kept.append(own)
        made(own, *given)

    monkeypatch.setattr(merge3.Candidates, "__init__", noted)
    guessed: list[tuple[float, np.ndarray]] = []
    estimate = merge3.Candidates.estimate

    def guess(own: merge3.Candidates, weights: np.ndarray, *rest: Any) -> None:
        known = weights.tobytes() in own.estimates
        estimate(own, weights, *rest)
        if not known:
            guessed.append((own.value(weights), weights))

    monkeypatch.setattr(merge3.Candidates, "estimate", guess)
    goal = target(experts, [0.5, 0.4, 0.1], "delta")
    run("merge3", experts, NearTo(goal, 20, items=60), seed=3)
    finalists = {key for key in kept[0].answers} & {weights.tobytes() for _, weights in guessed}
    ranked = sorted(guessed, key=lambda pair: -pair[0])
    assert finalists == {weights.tobytes() for _, weights in ranked[:5]}


def test_merge3_refuses_items_that_are_neither_right_nor_wrong(experts: list[Adapter]) -> None:
    class Graded(NearTo):
        def score(self, patch: Patch) -> Score:
            super().score(patch)
            return score_of([0.25] * self.items)

    with pytest.raises(UserError, match="right or wrong"):
        run("merge3", experts, Graded(target(experts, [1.0, 0.0, 0.0], "delta"), 9))


@pytest.mark.parametrize("name", ["genome", "evogm", "merge3"])
@pytest.mark.parametrize("scorings", [1, 2, 5])
def test_the_smallest_budgets_are_kept(name: str, scorings: int, experts: list[Adapter]) -> None:
    trial = NearTo(target(experts, [0.2, 0.7, 0.1], "delta"), scorings)
    found = flat(run(name, experts, trial))
    assert trial.spent <= trial.budget and any(torch.equal(found, vector) for vector in trial.seen_in_full)
