"""Each option of search changes what it finds, or is refused by name."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from options_helpers import Known, answer, changed_or_refused, write_files
from search_helpers import Json, history

from pyswarmopt_llm.api import search
from pyswarmopt_llm.common.config import SearchConfig

# They say where a model runs and where results go, or accept what is refused without them.
ELSEWHERE = {"out", "dtype", "device", "threads", "skip", "allow_overlap", "base"}
ELSEWHERE |= {"workers", "mix", "batch_tokens"}
OF_CODE = {"prompts"}  # another name of a task
# What others look at: procedures and methods, what is trained, and where a search ends.
LONGER = {"paper", "reference", "draws", "quick", "method", "optimizer", "proposals", "patience"}
LONGER |= {"particles", "start", "max_iter", "drop_n", "train", "no_rivals", "curve"}
LONGER |= {"budget_minutes", "budget_items"}
EXPERTS = ("adapters/a", "adapters/b")
READING: dict[str, Json] = {
    "dev": {"dev": 5},
    "test": {"test": 2},
    "columns": {"columns": ("question=other",)},
    "template": {"template": ("{question} It is",)},
    "scoring": {"scoring": "letter"},
}
CHOSEN: dict[str, Json] = {
    **READING,
    "experts": {"experts": (*EXPERTS, "adapters/c")},
    "tasks": {"tasks": ("others.csv",)},
    "metrics": {"metrics": ("abstain",)},
    "keep": {"keep": "labels.csv"},
    "front": {"front": True},
    "floor": {"floor": ("labels=0.5",)},
    "combine": {"tasks": ("labels.csv", "others.csv"), "combine": "arithmetic"},
    "settings": {"settings": ("step=0.1",)},
    "space": {"space": "delta"},
    "seed": {"seed": 9},
    "quantize": {"quantize": "q4_0"},
    "drop_k": {"drop_k": 0.9},
    "batch": {"batch": 2},
    "screen": {"screen": "on"},
    "asynchronous": {"asynchronous": True},
}
WRITTEN: dict[str, Json] = {
    "max_new_tokens": {"max_new_tokens": 2},
    **{name: CHOSEN[name] for name in ("dev", "template", "scoring", "seed")},
    "system": {"system": "Be brief."},
    "thinking": {"thinking": 3},
    "metrics": {"metrics": ("f1",)},
}


def searched(config: Any, folder: Path) -> object:
    shutil.rmtree(folder / "run", ignore_errors=True)
    result = search(replace(config, out="run")).result
    scores = {name: value for name, value in result.items() if name.endswith(("_dev", "_test"))}
    return history(folder / "run"), scores, result["coefficients"]


TABLES: dict[str, dict[str, Json]] = {"chosen": CHOSEN, "written": WRITTEN}


@pytest.fixture(scope="module")
def folder(experts: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_files(tmp_path_factory.mktemp("options"), experts, dev=22)


@pytest.fixture(scope="module")
def usual(tiny_base: Path) -> dict[str, Any]:
    machine: Json = {"dtype": "float32", "threads": 1}
    base = str(tiny_base)
    small: Json = {"dev": 4, "test": 3, **machine}
    swarm: Json = {
        "paper": True,
        "draws": 1,
        "space": "factor",
        "particles": 3,
        "max_iter": 1,
        **small,
    }
    labels, written = ("labels.csv",), ("written.json",)
    of_labels: Json = {"scoring": "likelihood"}
    of_replies: Json = {"metrics": ("mine.py:score",), "max_new_tokens": 4}
    return {
        "chosen": SearchConfig(base, EXPERTS, labels, "run", **of_labels, **swarm),
        "written": SearchConfig(
            base, EXPERTS, written, "run", **of_replies, **{**swarm, "max_iter": 0}
        ),
    }


@pytest.fixture(scope="module")
def known() -> Known:
    """What was said before, by command and settings."""
    return {}


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in TABLES for name in TABLES[kind]]
)
def test_an_option_changes_what_is_found_or_is_refused(
    kind: str, name: str, folder: Path, usual: Any, known: Any
) -> None:
    with contextlib.chdir(folder):
        changes = TABLES[kind][name]
        before, after = usual[kind], replace(usual[kind], **changes)
        if len(changes) > 1:  # what goes with it is there before, too
            before = replace(before, **{k: value for k, value in changes.items() if k != name})
        pair = [answer(known, kind, config, searched, folder) for config in (before, after)]
        changed_or_refused(*pair, changes)


def test_every_setting_is_in_a_table() -> None:
    listed = {*CHOSEN, *WRITTEN} | ELSEWHERE | OF_CODE | LONGER
    assert {each.name for each in fields(SearchConfig)} <= listed
