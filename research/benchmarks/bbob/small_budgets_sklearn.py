"""Hyperparameters of scikit-learn's models on the data that comes with it, and mixtures of such
models.

Each is a name, a space as keyword arguments of `Range`, and what makes the function of a list of
values. Losses are those of one fixed split; training is seeded.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn import (
    datasets,
    ensemble,
    linear_model,
    metrics,
    model_selection,
    naive_bayes,
    neighbors,
    svm,
    tree,
)
from sklearn.kernel_ridge import KernelRidge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

Loss = Callable[[list[Any]], float]
ROWS = 400  # of a data set, at most
TINY = 1e-6


def halves(name: str) -> Any:
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(x))[:ROWS]
    stratify = None if name == "diabetes" else y[rows]
    return model_selection.train_test_split(
        x[rows], y[rows], test_size=0.5, random_state=0, stratify=stratify
    )


def tuned(data: str, make: Callable[..., Any]) -> Callable[[], Loss]:
    """The loss on the second half of a model trained on the first; the log loss where there are
    probabilities.
    """

    def made() -> Loss:
        train, test, train_y, test_y = halves(data)

        def loss(values: list[Any]) -> float:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = make_pipeline(StandardScaler(), make(*values)).fit(train, train_y)
                if data == "diabetes":
                    return float(metrics.mean_squared_error(test_y, model.predict(test)))
                if hasattr(model, "predict_proba"):
                    return float(metrics.log_loss(test_y, model.predict_proba(test)))
                return float(1 - model.score(test, test_y))

        return loss

    return made


def options(*values: Any) -> dict[str, Any]:
    return {"options": values}


def real(low: float, high: float) -> dict[str, Any]:
    return {"low": low, "high": high}


def log(low: float, high: float) -> dict[str, Any]:
    return {"low": low, "high": high, "log": True}


def whole(low: int, high: int, scale: bool = False) -> dict[str, Any]:
    return {"low": low, "high": high, "whole": True, "log": scale}


def _kernel_ridge(alpha: float, gamma: float, kernel: str, degree: int) -> Any:
    return KernelRidge(alpha=alpha, gamma=gamma, kernel=kernel, degree=degree)


def _svc(c: float, gamma: float, kernel: str, coef0: float) -> Any:
    return svm.SVC(C=c, gamma=gamma, kernel=kernel, coef0=coef0, max_iter=2000)


def _sgd(
    alpha: float, loss: str, penalty: str, ratio: float, eta: float, rate: str, passes: int
) -> Any:
    return linear_model.SGDClassifier(loss=loss, penalty=penalty, alpha=alpha, l1_ratio=ratio,
                                      eta0=eta, learning_rate=rate, max_iter=passes, tol=None,
                                      random_state=0)  # fmt: skip


def _tree(criterion: str, depth: int, leaf: int, split: int, alpha: float, features: float) -> Any:
    return tree.DecisionTreeClassifier(criterion=criterion, max_depth=depth, min_samples_leaf=leaf,
                                       ccp_alpha=alpha, min_samples_split=split,
                                       max_features=features, random_state=0)  # fmt: skip


def _trees(count: int, depth: int, leaf: int, features: float, bootstrap: bool) -> Any:
    return ensemble.RandomForestClassifier(count, max_depth=depth, min_samples_leaf=leaf,
                                           max_features=features, bootstrap=bootstrap,
                                           random_state=0)  # fmt: skip


def _neighbours(count: int, weights: str, power: float) -> Any:
    return neighbors.KNeighborsClassifier(count, weights=weights, p=power)


def _net(alpha: float, ratio: float, passes: int) -> Any:
    return linear_model.ElasticNet(alpha=alpha, l1_ratio=ratio, max_iter=passes)


TREE = (
    options("gini", "entropy"),
    whole(1, 20),
    whole(1, 50, True),
    whole(2, 50),
    log(1e-5, 0.1),
    real(0.1, 1),
)
SVC = (log(1e-3, 1e4), log(1e-5, 10), options("rbf", "poly", "sigmoid"), real(0, 2))
SGD = (log(1e-6, 1), options("log_loss", "modified_huber"), options("l1", "l2", "elasticnet"),
       real(0, 1), log(1e-4, 1), options("constant", "invscaling", "adaptive"),
       whole(1, 30, True))  # fmt: skip
HYPERPARAMETERS: list[tuple[str, tuple[dict[str, Any], ...], Callable[[], Loss]]] = [
    ("SVC-digits", SVC, tuned("digits", _svc)),
    ("SVC-cancer", SVC, tuned("breast_cancer", _svc)),
    ("tree-digits", TREE, tuned("digits", _tree)),
    ("tree-cancer", TREE, tuned("breast_cancer", _tree)),
    ("SGD-digits", SGD, tuned("digits", _sgd)),
    ("SGD-cancer", SGD, tuned("breast_cancer", _sgd)),
    ("kernel-ridge-diabetes", (log(1e-4, 100), log(1e-5, 10), options("rbf", "laplacian", "poly"),
                               whole(1, 4)),
     tuned("diabetes", _kernel_ridge)),
    ("neighbours-wine", (whole(1, 50), options("uniform", "distance"), real(1, 5)),
     tuned("wine", _neighbours)),
]  # fmt: skip


def mixed(data: str, members: int, error: bool = False) -> Callable[[], Loss]:
    """The loss of a weighted mean of models' probabilities; each was trained on some rows and
    columns.
    """

    def made() -> Loss:
        train, test, train_y, test_y = halves(data)
        random = np.random.default_rng(members)
        tables = []
        for i in range(members):
            rows = random.choice(len(train), len(train) // 3)
            columns = random.choice(train.shape[1], max(2, train.shape[1] // 3), replace=False)
            model = (
                naive_bayes.GaussianNB()
                if i % 2
                else tree.DecisionTreeClassifier(max_depth=4, random_state=i)
            )
            fitted = model.fit(train[np.ix_(rows, columns)], train_y[rows])
            table = np.zeros((len(test), int(train_y.max()) + 1))
            table[:, fitted.classes_] = fitted.predict_proba(test[:, columns])
            tables.append(table)

        def loss(values: list[float]) -> float:
            weights = np.array(values) + TINY
            mean = np.tensordot(weights / weights.sum(), np.array(tables), 1)
            if error:
                return float((mean.argmax(axis=1) != test_y).mean())
            return float(-np.log(np.clip(mean[np.arange(len(mean)), test_y], TINY, 1)).mean())

        return loss

    return made


MIXTURES = [
    (f"{data}-{members}{'-error' if error else ''}", (real(0, 1),) * members,
     mixed(data, members, error))
    for data, members, error in (
        ("digits", 10, False), ("digits", 8, False), ("breast_cancer", 5, False),
        ("wine", 5, False), ("wine", 10, False), ("breast_cancer", 10, False), ("digits", 6, True),
        ("digits", 10, True),
    )
]  # fmt: skip
