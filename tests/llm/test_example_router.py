"""The example that writes a router's configuration, on a finished run worked by hand."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml

SCRIPT = Path(__file__).parents[2] / "examples" / "router.py"


def model(items: str) -> dict[str, Any]:
    value = items.count("1") / len(items)
    return {"dev": {"value": value, "tasks": {"table": {"value": value, "items": items}}}}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Ten examples: the result has the first four, `a` the last six, `b` five of these."""
    items = [
        {"question": f"question {k}", "choices": {"A": "x", "B": "y"}, "answer": "A"}
        for k in range(10)
    ]
    task = tmp_path / "table.json"
    test = [{"question": "other", "choices": {"A": "x", "B": "y"}, "answer": "A"}]
    task.write_text(json.dumps({"dev": items, "test": test}))
    config = {"dev": None, "test": None, "allow_overlap": False, "columns": [], "template": []}
    config |= {"tasks": [str(task)]}
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"config": config, "base_name": "my/base"}))
    result = {
        "objectives": {"table": {}},
        "models": {"best": model("1111000000")},
        "experts": {"b": model("0000011111"), "a": model("0000111111"), "c": model("0000100000")},
    }
    (folder / "result.json").write_text(json.dumps(result))
    return folder


def call(*arguments: object) -> None:
    runpy.run_path(str(SCRIPT))["main"]([*map(str, arguments)])


def test_examples_that_an_expert_gains_become_its_signal(run: Path, tmp_path: Path) -> None:
    call(run, tmp_path / "router.yaml")
    routing = yaml.safe_load((tmp_path / "router.yaml").read_text())["routing"]
    # `a` gains six; the five of `b` are among them, so `b` is left with none.
    (signal,) = routing["signals"]["embeddings"]
    assert signal["name"] == "like_a"
    assert signal["candidates"] == [f"question {k}" for k in range(4, 10)]
    chosen = [decision["modelRefs"][0]["lora_name"] for decision in routing["decisions"]]
    assert chosen == ["a", "best"]
    assert [adapter["name"] for adapter in routing["modelCards"][0]["loras"]] == ["best", "a"]
