"""A score that a model gives may be gamed: a plan says so, and a result how far it is from the
experts.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace as Stub
from typing import Any

import pytest
from search_helpers import swarm_llm

from pyswarmopt_llm import SearchConfig
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.searching.decide import make_plan
from pyswarmopt_llm.searching.written.replies import _answered


@pytest.mark.parametrize(("metric", "said"), [("judge", True), ("exact-match", False)])
def test_a_plan_says_where_a_model_rates_the_replies(
    metric: str,
    said: bool,
    tiny_base: Path,
    tiny_experts: list[Path],
    tmp_path: Path,
    judge_at: Callable[..., None],
) -> None:
    judge_at()
    rows = [f'{{"question": "{n}?", "answer": "{n}"}}\n' for n in range(60)]
    (tmp_path / "asks.jsonl").write_text("".join(rows))
    config = SearchConfig(
        str(tiny_base),
        tuple(map(str, tiny_experts)),
        (str(tmp_path / "asks.jsonl"),),
        str(tmp_path / "run"),
        metrics=(metric,),
    )
    assert ("gamed" in make_plan(config).why) == said


def test_a_judge_s_price_and_why_nothing_is_trained_are_said_beforehand(
    tiny_base: Path,
    tiny_experts: list[Path],
    tmp_path: Path,
    judge_at: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of 30 dev and 30 test prompts: each evaluation asks for the dev replies, the result, the best
    expert and the average once more for both, and so does the base.
    """
    judge_at()
    (tmp_path / "asks.txt").write_text("\n".join(f"Tell me of {n}." for n in range(60)))
    words = ["search", "--base", tiny_base, "--experts", *tiny_experts, "--dry-run", "--json"]
    words += ["--prompts", tmp_path / "asks.txt", "--metric", "judge"]
    code, out, err = swarm_llm(capsys, *words, "--out", tmp_path / "run", "--threads", "1")
    assert code == 0, err
    cost = json.loads(out)
    (priced,) = (note for note in cost["notes"] if "requests" in note)
    most = cost["evaluations"] * 30 + (2 * 30 + 3 * 30) + (30 + 30)
    assert priced.startswith(f"judge: at most {most:,} requests")
    (why,) = (note for note in cost["notes"] if "nothing is trained" in note)
    assert "`train on`" in why  # which the screen spells --set train=on


def test_one_short_reply_to_most_prompts_is_an_alarm() -> None:
    replies = iter([["a", "b", "c", "d"], ["a a", "a a", "a a", "d"]])
    utility: Any = Stub(
        items=[Item(turn, turn, None, "") for turn in "wxyz"],
        turns="wxyz",
        answers=lambda engine: next(replies),
        parts=lambda texts, engine: [{"": 1.0}] * 4,
    )
    job: Any = Stub(engine=Stub(load=print))
    assert _answered(job, utility, {"base": Patch(), "result": Patch()})[1] == ["result"]
