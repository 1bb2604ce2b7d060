"""Several scores of one reply: their names, their units, and that replies are written once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fake_engine import FakeEngine
from search_helpers import Json, small, write_task
from transformers import AutoTokenizer

from pyswarmopt_llm.api import search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.metrics.by_name import find_metric
from pyswarmopt_llm.scores.metrics.objectives import Objectives, load_objectives
from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.searching.decide import make_plan
from pyswarmopt_llm.use.evaluate import evaluate_model

BOTH = "def both(reply):\n    return {'first': len(reply), 'last': reply.count('e')}\n"


@pytest.fixture
def setting(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> Callable[..., SearchConfig]:
    """A search for written replies, with a function of two entries."""
    (tmp_path / "mine.py").write_text(BOTH)
    items: list[Json] = [{"question": f"Tell {k}", "answer": "7"} for k in range(9)]
    write_task(tmp_path / "a.json", items[:5], items[5:])
    write_task(tmp_path / "b.json", items[2:6], items[:2])

    def config(*metrics: str, tasks: str = "a", **more: Any) -> SearchConfig:
        files = [tmp_path / f"{name}.json" for name in tasks]
        specs = tuple(metric.replace("mine.py", f"{tmp_path}/mine.py") for metric in metrics)
        how: Json = {"scoring": "auto", "method": "scores", "dtype": "float32", "max_iter": None}
        how |= {"particles": None, "proposals": 0, "max_new_tokens": 5, "train": "off"}
        return small(tiny_base, tiny_experts, files, tmp_path / "run", **how | more, metrics=specs)

    return config


def names(config: SearchConfig) -> dict[str, tuple[str, str]]:
    """Name of each score -> its task and metric."""
    found: Objectives = load_objectives(config)
    return {n: (found.tasks[n].name, m.name.rpartition("/")[2]) for n, m in found.metrics.items()}


def test_scores_are_called_by_task_or_by_metric(setting: Callable[..., SearchConfig]) -> None:
    by: Json = {"combine": "weighted:1,1,1"}
    assert names(setting("f1")) == {"a": ("a", "f1")}
    assert names(setting("f1", "mine.py:both#last", "tokens", **by)) == {
        "f1": ("a", "f1"),
        "last": ("a", "mine.py:both#last"),
        "tokens": ("a", "tokens"),
    }
    assert names(setting("b=f1", "b=tokens", "numeric", tasks="ab", **by)) == {
        "a": ("a", "numeric"),
        "b f1": ("b", "f1"),
        "b tokens": ("b", "tokens"),
    }


def test_the_longest_reply_is_long_enough_for_every_score(
    setting: Callable[..., SearchConfig],
) -> None:
    config = setting("numeric", "tokens", combine="weighted:1,1", max_new_tokens=None)
    metrics = load_objectives(config).metrics
    assert {metric.new_tokens for metric in metrics.values()} == {256}


def test_both_scores_are_those_of_the_files_and_tokens_are_the_tokenizers(
    setting: Callable[..., SearchConfig], tiny_base: Path
) -> None:
    config = setting("mine.py:both#first", "tokens", combine="weighted:1,0.5")
    run = search(config)
    tasks = run.result["tasks"]
    assert (tasks["tokens"]["unit"], tasks["tokens"]["better"]) == ("tokens", "lower")
    assert (tasks["first"]["unit"], tasks["first"]["better"]) == ("", "higher")
    asked: Json = {"dtype": "float32", "threads": 1, "max_new_tokens": 5}
    best = str(run.run / "best")
    found = {
        name: evaluate_model(str(tiny_base), best, config.tasks[0], metric=metric, **asked)
        for name, metric in zip(tasks, config.metrics, strict=True)
    }
    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    replies = found["tokens"].score.answers
    lengths = [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in replies]
    assert tasks["tokens"]["best_test"] == sum(lengths) / len(lengths)
    assert tasks["first"]["best_test"] == sum(map(len, replies)) / len(replies)
    assert run.result["best_test"] == pytest.approx(
        found["first"].score.value + 0.5 * found["tokens"].score.value
    )


def test_an_evaluation_asks_which_of_a_runs_scores_is_meant(
    setting: Callable[..., SearchConfig],
) -> None:
    run = search(setting("f1", "tokens", combine="weighted:1,0.5")).run
    with pytest.raises(UserError, match="several scores of a; choose one of: f1, tokens"):
        evaluate_model("", str(run), "", run=str(run))
    found = evaluate_model("", None, "", run=str(run), metric="tokens")
    assert found.score.value < 0


def test_an_evaluation_of_a_run_with_drift_is_of_its_task(
    setting: Callable[..., SearchConfig], tmp_path: Path
) -> None:
    (tmp_path / "keep.txt").write_text("\n".join(f"Keep {k}" for k in range(12)))
    keep: Json = {"keep": str(tmp_path / "keep.txt"), "dev": 5, "test": 4}
    run = search(setting("tokens", "drift", front=True, **keep))
    found = evaluate_model("", None, "", run=str(run.run))
    assert -found.score.value == run.result["tasks"]["tokens"]["best_test"]
    drifted = evaluate_model("", None, "", run=str(run.run), metric="drift")
    assert drifted.shown[0] == run.result["tasks"]["drift"]["best_test"]
    # the base model does not drift, nor by -0.0
    assert str(run.result["tasks"]["drift"]["base_test"]) == "0.0"
    drifts = [point["test"]["drift"] for point in run.result["front"]]
    assert "-0.0" not in map(str, [*drifts[-1]["interval"], drifts[-1]["value"]])


def test_a_minus_sign_is_explained(setting: Callable[..., SearchConfig]) -> None:
    told = "tokens: lower is better, so as the main score it has a minus sign"
    for config in (setting("tokens"), setting("tokens", "f1", front=True)):
        assert make_plan(config).why["lower"] == told
    weighted = setting("tokens", "f1", combine="weighted:1,1")
    for config in (setting("f1"), setting("f1", "tokens", front=True), weighted):
        assert "lower" not in make_plan(config).why


class Counting(FakeEngine):
    """One special token, then a token for each word."""

    members: ClassVar[Mapping[str, Any]] = {}

    def count_tokens(self, text: str) -> int:
        return 1 + len(text.split())


def test_tokens_by_hand() -> None:
    items = [Item("1", "ant", None, ""), Item("2", "bee", None, "")]
    engine = Counting(texts={"ant": "<think>so so</think> one two", "bee": ""})
    utility = find_metric("tokens").on(items, "generate", engine.chat, None)
    assert utility(engine).per_item == (-4.0, 0.0)


def test_a_missing_entry_is_named(setting: Callable[..., SearchConfig]) -> None:
    config = setting("mine.py:both#middle", "tokens", combine="weighted:1,1")
    with pytest.raises(UserError, match="both#middle: the function returns first, last"):
        search(config)
    twice = (config.metrics[0].replace("middle", "first"),) * 2
    with pytest.raises(UserError, match="there are two scores first"):
        load_objectives(replace(config, metrics=twice))
