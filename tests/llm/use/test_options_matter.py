"""Each option of the commands that evaluate changes what they say, or is refused by name.

A setting that one command of several ignores gives an answer to another question.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from options_helpers import Known, answer, changed_or_refused, write_files

from pyswarmopt_llm.use.config import EvalConfig
from pyswarmopt_llm.use.evaluate import evaluate, evaluate_against

Way = Callable[[EvalConfig, Path], Any]
# They say where a model runs, name others of these, or accept what is refused without them.
ELSEWHERE = {"base", "dtype", "device", "threads", "run"}
ELSEWHERE |= {"allow_overlap"}


def evaluated(config: EvalConfig, folder: Path) -> object:
    return evaluate(config).score


def compared(config: EvalConfig, folder: Path) -> object:
    against = config.against or str(folder / "adapters" / "c")
    return [result.score for result in evaluate_against(replace(config, against=against)).results]


WAYS: dict[str, Way] = {
    "eval": evaluated,
    "eval --against": compared,
}
# Of answers that are chosen, and of written ones: a setting -> another value, and what goes with it.
CHOSEN: dict[str, dict[str, Any]] = {
    "task": {"task": "others.csv"},
    "adapter": {"adapter": "adapters/b"},
    "against": {"against": "base"},
    "split": {"split": "dev"},
    "dev": {"split": "dev", "dev": 2},
    "test": {"test": 3},
    "columns": {"columns": ("question=other",)},
    "template": {"template": ("{question} It is",)},
    "system": {"system": "Be brief."},
    "scoring": {"scoring": "letter"},
    "metric": {"metric": "abstain"},
    "thinking": {"thinking": 3},
    "quantize": {"quantize": "q4_0"},
    "max_new_tokens": {"max_new_tokens": 2},
}
WRITTEN: dict[str, dict[str, Any]] = {
    **{
        name: CHOSEN[name]
        for name in ("adapter", "against", "split", "dev", "test", "system", "template")
    },
    "task": {"task": "open.json"},
    "thinking": {"thinking": 3},
    "scoring": {"scoring": "letter"},
    "metric": {"metric": "f1"},
    "max_new_tokens": {"max_new_tokens": 2},
}
# `eval --against` reads what `eval` reads, and one model has no other.
CASES = [("chosen", "eval --against", name) for name in CHOSEN]
CASES += [("written", "eval", name) for name in WRITTEN if name != "against"]


@pytest.fixture(scope="module")
def folder(experts: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_files(tmp_path_factory.mktemp("options"), experts, dev=4)


@pytest.fixture(scope="module")
def usual(tiny_base: Path, folder: Path) -> Callable[[str, str], EvalConfig]:
    def config(kind: str, way: str) -> EvalConfig:
        common: dict[str, Any] = {
            "base": str(tiny_base),
            "adapter": "adapters/a",
            "split": "test",
            "dtype": "float32",
            "threads": 1,
        }
        if kind == "chosen":
            return EvalConfig(task="labels.csv", scoring="likelihood", **common)
        return EvalConfig(task="written.json", metric="mine.py:score", max_new_tokens=8, **common)

    return config


@pytest.fixture(scope="module")
def known() -> Known:
    """What was said before, by command and settings."""
    return {}


@pytest.mark.parametrize(("kind", "way", "name"), CASES)
def test_an_option_changes_the_result_or_is_refused(
    kind: str, way: str, name: str, folder: Path, usual: Any, known: Any
) -> None:
    with contextlib.chdir(folder):
        changes = (CHOSEN if kind == "chosen" else WRITTEN)[name]
        before, after = usual(kind, way), replace(usual(kind, way), **changes)
        if len(changes) > 1:  # what goes with it is there before, too
            before = replace(
                before, **{other: value for other, value in changes.items() if other != name}
            )

        pair = [answer(known, way, config, WAYS[way], folder) for config in (before, after)]
        changed_or_refused(*pair, changes)


def test_every_setting_is_in_the_table() -> None:
    listed = {*CHOSEN, *WRITTEN, *ELSEWHERE}
    assert {field.name for field in fields(EvalConfig)} == listed
