"""`swarm-llm demo --token`: the figures that it prints are those of its members alone and of its run."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from pyswarmopt_llm import open_model
from pyswarmopt_llm.cli import demo
from pyswarmopt_llm.cli.app import main
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks import load_task


def few(search: partial[SearchConfig]) -> SearchConfig:
    return replace(search(), dev=24, test=60, threads=1)


@pytest.mark.model
def test_members_equal_weights_and_the_search_are_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, search = tmp_path / "run", demo.token_search
    monkeypatch.setattr(demo, "token_search", lambda *how: few(partial(search, *how)))
    with pytest.raises(SystemExit) as end:
        main(["demo", "--token", "--quiet", "--out", str(run)])
    assert not end.value.code
    lines = capsys.readouterr().out.splitlines()
    shown = dict(
        re.findall(r"^(.+): (0\.\d+) on 60 test examples$", "\n".join(lines), re.MULTILINE)
    )
    assert list(shown) == [*demo.UNLIKE, "equal weights", "the search"]
    folder = demo.demo_folder("unlike")
    test = load_task(str(folder / "task.json"), dev=24, test=60).test
    for name in demo.UNLIKE:
        model = open_model(str(folder / name), dtype="float32")
        assert float(shown[name]) == round(Accuracy(test, "likelihood", model.chat)(model).value, 3)
    result = json.loads((run / "result.json").read_text())
    assert float(shown["the search"]) == round(result["best_test"], 3)
