"""What code a search loads: none of the rooms that it has not chosen."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from search_helpers import questions, write_task

CODE = (
    "import json, sys; from pyswarmopt_llm import SearchConfig, search; "
    "search(SearchConfig(**json.loads(sys.argv[1]))); "
    "print('MODULES', *sys.modules)"
)
# A beginning of names of modules -> what loads them.
UNCHOSEN = {
    "pyswarmopt_groups": "a command of theirs, or the space `graph`",
    "pyswarmopt_rivals": "a comparison",
    "pyswarmopt_llm.cli": "a command",
    "pyswarmopt_llm.tokens": "the space `token`",
    "pyswarmopt_llm.published": "a task that is named",
    "pyswarmopt_llm.external": "a judge or a reward model",
    "pyswarmopt_llm.tools": "a tool",
    "pyswarmopt_llm.use": "a command after the search",
    "pyswarmopt_llm.searching.workers": "several workers",
    "pyswarmopt_llm.searching.grid": "a grid of coefficients",
    "pyswarmopt_llm.searching.written.expert_iteration": "training on replies",
    "pyswarmopt.default": "the default of `minimize`",
    "pyswarmopt.interop": "an optimiser of nevergrad",
    "pyswarmopt.inspect": "a picture",
    "pyswarmopt.teaching": "a lesson",
}
SWARM = ("pyswarmopt.swarm", "pyswarmopt.engine", "pyswarmopt_llm.searching.swarm")
TRAINING = ("pyswarmopt_llm.training", "pyswarmopt_llm.searching.train_on_labels")


@pytest.mark.parametrize(
    ("choices", "chosen", "not_chosen"),
    [
        ({}, (), SWARM),
        ({"train": "on"}, TRAINING, SWARM),
        ({"particles": 4, "max_iter": 1, "paper": True, "draws": 1}, SWARM, TRAINING),
    ],
)
def test_a_search_loads_nothing_that_it_has_not_chosen(
    choices: dict[str, Any],
    chosen: tuple[str, ...],
    not_chosen: tuple[str, ...],
    tiny_base: Path,
    tiny_experts: list[Path],
    tmp_path: Path,
) -> None:
    task = write_task(tmp_path / "t.json", questions(8, 1), questions(2, 2))
    config = {"base": str(tiny_base), "experts": [*map(str, tiny_experts)], "tasks": [str(task)]}
    config |= {"out": str(tmp_path / "run"), "threads": 1, "no_rivals": True, **choices}
    arguments = [sys.executable, "-c", CODE, json.dumps(config)]
    output = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    loaded = output.rpartition("MODULES ")[2].split()
    found = {
        room: [name for name in loaded if f"{name}.".startswith(f"{room}.")]
        for room in (*UNCHOSEN, *chosen, *not_chosen)
    }
    assert {room: names for room, names in found.items() if names and room not in chosen} == {}
    assert all(found[room] for room in chosen)
