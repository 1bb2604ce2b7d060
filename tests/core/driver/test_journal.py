"""Answers that are kept between two saved states: nothing is lost, and nothing is called twice."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from swarm_runs import bowl, events
from watched import Watched

import pyswarmopt as pso
from pyswarmopt.driver import search as searches
from pyswarmopt.driver.journal import Journal

BOX = [(-4.0, 4.0)] * 3


class Death(BaseException):
    """Ends the search at once, as a signal would."""


def bowls(x):
    return np.array([bowl(row) for row in x])


def ripples(x):
    """As good as noise for a search, but repeatable."""
    return bowl(x) + np.sin(1e6 * x.sum())


WAYS = {
    "default": (bowl, {}),
    "recipe": (bowl, {"recipe": "constriction", "population": 7}),
    "one by one": (bowl, {"recipe": "fips", "population": 7, "asynchronous": True}),
    "noisy": (ripples, {"noisy": True}),
    "noisy recipe": (ripples, {"noisy": True, "recipe": "constriction", "population": 7}),
    "returned": (lambda x: (bowl(x), [1 - x[0]]), {"constraints": "returned"}),
}


@pytest.fixture
def rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    """States are written at the start and at the end only."""
    monkeypatch.setattr("pyswarmopt.base.checkpoint.WRITING", 1e-9)


@pytest.mark.usefixtures("rarely")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("at", [1, 33, 59])
def test_a_search_that_dies_repeats_only_the_call_that_it_died_in(tmp_path, way, at):
    fun, how = WAYS[way]
    options = {"max_evals": 60, "seed": 3, "history": "particles", **how}
    path = tmp_path / "c.npz"
    calls = []

    def dies(x):
        calls.append(x)
        if len(calls) == at:
            raise Death
        return fun(x)

    with pytest.raises(Death):
        pso.minimize(dies, BOX, checkpoint=path, **options)
    resumed = pso.minimize(dies, BOX, checkpoint=path, **options)
    whole = pso.minimize(fun, BOX, **options)
    assert len(calls) == 60 + 1
    assert events(resumed) == events(whole)
    assert (resumed.fun, resumed.nfev) == (whole.fun, whole.nfev)
    assert os.listdir(tmp_path) == ["c.npz"]


@pytest.mark.usefixtures("rarely")
def test_a_batch_is_kept_too(tmp_path):
    options = {"recipe": "constriction", "population": 8, "vectorized": True, "max_evals": 41}
    path, calls = tmp_path / "c.npz", []

    def dies(x):
        if len(calls) == 3:
            raise Death
        calls.append(len(x))
        return bowls(x)

    def counted(x):
        calls.append(len(x))
        return bowls(x)

    with pytest.raises(Death):
        pso.minimize(dies, BOX, seed=1, checkpoint=path, **options)
    resumed = pso.minimize(counted, BOX, seed=1, checkpoint=path, **options)
    assert sum(calls) == 41 and resumed.nfev == 41
    assert resumed.fun == pso.minimize(bowls, BOX, seed=1, **options).fun


@pytest.mark.usefixtures("rarely")
def test_a_batch_that_is_kept_in_part_is_called_again_and_counts_once(tmp_path):
    """The failures of its kept answers counted twice."""

    def half_fails(x):
        return np.where(x[:, 0] > 0, np.nan, bowls(x))

    options = {"recipe": "constriction", "population": 8, "vectorized": True, "max_evals": 41}
    path, calls = tmp_path / "c.npz", []

    def dies(x):
        calls.append(len(x))
        if len(calls) == 3:
            raise Death
        return half_fails(x)

    with pytest.raises(Death):
        pso.minimize(dies, BOX, seed=1, checkpoint=path, **options)
    journal = Journal(path.with_name("c.npz.journal"))
    journal.load(after=0)
    journal._write_anew(list(journal.replayed)[:-1])
    resumed = pso.minimize(half_fails, BOX, seed=1, checkpoint=path, **options)
    whole = pso.minimize(half_fails, BOX, seed=1, **options)
    assert resumed.failures == whole.failures
    assert (resumed.fun, resumed.nfev) == (whole.fun, whole.nfev)


@pytest.mark.usefixtures("rarely")
def test_failures_are_kept_with_their_kind(tmp_path):
    def fails(x):
        if x[0] > 1:
            raise ZeroDivisionError
        return bowl(x) if x[1] < 1 else float("nan")

    options = {"max_evals": 50, "seed": 1, "recipe": "constriction", "on_error": "worst"}
    with pytest.raises(Death):
        pso.minimize(Watched(fails, 44, Death), BOX, checkpoint=tmp_path / "c", **options)
    resumed = pso.minimize(fails, BOX, checkpoint=tmp_path / "c", **options)
    whole = pso.minimize(fails, BOX, **options)
    assert resumed.failures == whole.failures and len(whole.failures) == 2
    assert resumed.fun == whole.fun


@pytest.mark.parametrize("how", [{}, {"recipe": "constriction", "population": 6}])
def test_a_finished_noisy_search_ends_once_more_without_a_call(tmp_path, how):
    options = {"noisy": True, "max_evals": 60, "seed": 3, "checkpoint": tmp_path / "c", **how}
    random = np.random.default_rng(0)
    noisy = Watched(lambda x: bowl(x) + random.normal())
    first = pso.minimize(noisy, BOX, **options)
    again = pso.minimize(noisy, BOX, **options)
    assert len(noisy.points) == 60 == first.nfev == again.nfev
    assert (again.fun, again.fun_stderr, again.n_best) == (
        first.fun,
        first.fun_stderr,
        first.n_best,
    )
    assert np.array_equal(again.x, first.x)


@pytest.mark.parametrize("how", [{}, {"recipe": "constriction", "population": 6}])
def test_a_noisy_search_that_goes_on_counts_every_draw(tmp_path, how):
    random = np.random.default_rng(0)
    noisy = Watched(lambda x: bowl(x) + random.normal())
    options = {"noisy": True, "seed": 3, "checkpoint": tmp_path / "c", **how}
    pso.minimize(noisy, BOX, max_evals=60, **options)
    further = pso.minimize(noisy, BOX, max_evals=120, **options)
    assert len(noisy.points) == 120 == further.nfev


def test_the_state_is_not_built_at_every_iteration(tmp_path, monkeypatch):
    built = []
    state = searches.Search._state

    def counted(self):
        built.append(1)
        return state(self)

    monkeypatch.setattr("pyswarmopt.base.checkpoint.WRITING", 1e-9)
    monkeypatch.setattr(searches.Search, "_state", counted)
    pso.minimize(bowl, BOX, "constriction", 5, max_evals=300, checkpoint=tmp_path / "c")
    assert len(built) == 2  # at the start and at the end


def test_a_torn_line_and_answers_that_a_state_has_are_left_out(tmp_path: Path):
    journal = Journal(tmp_path / "j")
    for number in (1, 2, 3):
        journal.keep(number, np.full(2, float(number)), 10.0 * number)
        journal.flush()
    text = journal.path.read_text()
    journal.path.write_text(text[:-4])
    again = Journal(journal.path)
    again.load(after=1)
    assert [answer.number for answer in again.replayed] == [2]
    assert again.hear([np.zeros(2)]) is None and not again.replayed  # another search
    again.keep(2, np.zeros(2), 1.0)
    assert [answer.value for answer in again.kept(after=0)] == [1.0]
