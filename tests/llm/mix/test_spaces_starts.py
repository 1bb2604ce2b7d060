"""Where a search begins: the paper's segments, or sums; what goes together with what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from search_helpers import history

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.experts.adapter import load_adapter, read_adapter
from pyswarmopt_llm.mix import build_space, space_kind
from pyswarmopt_llm.mix.starts import check_start, starting_points, sums
from pyswarmopt_llm.searching.loop import search


@given(st.integers(2, 12), st.integers(0, 30), st.integers(0, 99))
def test_sums_are_positive_with_totals_within_bounds(n: int, count: int, seed: int) -> None:
    weights = sums(n, count, seed)
    assert weights.dtype == torch.float64 and bool((weights >= 0).all())
    totals = weights.sum(-1)
    assert bool(((totals >= 0.5 - 1e-12) & (totals <= 1 + n / 3 + 1e-12)).all())
    assert torch.equal(sums(n, count, seed), weights)


def test_totals_are_uniform_and_shares_uniform_on_the_simplex() -> None:
    """Kolmogorov and Smirnov's test; of three shares uniform on the simplex each is Beta(1, 2)."""
    weights = sums(3, 4000, 0).numpy()
    totals = weights.sum(1)
    assert stats.kstest(totals, stats.uniform(0.5, 1.5).cdf).pvalue > 0.01
    for share in (weights / totals[:, None]).T:
        assert stats.kstest(share, stats.beta(1, 2).cdf).pvalue > 0.01
    assert abs(np.corrcoef(totals, weights[:, 0] / totals)[0, 1]) < 0.05


def test_sums_fill_up_the_population(tiny_experts: list[Path]) -> None:
    experts = [load_adapter(read_adapter(path)) for path in tiny_experts]
    n = len(experts)
    delta, factor = build_space("delta", experts), build_space("factor", experts)
    for start, space, summed in (
        ("sums", delta, True),
        ("segments", factor, False),
        ("sums", factor, True),
        ("segments", delta, False),
        ("even", delta, True),
    ):
        positions = starting_points(space, start, n + 5, 3)
        assert torch.equal(positions[:n], torch.eye(n, dtype=torch.float64))
        assert len(positions) == (n + 5 if summed else n)  # segments are drawn by the optimizer
    assert len(starting_points(delta, "sums", 1, 0)) == n
    even = starting_points(delta, "even", n + 5, 3)[n:]
    assert (
        even[:3].sum(1).tolist() == pytest.approx([0, 1, n])
        and len({tuple(x) for x in even[:3].tolist()}) == 3
    )
    assert torch.equal(even[3:], starting_points(delta, "sums", n + 2, 3)[n:])


@pytest.mark.parametrize(
    ("more", "summed"),
    [
        ({"space": "delta"}, True),
        ({"space": "delta", "start": "segments"}, False),
        ({"space": "delta", "compat": "reference"}, False),
        ({"space": "factor"}, False),
        ({"space": "factor", "start": "sums"}, True),
        ({"space": "delta", "optimizer": "pycma"}, False),
    ],
)
def test_what_a_search_begins_with(
    more: dict[str, str], summed: bool, words_search: Callable[..., SearchConfig]
) -> None:
    config = words_search(6, 6, particles=8, max_iter=1, **more)
    search(config)
    rows = [
        row
        for row in history(Path(config.out))
        if row["phase"] == "search" and row["iteration"] == 0
    ]
    totals = [sum(row["coefficients"]) for row in rows]
    assert totals[:3] == pytest.approx([1.0] * 3)
    if more.get("optimizer") != "pycma":  # which asks the experts alone, in a round of their own
        rest = totals[3:]
        assert rest and all(abs(total - 1) > 1e-6 for total in rest) == summed


def test_starts_that_do_not_exist_are_refused() -> None:
    check_start("sums", space_kind("delta"))
    for start, space in (("none", "delta"), ("sums", "token")):
        with pytest.raises(UserError, match="start"):
            check_start(start, space_kind(space))
