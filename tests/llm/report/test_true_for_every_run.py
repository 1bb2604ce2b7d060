"""What report, table and verdict say holds for the run that they are of, the default without
iterations included.
"""

from __future__ import annotations

import pytest
from result_helpers import result_of

from pyswarmopt_llm.report.findings import score_rows
from pyswarmopt_llm.report.reading import Headroom, headroom
from pyswarmopt_rivals.comparison.table import cells
from pyswarmopt_rivals.methods import METHODS


def test_the_two_averages_name_their_spaces() -> None:
    result = result_of(uniform_dev=0.5, space="delta")
    assert "uniform average (space delta)" in score_rows(result)
    found = {"dev": 0.5, "test": 0.5, "item_evaluations": 0, "seconds": 0.0, "models": 1}
    found["tokens"] = None
    assert (
        cells("uniform-soup", found)[0]
        == f"uniform-soup (space {METHODS['uniform-soup'].spaces[0]})"
    )


def test_the_headroom_is_that_of_the_items_that_all_experts_were_scored_on() -> None:
    """By hand: of the four items all experts know (the last two dropped y), the best of each has 3 of 4,
    x alone 1, the result 2.
    """

    def found(x: str, y: str, best: str = "101011") -> Headroom | None:
        return headroom(result_of(items={"best_dev": best}, experts={"x": x, "y": y}))

    assert found("100011", "0110??") == Headroom(0.75, 0.25, 0.5, 0.5, 4, partial=True)
    whole = found("100011", "011000")
    assert whole is not None and not whole.partial and whole.n == 6
    assert whole.share == pytest.approx((4 / 6 - 3 / 6) / (5 / 6 - 3 / 6))
    assert found("1000??", "????11") is None  # no item that both were scored on
    assert headroom(result_of(items={"best_dev": "10"}, experts={"x": "10"})) is None
    alike = found("100011", "100011")
    assert alike is not None and alike.share is None
