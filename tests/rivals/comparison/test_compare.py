"""`swarm-llm compare` end to end on a tiny random base: what it writes, what it counts, how it goes
on.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats
from search_helpers import questions, swarm_llm, write_task

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_rivals.bench import Bench
from pyswarmopt_rivals.cli.compare import _scores
from pyswarmopt_rivals.comparison.config import CompareConfig
from pyswarmopt_rivals.comparison.contest import _fingerprints, compare, outcomes_in
from pyswarmopt_rivals.comparison.contestants import known_methods
from pyswarmopt_rivals.comparison.summary import _over_tasks
from pyswarmopt_rivals.comparison.table import next_command

SOME = ("uniform-soup", "best-single", "prediction-merge", "model-swarms", "nevergrad:RandomSearch")


@pytest.fixture(scope="module")
def shared(
    tiny_base: Path, experts: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What every call shares."""
    folder = tmp_path_factory.mktemp("compare")
    task = write_task(folder / "words.json", questions(8, 1), questions(12, 2))
    return {
        "base": str(tiny_base),
        "experts": tuple(map(str, experts)),
        "tasks": (str(task),),
        "out": str(folder / "out"),
        "methods": SOME,
        "seeds": 2,
        "budget_items": 80,
        "threads": 1,
        "scoring": "likelihood",
    }


@pytest.fixture(scope="module")
def whole(shared: dict[str, Any]) -> Any:
    """A comparison that was left in peace."""
    return compared(shared)


@pytest.fixture
def given(shared: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """The same, in another directory."""
    return {**shared, "out": str(tmp_path / "out")}


@pytest.fixture
def perplexity(tmp_path: Path) -> Path:
    """A task that another metric scores."""
    file = tmp_path / "texts.json"
    return write_task(file, questions(6, 3), questions(5, 4), metric="perplexity")


def compared(given: dict[str, Any], **changes: Any) -> Any:
    return compare(CompareConfig(**given | changes))


def evaluated(capsys: pytest.CaptureFixture[str], given: dict[str, Any], words: str) -> Any:
    """What `swarm-llm eval` says of a model of the base."""
    return json.loads(swarm_llm(capsys, *f"eval --base {given['base']} {words} --json".split())[1])


def lasting(folder: Path) -> list[dict[str, Any]]:
    """Outcomes without what a clock wrote, in any order."""
    rows = outcomes_in(folder)
    return sorted(({k: v for k, v in row.items() if k != "seconds"} for row in rows), key=str)


def test_every_method_takes_part_and_keeps_to_the_budget(
    given: dict[str, Any], tmp_path: Path
) -> None:
    data = {name: tmp_path / f"{name}.jsonl" for name in ("ant", "bee", "cat")}
    for name, file in data.items():
        said = {"user": f"Question: {name}?", "assistant": name}
        turns = [{"role": role, "content": text} for role, text in said.items()]
        file.write_text((json.dumps({"messages": turns}) + "\n") * 6)
    pairs = tuple(f"{name}={file}" for name, file in data.items())
    schedule = {"data_lr": 5e-4, "data_epochs": 2.0}
    changes = {"methods": ("all",), "seeds": 1, "budget_items": 60, "data": pairs, **schedule}
    config = CompareConfig(**given | changes)
    steps: list[Any] = []
    result = compare(config, lambda *step: steps.append(step))
    assert steps[0][2].startswith(f"{len(result['methods'])} runs: at most ")
    steps.clear()
    assert compare(config, lambda *step: steps.append(step)) == result
    assert not any("at most" in step[2] for step in steps)
    assert result["left_out"] == {
        "finetune-once": "training needs a budget of 80 examples",
        "finetune-best-once": "training needs a budget of 104 examples",
        "item-model+dev": "training and scoring the experts need a budget of 464 examples",
    }
    assert set(result["methods"]) == set(known_methods()) - result["left_out"].keys()
    for name, row in result["methods"].items():
        assert 0 <= row["dev"] <= 1 and 0 <= row["test"] <= 1, name
        assert row["item_evaluations"] <= 60, name
        low, high = row["test_interval"]
        assert low <= row["test"] <= high, name
    assert result["methods"]["uniform-soup"]["item_evaluations"] == 0
    # seven times eight dev items
    assert result["methods"]["model-swarms"]["item_evaluations"] == 56
    tests = [row["test"] for row in result["methods"].values()]
    assert tests == sorted(tests, reverse=True)


def test_a_comparison_that_is_stopped_goes_on_to_the_same_end(
    given: dict[str, Any],
    shared: dict[str, Any],
    whole: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stopped in the middle of a search, again and again; nothing that was scored is asked
    again.
    """
    from pyswarmopt_llm.engine.transformers import TransformersEngine

    asked = TransformersEngine.loglikelihood
    calls: list[int] = []

    def stopping(engine: Any, pairs: Any) -> Any:
        calls.append(len(pairs))
        if len(calls) % 9 == 0:
            raise KeyboardInterrupt
        return asked(engine, pairs)

    monkeypatch.setattr(TransformersEngine, "loglikelihood", stopping)
    again = None
    for _ in range(20):
        with suppress(KeyboardInterrupt):
            again = again or compared(given)
    assert len(calls) > 18  # it was stopped more than once
    assert lasting(Path(given["out"])) == lasting(Path(shared["out"]))
    passing = {"config": None, "seconds": None}
    for name, row in again["methods"].items():
        assert row | passing == whole["methods"][name] | passing


MINE = """
from pyswarmopt_llm.mix import build_space

def even(settings):
    space = build_space(settings.space, settings.experts)
    return space.realise(space.vertices().mean(0))

def nothing(settings):
    return None
"""


def test_a_method_of_ones_own_competes_and_is_not_mixed_with_its_earlier_self(
    given: dict[str, Any], tmp_path: Path
) -> None:
    """The soup, written once more."""
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    name = f"{file}:even"
    found = compared(given, methods=("uniform-soup", name), seeds=1)["methods"]
    for key in ("dev", "test"):
        assert found[name][key] == found["uniform-soup"][key]
    with pytest.raises(UserError, match="returned NoneType"):
        compared(given, methods=(f"{file}:nothing",), out=str(tmp_path / "other"))
    file.write_text(MINE.replace("mean(0)", "sum(0)"))
    with pytest.raises(UserError, match="has changed since"):
        compared(given, methods=(name,), seeds=1)


def by_signs(difference: Any) -> float:
    """The permutation test of 12 differences, which is McNemar's."""
    signs = np.array(np.meshgrid(*[[-1, 1]] * 12)).reshape(12, -1)
    return float(np.mean(np.abs(difference @ signs) >= abs(difference.sum()) - 1e-9))


def by_student(differences: Any) -> float:
    """The level at which the interval over items, with a pseudo-item either way, and seeds ends at 0."""
    items = [*differences.mean(0), 0.5**0.5, -(0.5**0.5)]
    samples = (items, differences.mean(1))

    def beyond(p: float) -> float:
        halves = [stats.sem(x) * stats.t.isf(p / 2, len(x) - 1) for x in samples]
        return float(np.hypot(*halves) - abs(np.mean(items)))

    return float(optimize.brentq(beyond, 1e-9, 1.0))


def test_the_figures_are_those_of_the_items(shared: dict[str, Any], whole: Any) -> None:
    """Means, differences and permutation test from the outcomes, by other means."""
    result, rows = whole, outcomes_in(Path(shared["out"]))
    by_method: dict[str, list[Any]] = {}
    for row in sorted(rows, key=lambda row: row["seed"]):
        scores = [list(map(int, row[split])) for split in ("dev", "test")]
        by_method.setdefault(row["method"], []).append(scores)
    single = np.array(by_method["best-single"][0][1])
    for name, row in result["methods"].items():
        own = by_method[name]
        assert row["dev"] == pytest.approx(np.mean([dev for dev, _ in own]))
        assert row["test_seeds"] == pytest.approx([np.mean(test) for _, test in own])
        if name != "best-single":
            differences = np.array([test for _, test in own]) - single
            assert row["against_single"]["difference"] == pytest.approx(differences.mean())
            alike = not np.ptp(differences, axis=0).any()
            p = by_signs(differences[0]) if alike else by_student(differences)
            assert row["against_single"]["p"] == pytest.approx(p)
    best = next(iter(result["methods"]))
    assert all(
        row["against_rival"]["method"] == best
        for name, row in result["methods"].items()
        if name != best
    )


def test_two_tasks_share_one_base_and_have_a_table_over_both(
    given: dict[str, Any], tmp_path: Path
) -> None:
    second = write_task(tmp_path / "more.json", questions(6, 3), questions(10, 4))
    result = compared(given, tasks=(*given["tasks"], str(second)), seeds=1)
    assert set(result["tasks"]) == {"words", "more"}
    for name, row in result["methods"].items():
        both = [result["tasks"][task]["methods"][name]["test"] for task in ("words", "more")]
        assert row["test"] == pytest.approx(np.mean(both))
    text = (Path(given["out"]) / "compare.md").read_text()
    assert "## Mean over 2 tasks" in text and "## words" in text and "## more" in text
    page = (Path(given["out"]) / "compare.html").read_text()
    assert page.count("<table") == 3
    assert not any(word in page for word in ("http:", "https:", "<script"))


def test_a_rule_competes_at_full_rank_and_as_the_adapter_that_merge_writes(
    given: dict[str, Any], perplexity: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By perplexity, which tells the two apart; a LoRA of the matrices' own size is the rule's
    result uncut.
    """
    names = ("ties", "ties:adapter", "task-arithmetic", "task-arithmetic:adapter")
    rows = compared(given, tasks=(str(perplexity),), methods=names, dtype="float32")["methods"]
    assert [rows[name]["rank"] for name in names] == ["full", 12, 12, 12]  # three of rank 4
    assert rows["task-arithmetic:adapter"]["relative_error"] == 0.0  # a sum is exact
    assert rows["task-arithmetic"]["test"] == rows["task-arithmetic:adapter"]["test"]
    common = ["--base", given["base"], "--experts", *given["experts"], "--method", "ties", "--json"]
    found = {}
    for name, rank in (("ties", ["--rank", "32"]), ("ties:adapter", [])):
        out = tmp_path / f"{len(found)}"
        merged = json.loads(swarm_llm(capsys, "merge", *common, *rank, "--out", out)[1])
        lost = rows[name]["relative_error"]
        assert lost == pytest.approx(merged["relative_error"])
        words = f"--adapter {out} --task {perplexity} --dtype float32"
        found[name] = evaluated(capsys, given, words)["value"]
        assert rows[name]["test"] == pytest.approx(found[name], rel=1e-4)
    assert found["ties"] != pytest.approx(found["ties:adapter"], rel=1e-3)
    table = (Path(given["out"]) / "compare.md").read_text()
    assert f"| 12, {lost:.1%} cut |" in table and "| full |" in table


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("best-single", None),
        ("ties:adapter", "merge --base B --experts x y --method ties --out runs/a-ties"),
        ("lorahub", "--out runs/a-lorahub --columns label=team --budget-items 99 --task t.csv"),
        ("nevergrad:CMA", "--optimizer nevergrad:CMA --dev 40 --columns label=team --train off"),
        ("model-swarms", "--paper --dev 40 --columns label=team"),
        ("item-model", "--dev 40 --columns label=team --train off"),
        ("item-model+dev", "--dev 40 --columns label=team"),
        ("prediction-merge", None),
    ],
)
def test_a_comparison_ends_with_the_command_that_makes_the_best_result(
    method: str, words: str | None
) -> None:
    given = {"columns": ("label=team",), "dev": 40, "budget_items": 99}
    config = CompareConfig("B", ("x", "y"), ("t.csv",), "runs/a", **given)
    rows = {method: {"test": 0.7, "dev": 0.6}, "slerp": {"test": 0.5, "dev": 0.9}}
    command = next_command({"methods": rows, "config": asdict(config)})
    assert command is words or (command or "").endswith(words or "none"), command


def test_the_next_command_scores_as_the_comparison_did() -> None:
    given = {"metrics": ("check.py:check",), "max_new_tokens": 6}
    config = CompareConfig("B", ("x", "y"), ("t.csv",), "runs/a", **given)
    result = {"methods": {"item-model": {"test": 0.7}}, "config": asdict(config)}
    assert "--metric check.py:check --max-new-tokens 6" in (next_command(result) or "")
    assert next_command(result | {"methods": {"lorahub": {"test": 0.7}}}) is None


def test_a_length_has_no_minus_sign_and_the_shortest_is_first(given: dict[str, Any]) -> None:
    """As people read it: the outcomes have the other sign."""
    steps: list[Any] = []
    how = {"methods": ("uniform-soup", "best-single", "ties"), "metrics": ("tokens",)}
    config = CompareConfig(**given | how | {"scoring": "auto", "max_new_tokens": 8})
    result = compare(config, lambda *step: steps.append(step))
    means = {row["method"]: -np.mean(row["test"]) for row in outcomes_in(Path(config.out))}
    assert {name: row["test"] for name, row in result["methods"].items()} == means
    assert [row["test"] for row in result["methods"].values()] == sorted(means.values())
    low, high = result["methods"]["ties"]["test_interval"]
    assert 0 <= low <= means["ties"] <= high
    pair = result["methods"]["ties"]["against_single"]
    assert pair["difference"] == pytest.approx(means["ties"] - means["best-single"])
    assert pair["interval"][0] <= pair["difference"] <= pair["interval"][1]
    assert (result["better"], result["unit"]) == ("lower", "tokens")
    assert "by tokens (lower is better)" in (Path(config.out) / "compare.md").read_text()
    assert _scores(steps[-1][3]).startswith(f"dev {-np.mean(steps[-1][3]['dev']):.3f}, test ")


def test_scores_of_another_judge_are_another_comparison(bench: Bench) -> None:
    strict = replace(bench, metric=replace(bench.metric, depends="a rubric"))
    assert _fingerprints([bench]) != _fingerprints([strict])


def test_a_score_of_0_on_test_comes_last() -> None:
    """Whatever it is on dev."""
    rows: dict[str, Any] = {}
    for name, dev, test in (("lucky", 0.9, 0.0), ("solid", 0.4, 0.5)):
        rows[name] = {"dev": dev, "test": test, "seeds": 1, "models": 1}
        rows[name] |= dict.fromkeys(("item_evaluations", "seconds"), 0.0)
        rows[name] |= dict.fromkeys(("dev_interval", "test_interval"), (0.0, 1.0))
    assert list(_over_tasks([rows])) == ["solid", "lucky"]
