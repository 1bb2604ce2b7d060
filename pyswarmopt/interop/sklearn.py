"""A search for scikit-learn's estimators: `SwarmSearchCV` replaces `RandomizedSearchCV`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils import get_tags

from pyswarmopt._minimize import maximize

if TYPE_CHECKING:
    from pyswarmopt.algorithms.recipe import Recipe


class SwarmSearchCV(BaseSearchCV):
    """Search an estimator's hyperparameters by cross-validation, with `pyswarmopt.maximize`.

    After `fit` it has the attributes and methods of scikit-learn's searches: `best_params_`,
    `best_score_`, `best_estimator_`, `cv_results_`, `predict`, ...

    Args:
        estimator: estimator to fit.
        param_distributions: parameters by name; see `pyswarmopt.Space`. An inactive parameter
            (`pso.when`) keeps the estimator's default.
        n_iter: maximum number of candidates; each is fitted once per fold, and none is repeated.
        recipe: see `pyswarmopt.minimize`.
        random_state: seed of the search; a `numpy.random.RandomState` draws one.
        scoring: as in `sklearn.model_selection.RandomizedSearchCV`; so are the remaining arguments.
            With several metrics, the one that `refit` names is maximised.
        n_jobs: number of processes. With up to 20 parameters, the first candidates (5 per
            parameter, or 200 with integers or categories) are proposed one at a time, so at first
            no more processes are busy than there are folds.
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
        if self.n_iter < 2:
            raise ValueError(f"n_iter must be at least 2, got {self.n_iter}")
        scores = _Scores(evaluate_candidates, self.refit, self.error_score)
        seed = self.random_state
        if isinstance(seed, np.random.RandomState):
            seed = seed.randint(2**31)
        # the last call repeats the best point, whose score is known
        maximize(
            scores, recipe=self.recipe, max_evals=self.n_iter + 1, seed=seed, vectorized=True,
            space=self.param_distributions,
        )  # fmt: skip
        if len(scores.failures) == len(scores.known):
            raise next(reversed(scores.failures.values()))


class _Scores:
    """The mean scores of candidates, each of which is fitted once.

    Args:
        evaluate: takes candidates, returns all results so far.
        refit: metric to maximise.
        error_score: score of a candidate whose fits all fail.

    Attributes:
        known: candidate -> its score.
        failures: candidate -> why none of its fits ended.
    """

    def __init__(
        self,
        evaluate: Callable[[list[dict[str, Any]]], dict[str, Any]],
        refit: Any,
        error_score: Any,
    ) -> None:
        self._evaluate = evaluate
        self._refit = refit
        self._error_score = error_score
        self.known: dict[Hashable, float] = {}
        self.failures: dict[Hashable, ValueError] = {}

    def __call__(self, candidates: list[dict[str, Any]]) -> list[float]:
        keys = [_identity([*params.items()]) for params in candidates]
        new = {
            key: params
            for key, params in zip(keys, candidates, strict=True)
            if key not in self.known
        }
        if new:
            self.known |= zip(new, self._scored(new), strict=True)
        return [self.known[key] for key in keys]

    def _scored(self, new: Mapping[Hashable, dict[str, Any]]) -> list[float]:
        """The scores of candidates, which are fitted."""
        try:
            results = self._evaluate(list(new.values()))
        except ValueError as error:
            # scikit-learn gives up where all fits of a call fail, which may be one candidate
            if not str(error).lstrip().startswith("All the"):
                raise
            self.failures |= dict.fromkeys(new, error)
            warnings.warn(str(error), FitFailedWarning, stacklevel=3)
            return [float(self._error_score)] * len(new)
        mean = results.get(f"mean_test_{self._refit}", results.get("mean_test_score"))
        if mean is None:
            raise ValueError(
                f"refit={self._refit!r}: with several metrics, use the name of the one to maximise"
            )
        scores: list[float] = mean[-len(new) :].tolist()
        return scores


def _identity(value: Any) -> Hashable:
    """The identity of a candidate or a part of it: numbers and words by type and value, lists by
    their items, other choices by the object in the space, since two may be equal or print alike and
    still differ.
    """
    if isinstance(value, list | tuple):
        return type(value), *map(_identity, value)
    if type(value) in (int, float, str):
        return type(value), value
    return type(value), id(value)


__all__ = ["SwarmSearchCV"]


def __dir__() -> list[str]:
    return __all__
