"""The models that propose: against scikit-learn, literal transcriptions, an integral, and their own
promises; experts that harm are not learnt from.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from sklearn.gaussian_process.kernels import Matern

from pyswarmopt.base.optimizer import Ticket
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.run.record import Row
from pyswarmopt_llm.scores.metrics.combine import harmonic
from pyswarmopt_llm.searching import surrogate
from pyswarmopt_llm.searching.shared_kernel import Kernel
from pyswarmopt_llm.searching.surrogate import (
    Candidate,
    MarginProcess,
    ScoreProcess,
    Surrogate,
    proposed,
)


def kriged(kernel: Kernel, x: np.ndarray, y: np.ndarray, new: np.ndarray) -> tuple[float, float]:
    """Ordinary kriging as one bordered system (Santner et al. 2003): mean and standard error."""
    n = len(x)
    ones = np.ones((n, 1))
    covariance = Matern(kernel.length, nu=2.5)(x) + kernel.noise * np.eye(n)
    bordered = np.block([[covariance, ones], [ones.T, np.zeros((1, 1))]])
    k = np.append(Matern(kernel.length, nu=2.5)(x, new[None])[:, 0], 1.0)
    weights = np.linalg.solve(bordered, k)
    inverse = np.linalg.inv(covariance)
    level = inverse.sum(0) @ y / inverse.sum()
    variance = (y - level) @ inverse @ (y - level) / (n - 1)
    return float(weights[:n] @ y), math.sqrt(max((1 - weights @ k) * variance, 0.0))


# The model of the items


@pytest.mark.parametrize(("n", "dim", "seed"), [(2, 2, 0), (5, 3, 1), (9, 5, 2)])
def test_margins_are_those_of_the_literal_formulas_item_by_item(
    n: int, dim: int, seed: int
) -> None:
    """However many rivals an item has; one whose margins are not all known is left out."""
    rng = np.random.default_rng(seed)
    x, new = rng.dirichlet(np.ones(dim), n), rng.dirichlet(np.ones(dim), 3)
    margins = rng.normal(size=(n, 4, 3)) + rng.normal(size=(4, 3))
    margins[:, 1, 2] = margins[:, 2, 1:] = math.nan  # fewer options
    margins[0, 3] = math.nan
    there = [[[m for m in own if not math.isnan(m)] for own in one] for one in margins.tolist()]
    model = MarginProcess([Candidate(p, 0, margins=own) for p, own in zip(x, there, strict=True)])
    means = model.margins(new)
    assert means.shape == (3, 3)
    for m, i in itertools.product(range(3), range(3)):
        each = [kriged(model.kernel, x, margins[:, i, r], new[m])[0] for r in range(3 - i)]
        assert math.isclose(means[m, i], min(each), rel_tol=1e-5, abs_tol=1e-7)


def row(key: object, margins: np.ndarray) -> Row:
    """The row of a candidate with these margins, (I, R)."""
    right = (margins.min(axis=1) > 0).astype(float)
    score = replace(score_of(right), margins=tuple(map(tuple, margins.tolist())))
    return replace(Row.of({"t": score}, score), key=str(key))


def asked(proposer: Surrogate) -> tuple[list[Ticket], np.ndarray]:
    """The tickets of the next round, and their positions, (n, D)."""
    tickets = proposer.ask(sys.maxsize)
    assert proposer.ask(1) == []  # until they are told
    return tickets, np.stack([ticket.x.numpy() for ticket in tickets])


def learnt(margins: np.ndarray, x: np.ndarray, **more: Any) -> Surrogate:
    """A model that was told of candidates at `x`, (N, D), with these margins, (N, I, R)."""
    proposer = Surrogate(
        "items", torch.from_numpy(x), ["e"] * x.shape[1], ["t"], harmonic, 6, **more
    )
    tickets, positions = asked(proposer)
    np.testing.assert_array_equal(positions, x)
    told = [row(key, own) for key, own in enumerate(margins)]
    for number in reversed(range(len(x))):  # the order makes no difference
        proposer.tell(tickets[number], told[number])
    return proposer


def test_of_a_single_item_the_best_is_returned_whatever_the_error() -> None:
    proposer = learnt(np.array([[[1.0]], [[-1.0]], [[-2.0]]]), np.eye(3))
    best = proposer.best()
    assert best.value == 1.0 and best.x.tolist() == [1.0, 0.0, 0.0]


def test_of_those_about_as_good_as_the_best_the_widest_margins_win() -> None:
    """By a literal transcription; never one below an expert."""
    rng = np.random.default_rng(5)
    margins = rng.normal(size=(12, 40, 3)) + 1.2
    values = (margins.min(2) > 0).mean(1)
    best, spread = values.max(), margins.min(2).std()
    least = best - math.sqrt(best * (1 - best) / 39)  # the error of a mean of forty
    wide = {
        i: sum(1 / (1 + math.exp(-min(m) / (0.4 * spread))) for m in margins[i]) / 40
        for i in range(12)
        if values[i] >= least
    }
    assert len(wide) > 1
    for expert in (values.argmin(), values.argmax()):  # the first
        near = [i for i in wide if values[i] >= values[expert]]
        order = [expert, *(i for i in range(12) if i != expert)]
        proposer = learnt(margins[order], np.array(order, dtype=float)[:, None])
        found = proposer.best()
        chosen = max(near, key=wide.__getitem__)
        assert (found.x.item(), found.value) == (chosen, values[chosen])


def test_a_proposal_is_where_margins_are_widest() -> None:
    """Three items whose margins are paraboloids with known tops: the best place by a fine grid."""
    tops = np.array([[0.2, 0.6], [0.5, 0.4], [0.4, 0.8]])
    heights = np.array([0.1, 0.3, 0.2])

    def margins(x: np.ndarray) -> np.ndarray:
        """(N, 3) of (N, 2)."""
        return heights - ((x[:, None] - tops) ** 2).sum(2)

    x = np.random.default_rng(0).uniform(0, 1, (40, 2))
    soft = 0.4 * margins(x).std()
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 201)] * 2), axis=-1).reshape(-1, 2)
    width = (1 / (1 + np.exp(-margins(grid) / soft))).mean(1)
    alone = learnt(margins(x)[..., None], x)
    [ticket], (found,) = asked(alone)
    assert np.abs(found - grid[width.argmax()]).max() < 0.02
    alone.tell(ticket, row("first", margins(found[None])[0, :, None]))
    sizes = []
    while not alone.stop():
        tickets, positions = asked(alone)
        sizes.append(len(tickets))
        for ticket, own in zip(tickets, margins(positions), strict=True):
            alone.tell(ticket, row(ticket.number, own[:, None]))
    assert sizes == [1] * 5 and alone.stop() == {"proposals": 6}
    # In a batch the first is the same, the others lie apart, and all are wide.
    _, batch = asked(learnt(margins(x)[..., None], x, at_once=4))
    assert len(batch) == 4
    np.testing.assert_array_equal(batch[0], found)
    distances = [np.linalg.norm(one - other) for one, other in itertools.combinations(batch, 2)]
    assert min(distances) > 0.02
    at = [int(((grid - one) ** 2).sum(1).argmin()) for one in batch]
    assert width[at].min() > 0.9 * width.max()


@pytest.mark.parametrize(("of", "sizes"), [("items", [2, 2, 1]), ("scores", [2, 2, 1])])
def test_an_expert_that_harms_is_in_no_proposal(of: str, sizes: Sequence[int]) -> None:
    starts = torch.cat([torch.eye(6), torch.tensor([[0.0], [1 / 6], [1.0]]).expand(3, 6)]).double()
    names = [f"e{number}" for number in range(6)]
    proposer = Surrogate(of, starts, names, ["t"], harmonic, 6, at_once=2)
    values = [0.3, 0.32, 0.28, 0.3, 0.31, 0.0, 0.2, 0.15, 0.0]

    def shared(key: object, value: float) -> Row:
        return row(key, np.where(np.arange(100) < round(100 * value), 0.5, -0.5)[:, None])

    tickets, _ = asked(proposer)
    for ticket, value in zip(tickets, values, strict=True):
        proposer.tell(ticket, shared(ticket.number, value))
    batches: list[list[list[float]]] = []
    while not proposer.stop():
        tickets, positions = asked(proposer)
        batches.append(positions.tolist())
        for ticket in tickets:
            proposer.tell(ticket, shared(ticket.number, 0.4))
    first, *others = batches
    assert first == [[1.0, 1.0, 1.0, 1.0, 1.0, 0.0]]
    assert [len(batch) for batch in others] == sizes  # six in all
    assert all(position[-1] == 0 and any(position) for batch in others for position in batch)
    assert list(proposer.left_out) == [5] and "e5" in " ".join(proposer.remarks)
    assert proposer.best().x[-1] == 0 and proposer.stop() == {"proposals": 6}


# The model of the scores


def candidates(count: int, dim: int, seed: int, items: int = 30) -> list[Candidate]:
    """Items that are right where a smooth function of the coefficients is above zero; the value is
    their mean.
    """
    rng = np.random.default_rng(7)
    towards, level = rng.normal(0.3, 1.0, (items, dim)), rng.normal(-0.5, 0.5, items)
    x = np.random.default_rng(seed).uniform(-0.5, 1.5, (count, dim))
    return [of(p, level + towards @ p - 0.4 * (p**2).sum() > 0) for p in x]


def of(position: np.ndarray, items: np.ndarray) -> Candidate:
    """A candidate with these items."""
    score = score_of(items.astype(float))
    return Candidate(position, score.value, score.stderr, score.per_item)


def positions_of(seen: Sequence[Candidate]) -> np.ndarray:
    return np.stack([candidate.position for candidate in seen])


@pytest.mark.parametrize(("count", "dim"), [(5, 1), (20, 4)])
def test_means_and_errors_are_those_of_the_literal_formulas(count: int, dim: int) -> None:
    """Kriging with noise predicts the candidates themselves, kriging without goes through that."""
    seen = candidates(count, dim, count)
    model, new = ScoreProcess(seen), np.full(dim, 0.3)
    x, y = positions_of(seen), np.array([candidate.value for candidate in seen])
    kernel = model.fitted
    smooth = np.array([kriged(kernel, x, y, position)[0] for position in x])
    (mean,), (error,) = model.predict(new[None])
    assert (mean, error) == pytest.approx(kriged(Kernel(kernel.length, 1e-6), x, smooth, new))


def test_a_candidate_that_was_scored_is_not_proposed_again() -> None:
    """Though its scores are steps and it lies in the best corner of the box: its value is known."""

    def rising(x: np.ndarray) -> Candidate:
        uneven = 3 * math.cos(40 * x.sum())
        return of(x, np.arange(40) < 12 + 5 * x.sum() + uneven)

    seen = [rising(x) for x in [*np.eye(3), np.zeros(3), np.ones(3), np.full(3, 1 / 3)]]
    for number in range(8):
        model = ScoreProcess(seen)
        (position,) = proposed(model, model.positions[:6], number)
        assert min(np.abs(position.numpy() - candidate.position).max() for candidate in seen) > 1e-3
        seen.append(rising(position.numpy()))
    assert ScoreProcess(seen).gain(positions_of(seen)).max() < 0.01


def test_the_expected_improvement_is_its_integral() -> None:
    seen = candidates(8, 2, 1)
    model, new = ScoreProcess(seen), np.array([[0.4, 0.9], [-0.2, 0.1]])
    for improvement, mean, error in zip(model.gain(new), *model.predict(new), strict=True):
        density = stats.t(len(seen) - 1, loc=mean, scale=error).pdf
        integral, _ = integrate.quad(
            lambda y, density=density: (y - model.best) * density(y), model.best, np.inf
        )
        assert improvement == pytest.approx(integral, rel=1e-6)


def test_a_batch_is_made_as_if_the_predictions_had_been_seen() -> None:
    """The second of two is that of a model to which the first one's prediction is given as a
    value.
    """
    seen = candidates(12, 2, 5)
    model = ScoreProcess(seen)
    first, second = proposed(model, model.positions, 0, 2)
    model = ScoreProcess(seen)
    (mean,), (error,) = model.predict(first[None])
    model.believe(first.numpy())
    (after,), (less,) = model.predict(first[None])
    assert after == pytest.approx(mean) and less < error
    assert float((first - second).abs().max()) > 0.05


@pytest.mark.parametrize(
    ("model", "ends"),
    [
        (MarginProcess, [2.0, 1.75, 1.5, 1.25]),
        (ScoreProcess, [1.5, 1.5, 1.5, 1.5]),
    ],
)
def test_a_batch_reaches_less_and_less_far_where_margins_are_predicted(
    model: Any, ends: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes: list[float] = []

    def highest(gain: Any, starts: Any, bounds: np.ndarray, seed: int) -> torch.Tensor:
        boxes.append(float(bounds[0, 1]))
        return torch.tensor([bounds[0, 1]])

    monkeypatch.setattr(surrogate, "highest", highest)
    x = np.linspace(0, 1, 5)[:, None]
    seen = [Candidate(p, float(p[0]), 0.1, [p[0], 1 - p[0]], [(p[0],), (0.5,)]) for p in x]
    fitted = model(seen)
    batch = proposed(fitted, fitted.positions, 0, 4)
    assert [float(one[0]) for one in batch] == boxes == pytest.approx(ends)
