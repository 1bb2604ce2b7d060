"""A search for scikit-learn's estimators: `SwarmSearchCV` replaces `RandomizedSearchCV`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils import get_tags

from pyswarmopt.study import Study, Trial

if TYPE_CHECKING:
    from pyswarmopt.algorithms.recipe import Recipe


class SwarmSearchCV(BaseSearchCV):
    """Search an estimator's hyperparameters by cross-validation, with `pyswarmopt.Study`.

    After `fit` it has the attributes and methods of scikit-learn's searches: `best_params_`,
    `best_score_`, `best_estimator_`, `cv_results_`, `predict`, ...

    Args:
        estimator: estimator to fit.
        param_distributions: parameters by name; see `pyswarmopt.Space`. An inactive parameter
            (`pso.when`) keeps the estimator's default.
        n_iter: maximum number of candidates; each is fitted once per fold, and none is repeated.
        recipe: see `pyswarmopt.minimize`.
        population: number of candidates proposed and fitted together, by default one; more keep
            more processes busy. For a `recipe`, also its number of particles.
        random_state: seed of the search; a `numpy.random.RandomState` draws one.
        scoring: as in `sklearn.model_selection.RandomizedSearchCV`; so are the remaining arguments.
            With several metrics, the one that `refit` names is maximised.
        n_jobs: number of processes. One candidate has as many fits as there are folds; see
            `population`.
        refit: whether to fit the best candidate on all data; with several metrics, the name of one.
        cv: number of folds, or a splitter.
        verbose: amount of output.
        pre_dispatch: number of jobs dispatched ahead.
        error_score: score of a candidate whose fit fails. A candidate without any successful fit is
            not in `cv_results_`.
        return_train_score: also score the training folds.

    Example:
        >>> import pyswarmopt as pso
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.svm import SVC
        >>> space = {"C": pso.log(1e-3, 1e3), "gamma": pso.log(1e-4, 10.0)}
        >>> search = SwarmSearchCV(SVC(), space, n_iter=30, random_state=0).fit(*load_iris(return_X_y=True))
        >>> bool(search.best_score_ > 0.95), len(search.cv_results_["params"]) <= 30
        (True, True)
    """

    def __init__(
        self,
        estimator: Any,
        param_distributions: Mapping[str, Any],
        *,
        n_iter: int = 50,
        recipe: str | Recipe | None = None,
        population: int | None = None,
        random_state: Any = None,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: int | str = "2*n_jobs",
        error_score: Any = np.nan,
        return_train_score: bool = False,
    ) -> None:
        super().__init__(
            estimator=estimator, scoring=scoring, n_jobs=n_jobs, refit=refit, cv=cv,
            verbose=verbose, pre_dispatch=pre_dispatch, error_score=error_score,
            return_train_score=return_train_score,
        )  # fmt: skip
        self.param_distributions = param_distributions
        self.n_iter = n_iter
        self.recipe = recipe
        self.population = population
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags = get_tags(self.estimator).target_tags
        return tags

    def fit(self, X: Any, y: Any = None, **params: Any) -> Any:
        """Search, then fit the best candidate on all data.

        Raises:
            ValueError: the estimator needs y, but it is None.
        """
        if y is None and get_tags(self.estimator).target_tags.required:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None"
            )
        return super().fit(X, y, **params)

    def _run_search(
        self, evaluate_candidates: Callable[[list[dict[str, Any]]], dict[str, Any]]
    ) -> None:
        """scikit-learn's hook: takes candidates, returns all results so far."""
        seed = self.random_state
        if isinstance(seed, np.random.RandomState):
            seed = seed.randint(2**31)
        study = Study(
            recipe=self.recipe, population=self.population, maximize=True, max_evals=self.n_iter,
            seed=seed, space=self.param_distributions,
        )  # fmt: skip
        failure = None
        while trials := _candidates(study, self.population or 1):
            scores: Any = [self.error_score] * len(trials)
            try:
                scores = self._scores(evaluate_candidates([t.params or {} for t in trials]))
            except ValueError as error:
                # scikit-learn gives up where all fits of a call fail, which may be one candidate
                if not str(error).lstrip().startswith("All the"):
                    raise
                failure = error
                warnings.warn(str(error), FitFailedWarning, stacklevel=3)
            for trial, score in zip(trials, scores[-len(trials) :], strict=True):
                study.tell(trial, score)
        if failure is not None and not np.isfinite(study.result().fun):
            raise failure

    def _scores(self, results: Mapping[str, Any]) -> Any:
        """The mean score of each candidate so far."""
        mean = results.get(f"mean_test_{self.refit}", results.get("mean_test_score"))
        if mean is None:
            raise ValueError(
                f"refit={self.refit!r}: with several metrics, use the name of the one to maximise"
            )
        return mean


def _candidates(study: Study, most: int) -> list[Trial]:
    """The study's next trials, at most so many; none at its end."""
    trials: list[Trial] = []
    while len(trials) < most:
        trial = study.ask()
        if trial is None:
            break
        trials.append(trial)
    return trials


__all__ = ["SwarmSearchCV"]

__dir__ = __all__.copy
