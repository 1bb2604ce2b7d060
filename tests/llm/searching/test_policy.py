"""The race of the experts: who drops out, and what a search does when it is decided; dropped
evaluations, proposals and budgets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from search_helpers import Hull, Position, history

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.scores.metrics.combine import harmonic
from pyswarmopt_llm.searching import find as race_module
from pyswarmopt_llm.searching.find import Start, begin, draw_shares, eliminated, explore
from pyswarmopt_llm.searching.plan import Budget
from pyswarmopt_llm.searching.scoring.run_directory import About, Journal, Run
from pyswarmopt_llm.searching.scoring.scorer import Evaluator, Scorer
from pyswarmopt_llm.searching.surrogate import Surrogate

_SUMS = [[0.0] * 3, [1 / 3] * 3, [1.0] * 3]


def test_a_candidate_drops_out_by_the_paired_difference_and_what_is_left_of_the_items() -> None:
    leader, values = np.repeat([1.0, 0.0], [20, 5]), np.repeat([1.0, 0.0, 1.0], [11, 12, 2])
    # 9 lost, 2 gained of 25: mean .28, variance (9 + 2 - 25 * .28**2 + 1) / 26 = .38615
    error = (0.38615 / 25) ** 0.5
    assert eliminated(values, leader, 10**6) is (3 * error < 0.28) is False
    # of 40 items in all the error is sqrt(15 / 40) of that
    assert eliminated(values, leader, 40) is (3 * error * (15 / 40) ** 0.5 < 0.28) is True
    assert not eliminated(leader, leader, 25)


class Skills:
    """Item i is right if the position's weights of the experts that know it outweigh the others."""

    def __init__(self, known: Sequence[float]) -> None:
        self._knows = np.random.default_rng(0).random((100, len(known))) < np.array(known)
        self.asked, self.n = 0, 100

    def __call__(self, engine: Any, places: Sequence[int] | None = None) -> Score:
        chosen = list(range(self.n) if places is None else places)
        self.asked += len(chosen)
        margins = (self._knows - 0.5)[chosen] @ engine.x.numpy()
        return replace(score_of(margins > 0), margins=tuple((float(m),) for m in margins))


def test_a_share_and_then_the_others_is_all_items_at_once() -> None:
    """Nothing is scored twice; what is not scored counts as wrong."""
    tasks = {"one": Skills((0.6, 0.7)), "two": Skills((0.9, 0.4))}
    scorers = [
        Scorer(Journal(), Evaluator(Hull(2), Position(), tasks, harmonic, margins=True))  # type: ignore[arg-type]
        for _ in range(2)
    ]
    x = torch.tensor([0.5, 0.8], dtype=torch.float64)
    (whole,) = scorers[0].score([x], 0)
    first, second, *_ = draw_shares({"one": 100, "two": 100}, seed=1)
    for share in (first, second):
        (row,) = scorers[1].score([x], 0, share=share)
        items = {name: np.array(row.item_values(name)) for name in tasks}
        assert all((np.isnan(items[name]) == ~share[name]).all() for name in tasks)
        least = [score_of(np.nan_to_num(values)) for values in items.values()]
        assert row.value == harmonic(least).value and not row.complete
    assert scorers[1].score([x], 0, share=first) == [row]  # enough is known
    (row,) = scorers[1].score([x], 0)
    assert (row.value, row.items, row.margins) == (whole.value, whole.items, whole.margins)
    assert row.complete and scorers[1].item_evaluations == scorers[0].item_evaluations == 200


def scorer_of(run: Journal, utility: Skills) -> Scorer:
    """A scorer of three experts, in memory or in a run directory."""
    return Scorer(run, Evaluator(Hull(3), Position(), {"t": utility}, harmonic, margins=True))  # type: ignore[arg-type]


def fly(
    run: Path, known: Sequence[float], races: bool = True
) -> tuple[Start, Surrogate, Scorer, Skills]:
    """A default search over three experts that know these shares of 100 items."""
    utility, seed = Skills(known), 3
    config = SearchConfig("b", ("x", "y"), ("t",), "r", seed=seed, method="items")
    opened = Run(run) if run.exists() else Run.create(run, About(config, {}))
    opened.begin()  # as under its lock
    scorer = scorer_of(opened, utility)
    starts = torch.cat([torch.eye(3), torch.tensor(_SUMS)]).double()
    shares = draw_shares({"t": 100}, seed) if races else []
    start = begin(scorer, Hull(3).vertices(), starts, shares)
    proposer = Surrogate(
        "items",
        starts[[*start.numbers]],
        start.numbers,
        Hull(3).expert_names,
        ["t"],
        harmonic,
        0 if start.decided else 6,
        floor=start.value,
    )
    explore(proposer, scorer, Budget(None, None))
    return start, proposer, scorer, utility


def test_where_one_expert_is_far_ahead_the_others_drop_out_and_nothing_is_proposed(
    tmp_path: Path,
) -> None:
    start, proposer, scorer, utility = fly(tmp_path / "run", (0.9, 0.4, 0.5))
    assert start.decided and proposer.stop() == {"proposals": 0} and start.single == 0
    assert scorer.item_evaluations == utility.asked < 100 + 5 * 64
    latest = {row.particle: row for row in scorer.rows}
    assert {number for number, row in latest.items() if row.complete} <= {0, 4, 5}
    assert latest[0].complete
    for number in (1, 2):
        values = [v for v in latest[number].item_values("t") if v == v]
        assert len(values) in (16, 32, 64) and latest[number].value == sum(values) / 100
        assert latest[number].score("t").value == np.mean(values)
        assert start.experts[number] == latest[number]
    best = proposer.best()
    assert best.value == max(row.value for row in latest.values() if row.complete)
    # Again, from any line on: the same rows.
    journal = tmp_path / "run" / "results.jsonl"
    lines, whole = journal.read_bytes().splitlines(keepends=True), history(tmp_path / "run")
    for kept in range(len(lines)):
        journal.write_bytes(b"".join(lines[:kept]))
        fly(tmp_path / "run", (0.9, 0.4, 0.5))
        again = history(tmp_path / "run")
        assert [{**row, "seconds": 0} for row in again] == [{**row, "seconds": 0} for row in whole]


def test_of_a_large_pool_a_race_leaves_as_many_as_a_model_can_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Twelve experts, of which four may stay; one of those that know nothing drops out first."""
    monkeypatch.setattr(race_module, "MOST_COEFFICIENTS", 4)
    utility = Skills((0.7, 0.6, 0.1, 0.6, 0.1, 0.65, 0.1, 0.5, 0.1, 0.1, 0.3, 0.2))
    scorer = Scorer(
        Journal(), Evaluator(Hull(12), Position(), {"t": utility}, harmonic, margins=True)
    )  # type: ignore[arg-type]
    experts = Hull(12).vertices()
    sums = torch.stack([experts[0] * 0, experts.mean(0), experts.sum(0)])
    starts = torch.cat([experts, sums])
    start = begin(scorer, experts, starts, draw_shares({"t": 100}, 3))
    complete = [number for number, row in enumerate(start.experts) if row.complete]
    assert len(complete) == 4 and not {*complete} & {*start.dropped}
    assert {*start.numbers} == {*complete, 12}  # with the base; average and sum have all experts
    proposer = Surrogate(
        "items",
        starts[[*start.numbers]],
        start.numbers,
        Hull(12).expert_names,
        ["t"],
        harmonic,
        6,
        floor=start.value,
        left_out=start.dropped,
    )
    explore(proposer, scorer, Budget(None, None))
    proposed = [row for row in scorer.rows if row.iteration == 1]
    assert len(proposed) == 6
    for row in proposed:
        assert not any(row.coefficients[number] for number in start.dropped)


def test_a_race_in_which_the_first_share_drops_nobody_is_over() -> None:
    scorer = scorer_of(Journal(), Skills((0.6, 0.6, 0.6)))
    _, left = race_module.race(scorer, Hull(3).vertices(), draw_shares({"t": 100}, 3))
    assert left == [0, 1, 2] and scorer.item_evaluations == 3 * 16


def test_of_a_large_pool_without_a_race_all_are_scored_and_the_best_are_mixed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(race_module, "MOST_COEFFICIENTS", 2)
    experts = Hull(3).vertices()
    start = begin(scorer_of(Journal(), Skills((0.9, 0.1, 0.8))), experts, experts, [])
    assert all(row.complete for row in start.experts)
    assert start.dropped == [1] and start.numbers == [0, 2]


def test_a_stored_value_that_is_not_that_of_its_items_is_refused() -> None:
    """An accuracy of 2.33, edited into results.jsonl."""
    journal, utility = Journal(), Skills((0.9, 0.4, 0.5))
    x = Hull(3).vertices()[0]
    (row,) = scorer_of(journal, utility).score([x], 0)
    assert scorer_of(journal, utility).score([x], 0) == [row]
    journal.store.known["search", row.key] = {**row.to_json(), "value": 2.33}
    with pytest.raises(UserError, match=r"value 2\.33 does not match its items"):
        scorer_of(journal, utility).score([x], 0)
