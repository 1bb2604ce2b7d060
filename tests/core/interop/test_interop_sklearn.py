"""SwarmSearchCV: scikit-learn's own checks, the numbers of its cross-validation, conditional
parameters.
"""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.datasets import load_iris
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import estimator_checks_generator

import pyswarmopt as pso
from pyswarmopt.interop.sklearn import SwarmSearchCV

FOLDS = StratifiedKFold(3, shuffle=True, random_state=0)


def searches():
    regression = SwarmSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, n_iter=2, cv=2, random_state=0)
    space = {"C": pso.log(0.1, 1.0)}
    classes = SwarmSearchCV(LogisticRegression(), space, n_iter=2, cv=2, random_state=0)
    return [regression, classes]


def checks():
    """(estimator, check) for each of scikit-learn's checks but those of array libraries that are
    not installed.
    """
    for search in searches():
        for estimator, check in estimator_checks_generator(search):
            if "array_api" not in check.func.__name__:
                name = f"{estimator.estimator}-{check.func.__name__}"
                yield pytest.param(estimator, check, id=name)


@pytest.mark.slow
@pytest.mark.parametrize(("estimator", "check"), list(checks()))
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def test_scores_are_those_of_cross_validation_and_no_candidate_is_fitted_twice():
    x, y = load_iris(return_X_y=True)
    space = {
        "kernel": ["linear", "rbf"],
        "C": pso.log(1e-2, 1e2),
        "gamma": pso.when("kernel", "rbf", pso.log(1e-3, 10.0)),
    }
    search = SwarmSearchCV(SVC(), space, n_iter=15, cv=FOLDS, random_state=1).fit(x, y)
    tried = search.cv_results_["params"]
    assert 2 <= len(tried) <= 15 and len({repr(p) for p in tried}) == len(tried)
    assert all(("gamma" in p) == (p["kernel"] == "rbf") for p in tried)
    assert search.best_score_ == search.cv_results_["mean_test_score"].max()
    scores = cross_val_score(SVC(**search.best_params_), x, y, cv=FOLDS)
    assert search.best_score_ == pytest.approx(scores.mean())
    again = SwarmSearchCV(SVC(), space, n_iter=15, cv=FOLDS, random_state=1).fit(x, y)
    assert again.cv_results_["params"] == tried
    vote = VotingClassifier([("a", SVC()), ("b", LogisticRegression())])
    search = SwarmSearchCV(vote, {"weights": pso.Subset([1, 2, 3], 2)}, n_iter=9, cv=2).fit(x, y)
    assert len(search.cv_results_["params"]) <= 3


def test_with_several_metrics_the_one_of_refit_counts():
    x, y = load_iris(return_X_y=True)
    found = {}
    for refit in ("accuracy", "neg_log_loss"):
        search = SwarmSearchCV(
            LogisticRegression(max_iter=50), {"C": pso.log(1e-4, 1.0)}, n_iter=12, cv=FOLDS,
            random_state=0, scoring=["accuracy", "neg_log_loss"], refit=refit,
        ).fit(x, y)  # fmt: skip
        found[refit] = search.cv_results_["mean_test_neg_log_loss"].max()
        assert search.best_index_ == np.argmin(search.cv_results_[f"rank_test_{refit}"])
        tried = [candidate["C"] for candidate in search.cv_results_["params"]]
        assert len({*tried}) == len(tried)
    assert found["neg_log_loss"] >= found["accuracy"]
    metrics = {"scoring": ["accuracy", "f1_macro"], "refit": False}
    with pytest.raises(ValueError, match="name of the one to maximise"):
        SwarmSearchCV(SVC(), {"C": (1, 2)}, n_iter=3, **metrics).fit(x, y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
def test_a_candidate_whose_fits_all_fail_ends_nothing_unless_all_do():
    """As in a grid, of which scikit-learn drops nothing for one of them."""
    x, y = load_iris(return_X_y=True)
    space = {"C": [1.0, -1.0, 100.0, -2.0]}
    grid = GridSearchCV(SVC(), space, cv=2).fit(x, y)
    search = SwarmSearchCV(SVC(), space, n_iter=8, cv=2, random_state=0).fit(x, y)
    assert search.best_params_ == grid.best_params_ and search.best_score_ == grid.best_score_
    assert {params["C"] for params in search.cv_results_["params"]} == {1.0, 100.0}
    with pytest.raises(ValueError, match="fits failed"):
        SwarmSearchCV(SVC(), {"C": [-1.0, -2.0]}, n_iter=4, cv=2, random_state=0).fit(x, y)
    with pytest.raises(ValueError, match="'C' parameter"):
        SwarmSearchCV(SVC(), space, n_iter=8, cv=2, random_state=0, error_score="raise").fit(x, y)
