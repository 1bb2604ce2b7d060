"""Each option of search, compare and ensemble changes what they find, or is refused by name."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from options_helpers import Known, answer, changed_or_refused, write_files
from search_helpers import Json, history

from pyswarmopt_groups.config import CouncilConfig
from pyswarmopt_groups.run import decide_task
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.searching.search import search
from pyswarmopt_rivals.comparison.config import CompareConfig
from pyswarmopt_rivals.comparison.contest import compare

# They say where a model runs and where results go, or accept what is refused without them.
ELSEWHERE = {"out", "dtype", "device", "threads", "skip_bad_rows", "skip", "allow_overlap", "base"}
ELSEWHERE |= {"engine", "server_folder", "server_slots", "workers", "mix", "batch_tokens"}
OF_CODE = {"prompts", "day"}  # another name of a task, or from Python alone
# What others look at: procedures and methods, what is trained, and where a search ends.
LONGER = {"paper", "reference", "draws", "quick", "method", "optimizer", "proposals", "patience"}
LONGER |= {"particles", "start", "max_iter", "drop_n", "train", "no_rivals", "spare"}
LONGER |= {"budget_minutes", "budget_items", "contrast", "epsilon", "liar", "data", "examples"}
LONGER |= {"data_epochs", "data_lr"} | {"max_new_tokens"}  # of groups: test_negotiate_command.py
EXPERTS = ("adapters/a", "adapters/b")
READING: dict[str, Json] = {
    "dev": {"dev": 5},
    "test": {"test": 2},
    "columns": {"columns": ("question=other",)},
    "template": {"template": ("{question} It is",)},
    "split_seed": {"split_seed": 5},
    "scoring": {"scoring": "letter"},
}
SAMPLING: dict[str, Json] = {
    "max_new_tokens": {"max_new_tokens": 2},
    "temperature": {"temperature": 2.0},
    "samples": {"temperature": 2.0, "samples": 3},
}
CHOSEN: dict[str, Json] = {
    **READING,
    "experts": {"experts": (*EXPERTS, "adapters/c")},
    "tasks": {"tasks": ("others.csv",)},
    "metrics": {"metrics": ("abstain",)},
    "combine": {"tasks": ("labels.csv", "others.csv"), "combine": "arithmetic"},
    "settings": {"settings": ("step=0.1",)},
    "space": {"space": "delta"},
    "seed": {"seed": 9},
    "drop_k": {"drop_k": 0.9},
}
WRITTEN: dict[str, Json] = {
    **SAMPLING,
    **{name: CHOSEN[name] for name in ("dev", "template", "scoring", "seed")},
    "system": {"system": "Be brief."},
    "thinking": {"thinking": 3},
    "metrics": {"metrics": ("f1",)},
}
COMPARED: dict[str, Json] = {
    **{name: READING[name] for name in ("dev", "test", "template", "scoring")},
    **SAMPLING,
    **{name: CHOSEN[name] for name in ("experts", "tasks", "metrics")},
    "methods": {"methods": ("uniform-soup",)},
    "seeds": {"methods": ("dare-ties",), "seeds": 2},
}
GROUPED: dict[str, Json] = {
    **{name: READING[name] for name in ("test", "template", "scoring")},
    "task": {"task": "others.csv"},
    "members": {"members": ("adapters/a", "adapters/c")},
    "strategies": {"strategies": ("borda",)},
    "seed": {"epsilon": 0.5, "seed": 7},
}


def searched(config: Any, folder: Path) -> object:
    shutil.rmtree(folder / "run", ignore_errors=True)
    result = search(replace(config, out="run")).result
    scores = {name: value for name, value in result.items() if name.endswith(("_dev", "_test"))}
    return history(folder / "run"), scores, result["coefficients"], result.get("passes_rivals")


def compared(config: Any, folder: Path) -> object:
    shutil.rmtree(folder / "run", ignore_errors=True)
    found = compare(replace(config, out="run"))
    return without_times(found)


def without_times(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {key: each for key, each in value.items() if "seconds" not in key}
        return {key: without_times(each) for key, each in kept.items()}
    return [without_times(each) for each in value] if isinstance(value, list) else value


def grouped(config: Any, folder: Path) -> object:
    return without_times(decide_task(config))


WAYS: dict[str, tuple[Callable[[Any, Path], object], dict[str, Json]]] = {
    "search": (searched, CHOSEN),
    "search, written": (searched, WRITTEN),
    "compare": (compared, COMPARED),
    "ensemble": (grouped, GROUPED),
}


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
        "search": SearchConfig(base, EXPERTS, labels, "run", **of_labels, **swarm),
        "search, written": SearchConfig(
            base, EXPERTS, written, "run", **of_replies, **{**swarm, "max_iter": 0}
        ),
        "compare": CompareConfig(
            base, EXPERTS, labels, "run", methods=("best-single",), seeds=1, **of_labels, **small
        ),
        "ensemble": CouncilConfig(
            members=EXPERTS,
            strategies=("weighted",),
            task="labels.csv",
            base=base,
            **of_labels,
            **small,
        ),
    }


@pytest.fixture(scope="module")
def known() -> Known:
    """What was said before, by command and settings."""
    return {}


@pytest.mark.parametrize(("way", "name"), [(way, name) for way in WAYS for name in WAYS[way][1]])
def test_an_option_changes_what_is_found_or_is_refused(
    way: str, name: str, folder: Path, usual: Any, known: Any
) -> None:
    with contextlib.chdir(folder):
        result_of, table = WAYS[way]
        changes = table[name]
        before, after = usual[way], replace(usual[way], **changes)
        if len(changes) > 1:  # what goes with it is there before, too
            before = replace(before, **{k: value for k, value in changes.items() if k != name})

        pair = [answer(known, way, config, result_of, folder) for config in (before, after)]
        changed_or_refused(*pair, changes)


def test_every_setting_is_in_a_table() -> None:
    records = (SearchConfig, {*CHOSEN, *WRITTEN}), (CompareConfig, {*READING, *COMPARED})
    for record, listed in (*records, (CouncilConfig, {*READING, *GROUPED})):
        assert {each.name for each in fields(record)} <= listed | ELSEWHERE | OF_CODE | LONGER
