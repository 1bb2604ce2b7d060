#!/usr/bin/env python3
"""The consensus game where both players have something to say: equilibrium ranking of the ten labels
of scikit-learn's digits (Jacob et al. 2023, arXiv 2310.09139), with classifiers in both parts.

The proposer was fitted on 60 labelled digits, P(label | correct), and on the same digits with wrong
labels, P(label | incorrect). The evaluator is a reward model: logistic regression on pairs of a
digit and a label, fitted on 200 pairs of other digits, half of them with a wrong label, P(correct |
label). `auc` is how often it thinks more of the right than of a wrong label of the same held-out
digit. Both are turned into policies as `game` does it. Controls: each player alone, the sum of
their logarithms, and an evaluator that was fitted on pairs whose verdicts were drawn by lot.
500 test digits, three draws. Draws that are in the outcomes are not made again.

    python research/benchmarks/groups/classifier_game.py --outcomes research/evidence/classifier-game.jsonl
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from pyswarmopt_groups.negotiation.consensus_game import equilibrium_ranking, initial_policy
from pyswarmopt_llm.common.files.regular import AppendLog

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
PROPOSED, JUDGED, TEST, LABELS = 60, 200, 500, 10
LETTERS = [str(label) for label in range(LABELS)]


@dataclass(frozen=True)
class Draw:
    """The digits of one draw, each a part of its own: inputs (n, 64) and labels."""

    proposer: tuple[Floats, Ints]
    evaluator: tuple[Floats, Ints]
    test: tuple[Floats, Ints]
    rng: np.random.Generator


def drawn(seed: int) -> Draw:
    """The digits of a draw, none of them in two parts."""
    rng = np.random.default_rng(seed)
    digits = load_digits()
    order = rng.permutation(len(digits.target))
    inputs, labels = digits.data[order] / 16, digits.target[order]
    ends = np.cumsum([PROPOSED, JUDGED, TEST])
    parts = zip([0, *ends[:-1]], ends, strict=True)
    return Draw(*((inputs[a:b], labels[a:b]) for a, b in parts), rng)


def wrong_labels(labels: Ints, rng: np.random.Generator) -> Ints:
    """Another label for each."""
    return (labels + rng.integers(1, LABELS, len(labels))) % LABELS


def proposer(draw: Draw) -> Floats:
    """Log P(label | signal), (n, 2, K), of the test digits."""
    inputs, labels = draw.proposer
    tables = []
    for taught in (labels, wrong_labels(labels, draw.rng)):
        model = LogisticRegression(max_iter=1_000).fit(inputs, taught)
        table = np.full((TEST, LABELS), -20.0)
        table[:, model.classes_] = model.predict_log_proba(draw.test[0])
        tables.append(table)
    return np.stack(tables, axis=1)


def pair_inputs(inputs: Floats, labels: Ints) -> Floats:
    """A digit and a label as one input, (n, 650): the digit in the label's place, and the label."""
    chosen = np.eye(LABELS)[labels]
    placed = (chosen[:, :, None] * inputs[:, None, :]).reshape(len(inputs), -1)
    return np.hstack([placed, chosen])


def evaluator(draw: Draw, by_lot: bool) -> Floats:
    """Log P(signal | label), (n, 2, K), of the test digits."""
    inputs, labels = draw.evaluator
    right = draw.rng.random(len(labels)) < 0.5
    shown = np.where(right, labels, wrong_labels(labels, draw.rng))
    verdicts = draw.rng.permutation(right) if by_lot else right
    model = LogisticRegression(max_iter=1_000).fit(pair_inputs(inputs, shown), verdicts)
    repeated = np.repeat(draw.test[0], LABELS, axis=0)
    pairs = pair_inputs(repeated, np.tile(np.arange(LABELS), TEST))
    incorrect, correct = model.predict_log_proba(pairs).T.reshape(2, TEST, LABELS)
    return np.stack([correct, incorrect], axis=1)


def auc(judged: Floats, labels: Ints) -> float:
    """The share of wrong labels, ties one half, that the evaluator finds worse than the right one.

    Args:
        judged: (n, 2, K), log P(correct) and log P(incorrect) of each label.
        labels: the right ones.

    Example:
        >>> auc(np.log([[[0.6, 0.5, 0.7], [0.4, 0.5, 0.3]]]), np.array([0]))
        0.5
    """
    odds = judged[:, 0] - judged[:, 1]
    mine = odds[np.arange(len(labels)), labels][:, None]
    better = (mine > odds) + 0.5 * (mine == odds)
    return float((better.sum(axis=1) - 0.5).mean() / (odds.shape[1] - 1))


def ranked(proposed: Floats, judged: Floats) -> tuple[Floats, Floats]:
    """The final policies for "correct" of proposer and evaluator, (n, K) each."""
    results = [
        equilibrium_ranking(LETTERS, initial_policy(mine, 0), initial_policy(theirs, 1))
        for mine, theirs in zip(proposed, judged, strict=True)
    ]
    return (
        np.array([result.proposer[0] for result in results]),
        np.array([result.evaluator[0] for result in results]),
    )


def rows(seed: int) -> Iterator[dict[str, Any]]:
    """A line for each ranking."""
    draw = drawn(seed)
    proposed, judged = proposer(draw), evaluator(draw, by_lot=False)
    lot = evaluator(draw, by_lot=True)
    by_proposer, by_evaluator = ranked(proposed, judged)
    by_proposer_lot, _ = ranked(proposed, lot)
    rankings = {
        "proposer alone": (proposed[:, 0], None),
        "evaluator alone": (judged[:, 0] - judged[:, 1], judged),
        "sum of their logarithms": (proposed[:, 0] + judged[:, 0], judged),
        "equilibrium, by the proposer (`game`)": (by_proposer, judged),
        "equilibrium, by the evaluator": (by_evaluator, judged),
        "equilibrium with an evaluator by lot": (by_proposer_lot, lot),
    }
    labels = draw.test[1]
    for name, (scores, said) in rankings.items():
        right = scores.argmax(axis=1) == labels
        line: dict[str, Any] = {"method": name, "task": "digits", "seed": seed}
        line["test"] = "".join(map(str, right.astype(int)))
        yield line if said is None else line | {"auc": auc(said, labels)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--outcomes", type=Path, required=True, help="JSONL file of outcomes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    log = AppendLog(args.outcomes)
    done = {row["seed"] for row in log.repaired()}
    for seed in args.seeds:
        for row in [] if seed in done else list(rows(seed)):
            log.append(row)


if __name__ == "__main__":
    main()
