"""The model of the scores: against a literal transcription, an integral, and its own promises."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from kriging import kriged
from scipy import integrate, stats

from pyswarmopt_llm.common.gaussian import Kernel, box_around
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.scores.metrics.combine import harmonic
from pyswarmopt_llm.searching.score_model import BEYOND, Candidate, ScoreProcess
from pyswarmopt_llm.searching.scoring.record import Row, pack
from pyswarmopt_llm.searching.surrogate import Surrogate


def candidates(
    count: int, dim: int, seed: int, items: int = 30, function: int = 7
) -> list[Candidate]:
    """Items that are right where a smooth function of the coefficients is above zero; the value is
    their mean.
    """
    positions = np.random.default_rng(seed).uniform(-0.5, 1.5, (count, dim))
    return [scored(position, items, function) for position in positions]


def positions_of(seen: Sequence[Candidate]) -> np.ndarray:
    return np.stack([candidate.position for candidate in seen])


def scored(position: np.ndarray, items: int = 30, function: int = 7) -> Candidate:
    rng = np.random.default_rng(function)
    towards = rng.normal(0.3, 1.0, (items, len(position)))
    margins = rng.normal(-0.5, 0.5, items) + towards @ position - 0.4 * (position**2).sum()
    return of(position, margins > 0)


def of(position: np.ndarray, *tasks: np.ndarray) -> Candidate:
    """A candidate with these items of each task."""
    scores = [score_of(items.astype(float)) for items in tasks]
    return Candidate(position, scores, harmonic(scores).value)


def proposals(
    seen: list[Candidate], seed: int, count: int = 1, begun: int | None = None
) -> list[torch.Tensor]:
    return list(ScoreProcess(seen, harmonic, begun=begun).propose(seed, count))


def told(seen: list[Candidate], floor: float = 0.0) -> Surrogate:
    """A proposer that has been told of these candidates."""
    starts = torch.from_numpy(positions_of(seen))
    proposer = Surrogate("scores", starts, ["e"] * starts.shape[1], ["t"], harmonic, 6, floor=floor)
    rows = []
    for key, one in enumerate(seen):
        (score,) = one.scores
        own = {} if score.per_item else {"t": (score.value, score.stderr, score.n)}
        items = {"t": pack(score.per_item)}
        rows.append(Row("search", 0, 0, str(key), (), one.value, 1, 0.0, items, values=own))
    proposer.tell(starts, rows)
    return proposer


def literal(model: ScoreProcess, seen: list[Candidate], new: np.ndarray) -> tuple[float, float]:
    """Kriging with noise predicts the candidates themselves, kriging without noise goes through
    that.
    """
    x = positions_of(seen)
    y = np.array([candidate.value for candidate in seen])
    (kernel,) = model.kernels
    smooth = np.array([kriged(kernel, x, y, position)[0] for position in x])
    return kriged(Kernel(kernel.length, 1e-6), x, smooth, new)


@pytest.mark.parametrize(("count", "dim"), [(5, 1), (9, 3), (20, 4)])
def test_means_and_errors_are_those_of_the_literal_formulas(count: int, dim: int) -> None:
    seen = candidates(count, dim, count)
    model, new = ScoreProcess(seen, harmonic), np.full(dim, 0.3)
    (mean,), (error,) = model.predict(new[None])
    assert (mean, error) == pytest.approx(literal(model, seen, new))


def test_a_candidate_that_was_scored_is_not_proposed_again() -> None:
    """Though its scores are steps and it lies in the best corner of the box: its value is known."""

    def rising(x: np.ndarray) -> Candidate:
        uneven = 3 * math.cos(40 * x.sum())
        return of(x, np.arange(40) < 12 + 5 * x.sum() + uneven)

    seen = [rising(x) for x in [*np.eye(3), np.zeros(3), np.ones(3), np.full(3, 1 / 3)]]
    for number in range(12):
        (position,) = proposals(seen, number, begun=6)
        assert min(np.abs(position.numpy() - candidate.position).max() for candidate in seen) > 1e-3
        seen.append(rising(position.numpy()))
    model = ScoreProcess(seen, harmonic)
    at_candidates = model.improvement(positions_of(seen))
    assert model.kernels[0].noise > 1e-4 and at_candidates.max() < 0.01


def test_the_expected_improvement_is_its_integral() -> None:
    seen = candidates(8, 2, 1)
    model, new = ScoreProcess(seen, harmonic), np.array([[0.4, 0.9], [-0.2, 0.1]])
    for improvement, mean, error in zip(model.improvement(new), *model.predict(new), strict=True):
        density = stats.t(len(seen) - 1, loc=mean, scale=error).pdf
        integral, _ = integrate.quad(
            lambda y, density=density: (y - model.best) * density(y), model.best, np.inf
        )
        assert improvement == pytest.approx(integral, rel=1e-6)


def best_proposed(function: int, dim: int, budget: int) -> float:
    """The best value of a search's start and the proposals that follow it."""
    starts = [*np.eye(dim), np.zeros(dim), np.full(dim, 1 / dim), np.ones(dim)]
    seen = [scored(start, function=function) for start in starts]
    bounds = np.array(box_around(positions_of(seen), BEYOND))
    while len(seen) < budget:
        (position,) = proposals(seen, len(seen), begun=len(starts))
        assert ((bounds[:, 0] <= position.numpy()) & (position.numpy() <= bounds[:, 1])).all()
        seen.append(scored(position.numpy(), function=function))
    return max(candidate.value for candidate in seen)


def test_proposals_find_what_the_same_number_of_random_candidates_does_not() -> None:
    """The sum of the best values on three functions, which single steps of 1/30 do not decide."""
    dim, budget, functions = 4, 24, range(3)
    by_chance = [
        sum(max(c.value for c in candidates(budget, dim, seed, 30, f)) for f in functions)
        for seed in range(20)
    ]
    proposed = sum(best_proposed(function, dim, budget) for function in functions)
    assert proposed >= np.quantile(by_chance, 0.95)


def test_where_scores_are_noisy_nothing_is_interpolated() -> None:
    """The means at what was scored are the same; the errors are those of a process with noise, not
    nothing.
    """
    seen = candidates(14, 2, 0)
    x = positions_of(seen)
    (exact, no_error), (noisy, error) = (
        ScoreProcess(seen, harmonic, noisy).predict(x) for noisy in (False, True)
    )
    np.testing.assert_allclose(noisy, exact, atol=1e-4)
    assert (no_error < 1e-2 * error).all()
    assert (ScoreProcess(seen, harmonic, noisy=True).improvement(x) > 0).all()


def test_of_several_tasks_each_is_modelled_and_what_is_predicted_combined() -> None:
    """The harmonic mean of two predictions, its error by the delta method: d H / d v = H^2 / (2
    v^2).
    """
    first, second = candidates(12, 2, 3), candidates(12, 2, 3, items=17)
    both = [
        Candidate(a.position, [*a.scores, *b.scores], 0.5)
        for a, b in zip(first, second, strict=True)
    ]
    new = np.array([[0.4, 0.9], [1.2, 0.1]])
    (a, of_a), (b, of_b) = (
        ScoreProcess(first, harmonic).predict(new),
        ScoreProcess(second, harmonic).predict(new),
    )
    mean, error = ScoreProcess(both, harmonic).predict(new)
    expected = 2 / (1 / a + 1 / b)
    assert mean == pytest.approx(expected)
    assert error == pytest.approx(expected**2 / 2 * np.hypot(of_a / a**2, of_b / b**2))


def test_a_batch_is_made_as_if_the_predictions_had_been_seen() -> None:
    """The second of two is that of a model to which the first one's prediction is given as a
    value.
    """
    seen = candidates(12, 2, 5)
    first, second = proposals(seen, 0, 2)
    assert first.tolist() == proposals(seen, 0)[0].tolist()
    model = ScoreProcess(seen, harmonic)
    (mean,), (error,) = model.predict(first[None])
    model.believe(first.numpy())
    (after,), (less,) = model.predict(first[None])
    assert after == pytest.approx(mean) and less < error
    (expected,), (wider,) = ScoreProcess(seen, harmonic).predict(second[None])
    (again,), (narrower,) = model.predict(second[None])
    # it has learnt nothing but where it was
    assert again == pytest.approx(expected, abs=1e-4) and narrower < wider
    assert float((first - second).abs().max()) > 0.05
