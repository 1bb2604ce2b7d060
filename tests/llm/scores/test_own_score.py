"""`utilities`: what a search for a score of one's own says before it begins, and what it lacks."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from search_helpers import louder, small

from pyswarmopt_llm.cli.running import print_plan
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.events import Event
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.report.findings import score_rows, verdict
from pyswarmopt_llm.report.progress import decided, price
from pyswarmopt_llm.report.run import search
from pyswarmopt_llm.scores.metrics.external.score_function import CallableUtility
from pyswarmopt_llm.searching.dry_run import dry_run_search
from pyswarmopt_llm.searching.prepare import prepare
from pyswarmopt_llm.searching.scoring.result import Result

FUNCTIONS = """
    from pyswarmopt_llm import score_of

    WORDS = {"dev": ["amber", "birch", "cedar"], "test": ["delta", "ember", "fjord"]}


    def items(engine, split="dev"):
        values = engine.loglikelihood([(engine.chat("Which?"), word) for word in WORDS[split]])
        return score_of([1 + value / 100 for value in values])


    def number(engine, split="dev"):
        return items(engine, split).value


    def no_split(engine):
        return items(engine)


    def of_two(prompt, reply):
        return 1.0


    def gone(engine, split="dev"):
        raise KeyError("no such column")
"""


@pytest.fixture
def config(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path, here: Path
) -> Iterator[SearchConfig]:
    (tmp_path / "own_scores_here.py").write_text(textwrap.dedent(FUNCTIONS))
    experts = louder(tiny_experts, tmp_path / "experts")
    yield small(tiny_base, experts, [], tmp_path / "run", max_iter=1, scoring="auto")
    sys.modules.pop("own_scores_here", None)


def with_score(config: SearchConfig, name: str, **more: Any) -> SearchConfig:
    return SearchConfig(**{**vars(config), "utilities": (f"own_scores_here:{name}",), **more})


def told(config: SearchConfig) -> tuple[list[tuple[str, str]], Any]:
    """(kind, text) of each event, and the result."""
    said = {"start": decided, "price": price}
    events: list[tuple[str, str]] = []

    def listen(event: Event) -> None:
        text = said.get(event.kind, lambda data: data.get("text", ""))(event.data)
        events.append((event.kind, text))

    found = search(config, listen)
    return events, found.result


def test_what_it_means_and_costs_is_said_before_the_first_iteration(config: SearchConfig) -> None:
    events, result = told(with_score(config, "no_split"))
    reasons = verdict(Result.from_json(result)).reasons
    assert any("nothing is held out" in reason for reason in reasons)
    assert "base_test" not in result and "base_dev" in result
    before = events[: next(i for i, (kind, _) in enumerate(events) if kind == "iteration")]
    notes = [text for _, text in before]
    assert any("5 particles, at most" in note for note in notes)
    (held_out,) = (text for text in notes if "nothing is held out" in text)
    assert 'write def no_split(engine, split="dev")' in held_out
    # After one evaluation, not after all experts.
    kinds = [kind for kind, text in events if kind == "evaluation" or "pace of the first" in text]
    assert kinds[:3] == ["evaluation", "price", "evaluation"]
    (price,) = (text for text in notes if "pace of the first" in text)
    assert price.startswith("about ") and "--budget-minutes M" in price


def test_with_items_it_has_the_statistics_of_any_task_and_the_row_of_the_base(
    config: SearchConfig,
) -> None:
    events, result = told(with_score(config, "items", budget_minutes=3))
    (price,) = (text for _, text in events if "pace of the first" in text)
    assert "budget-minutes" not in price
    assert result["objectives"]["items"]["held_out"] is True
    assert result["lead"]["test"]["n"] == 3 and result["intervals"]["best_test"] is not None
    assert not any("score_of" in reason for reason in verdict(Result.from_json(result)).reasons)
    job = prepare(with_score(config, "items", out="unused"))
    job.engine.load(Patch())
    for split in ("dev", "test"):
        (utility,) = job.utilities(split, {}).values()
        assert result[f"base_{split}"] == pytest.approx(utility(job.engine).value)
    found = Result.from_json(result)
    assert next(iter(score_rows(found).items())) == ("base", found.models["base"])
    assert f"it is ({result['base_test']:.3f})" in verdict(found).sentence


def test_of_one_number_the_verdict_says_what_is_missing_and_the_code_that_brings_it(
    config: SearchConfig,
) -> None:
    _, result = told(with_score(config, "number"))
    assert result["objectives"]["number"]["held_out"] is True
    reason = verdict(Result.from_json(result)).reasons[0]
    assert reason.startswith("number returns one number")
    assert "from pyswarmopt_llm import score_of" in reason and "return score_of([" in reason
    assert reason.split("`")[1] in (Path(config.out) / "report.html").read_text()


@pytest.mark.parametrize(("name", "held_out"), [("gone", True), ("no_split", False)])
def test_a_dry_run_does_not_call_it_and_says_so(
    config: SearchConfig, capsys: pytest.CaptureFixture[str], name: str, held_out: bool
) -> None:
    """`gone` raises when it is called."""
    spec = f"own_scores_here:{name}"
    plain = SearchConfig(config.base, config.experts, (), config.out, utilities=(spec,), threads=1)
    print_plan(dry_run_search(plain), as_json=False)
    assert not Path(config.out).exists()
    out = capsys.readouterr().out
    assert "at most 40 evaluations" in out
    assert f"{name} has no examples" in out
    assert ("nothing is held out" in out) is not held_out


def test_a_function_that_takes_no_engine_is_refused_before_anything_is_loaded(
    config: SearchConfig,
) -> None:
    assert CallableUtility("own_scores_here:items").has_test
    with pytest.raises(UserError, match="not an engine alone"):
        search(with_score(config, "of_two", base="no/such-base"))
    assert not Path(config.out).exists()
