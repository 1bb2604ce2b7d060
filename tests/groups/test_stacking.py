"""The strategy `stacked`: weights of the members' log-probabilities, learned together on dev."""

from __future__ import annotations

import math
import random
from operator import eq

import numpy as np
import pytest
from member_helpers import context_of
from scipy.optimize import minimize

from pyswarmopt_groups.registry import load_strategy
from pyswarmopt_groups.voting.learned import fit_weights


def test_with_two_options_the_weights_are_those_of_scikit_learn() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    logs = np.log(rng.dirichlet([1, 1], size=(60, 3)).transpose(0, 2, 1))
    labels = rng.integers(0, 2, 60)
    model = linear_model.LogisticRegression(C=0.7, fit_intercept=False, tol=1e-10)
    model.fit(logs[:, 1] - logs[:, 0], labels)
    found = fit_weights(logs, np.ones((60, 2), dtype=bool), labels.tolist(), strength=0.7)
    assert found == pytest.approx(model.coef_[0], abs=1e-5)


def test_with_several_options_the_weights_minimise_the_loss_written_out_item_by_item() -> None:
    rng = np.random.default_rng(1)
    counts = rng.integers(2, 5, 30)
    # (options, members) of each item
    p = [rng.dirichlet(np.ones(count), size=3).T for count in counts]
    labels = [int(rng.integers(count)) for count in counts]
    logs, there = np.zeros((30, 4, 3)), np.zeros((30, 4), dtype=bool)
    for i, own in enumerate(p):
        logs[i, : len(own)], there[i, : len(own)] = np.log(own), True

    def loss(w: np.ndarray) -> float:
        total = sum(w**2) / 2
        for own, label in zip(p, labels, strict=True):
            pooled = np.prod(own**w, axis=1)
            total -= np.log(pooled[label] / pooled.sum())
        return float(total)

    plain = minimize(
        loss,
        np.zeros(3),
        method="Nelder-Mead",
        options={"xatol": 1e-8, "fatol": 1e-10, "maxiter": 4000},
    )
    assert fit_weights(logs, there, labels) == pytest.approx(plain.x, abs=1e-4)


def drawn(right: str, share: float, rng: random.Random) -> list[list[float]]:
    """Probabilities of a member that gives .8 to the right option of this share of items, else to a
    wrong one.
    """
    found = []
    for letter in right:
        place = "ABC".index(letter)
        choice = place if rng.random() < share else rng.choice([k for k in range(3) if k != place])
        found.append([0.8 if k == choice else 0.1 for k in range(3)])
    return found


def test_members_that_copy_one_another_count_once_and_one_that_lies_counts_against() -> None:
    rng = random.Random(2)
    right = "".join(rng.choice("ABC") for _ in range(600))
    good, other = drawn(right, 0.75, rng), drawn(right, 0.7, rng)
    weak = drawn(right, 0.55, rng)
    context = context_of(
        {"good": good, "other": other, "weak": weak, "copy": weak, "clone": weak}, right, dev=300
    )
    assert context.task is not None
    answers = {
        name: [verdict.answer for verdict in load_strategy(name).fit(context)(context.task.test)]
        for name in ("majority", "weighted", "stacked")
    }
    # Bayes' rule for three independent members with these shares, of three options.
    odds = [math.log(2 * share / (1 - share)) for share in (0.75, 0.7, 0.55)]
    rows = zip(good[300:], other[300:], weak[300:], strict=True)
    sums = [
        [sum(w for w, p in zip(odds, own, strict=True) if p[k] == 0.8) for k in range(3)]
        for own in rows
    ]
    bayes = ["ABC"[own.index(max(own))] for own in sums]
    agree = {name: sum(map(eq, own, bayes)) / 300 for name, own in answers.items()}
    assert (
        agree["stacked"] > 0.95
        and agree["stacked"] > agree["weighted"] + 0.05 > agree["majority"] + 0.1
    )

    liar = [[0.1 if k == "ABC".index(letter) else 0.45 for k in range(3)] for letter in right]
    context = context_of({"weak": weak, "liar": liar}, right, dev=300)
    assert context.task is not None
    verdicts = load_strategy("stacked").fit(context)(context.task.test)
    assert all(
        verdict.answer == item.answer
        for verdict, item in zip(verdicts, context.task.test, strict=True)
    )


def test_a_verdict_names_the_votes_and_how_many_agree() -> None:
    rows = [[0.8, 0.2], [0.3, 0.7], [0.9, 0.1], [0.2, 0.8]]
    context = context_of({"ann": rows, "bob": [[b, a] for a, b in rows]}, "ABAB", dev=2)
    assert context.task is not None
    found = load_strategy("stacked").fit(context)(context.task.test)
    assert [(one.answer, one.ballots, one.agreement) for one in found] == [
        ("A", ("A", "B"), 0.5),
        ("B", ("B", "A"), 0.5),
    ]
    assert [one.tokens for one in found] == [20, 20]
