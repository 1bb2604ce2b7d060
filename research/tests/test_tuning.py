"""`research/benchmarks/functions/tuning.py`: problems are repeatable, the halves share nothing, and 50
calls are the first of 200; its tables count runs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from laboratory import script

pytest.importorskip("sklearn")

outcomes = script("outcomes")
small_budgets_problems = script("small_budgets_problems")
small_budgets_solvers = script("small_budgets_solvers")
tuning = script("tuning")
tuning_tables = script("tuning_tables")


def test_the_halves_share_no_problem_and_no_model() -> None:
    names = {half: [p.name for p in tuning.problems(half)] for half in tuning.MODELS}
    assert {half: len(found) for half, found in names.items()} == {"choose": 20, "claim": 60}
    assert not set(names["choose"]) & set(names["claim"])
    kinds = {half: {(name, classifies) for name, classifies, *_ in tuning.MODELS[half]}
             for half in names}  # fmt: skip
    assert not kinds["choose"] & kinds["claim"]


@pytest.mark.parametrize("number", range(46))
def test_a_drawn_problem_is_mixed_and_repeatable(number: int) -> None:
    problem, again = tuning.drawn(number), tuning.drawn(number)
    kinds = {"option" if r.options else "whole" if r.whole else "real" for r in problem.space}
    assert kinds == {"option", "whole", "real"}
    shares = np.random.default_rng(1).random((100, len(problem.space))).tolist()
    points = [[r.at(u) for r, u in zip(problem.space, row, strict=True)] for row in shares]
    values = [problem.truth(point) for point in points]
    assert values == [again.truth(point) for point in points]
    assert 0 <= min(values) < max(values) <= 1


def test_a_trained_problem_is_the_models_own_loss() -> None:
    from sklearn.neighbors import KNeighborsRegressor

    problem = next(p for p in tuning.problems("choose") if p.name == "neighbours 1")
    train, train_y, test, test_y = tuning._halves(False, 1)
    model = KNeighborsRegressor(4, weights="distance", p=1.5).fit(train, train_y)
    expected = np.square(model.predict(test) - test_y).mean()
    assert problem.truth([4, "distance", 1.5]) == pytest.approx(expected)


def test_a_search_of_fifty_calls_is_the_first_fifty_of_two_hundred(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = tuning.drawn(0)
    longer = tuning.best_after("pyswarmopt", problem, 3)
    monkeypatch.setattr(tuning, "BUDGETS", (50,))
    assert tuning.best_after("pyswarmopt", problem, 3)[50] == longer[50]


def test_catcma_sees_whole_numbers_on_their_scale() -> None:
    steps, Range = small_budgets_solvers.steps, small_budgets_problems.Range
    on_log_scale = np.array(steps(Range(1, 1000, log=True, whole=True)))
    assert np.rint(np.exp(on_log_scale)).tolist() == list(range(1, 1001))
    assert on_log_scale[99] - on_log_scale[9] == pytest.approx(on_log_scale[9] - on_log_scale[0])
    assert steps(Range(3, 6, whole=True)) == [3, 4, 5, 6]


def test_tables_count_runs_and_take_logarithms_of_regrets(keep: Any) -> None:
    values = {"pyswarmopt": [1.0, 0.0], "optuna-tpe": [2.0, 0.0], "pyswarmopt:mean": [0.5, 1.0]}
    rows = [{"half": "choose", "kind": "trained", "problem": "a", "seed": 0, "solver": solver,
             "values": {"50": first, "200": last}} for solver, (first, last) in values.items()]  # fmt: skip
    keep("tuning", rows)
    runs = tuning_tables.runs("choose")
    cells = tuning_tables.beside(runs, "pyswarmopt", "optuna-tpe", "50")
    assert cells == ("1 0 0, p = 1.00", f"{np.log10(0.51):.2f}, {np.log10(1.01):.2f}")
    assert tuning_tables.beside(runs, "pyswarmopt", "optuna-tpe", "200")[0] == "0 1 0, p = 1.00"
    assert tuning_tables.beside(runs, "pyswarmopt:mean", "pyswarmopt", "200")[0].startswith("0 0 1")
    table = tuning_tables.beside_peers().splitlines()[2:]  # no CatCMA, no held-out problem
    assert [row.split(" | ")[0] for row in table] == [
        f"| to choose on, {kind}, TPE" for kind in ("trained", "all")
    ]
