"""What a search loads of the layer: not the rooms that it has not chosen, and how much code that
is.
"""

from __future__ import annotations

import ast
import io
import json
import subprocess
import sys
import tokenize
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from search_helpers import questions, write_task

ROOT = Path(__file__).parents[3]
LAYER = "pyswarmopt_llm"
# The rooms that a search has not chosen.
OTHERS = ("tokens", "servers", "published", "tools")
CODE = (
    "import json, sys; from pyswarmopt_llm import SearchConfig, search; "
    "search(SearchConfig(**json.loads(sys.argv[1]))); print('MODULES', *sys.modules)"
)


LAYOUT = (
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
)


@cache
def code_tokens(file: Path) -> int:
    """Tokens of code: no comments, no docstrings; another layout has as many."""
    source = file.read_text(encoding="utf-8")
    documented = {
        (node.lineno, node.col_offset)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return sum(token.type not in LAYOUT and token.start not in documented for token in tokens)


@pytest.mark.parametrize(
    ("choices", "space", "most"),
    [
        (
            {"particles": 4, "max_iter": 1, "paper": True, "draws": 1},
            "delta",
            79_000,
        ),
        # as by default: candidates of the item model, then training
        ({"proposals": 2, "train": "on"}, "delta", 86_200),
    ],
    ids=["paper", "auto"],
)
def test_a_search_loads_nothing_that_it_has_not_chosen(
    choices: dict[str, Any],
    space: str,
    most: int,
    tiny_base: Path,
    tiny_experts: list[Path],
    tmp_path: Path,
) -> None:
    task = write_task(tmp_path / "t.json", questions(8, 1), questions(2, 2))
    config = {"base": str(tiny_base), "experts": [*map(str, tiny_experts)], "tasks": [str(task)]}
    config |= {"out": str(tmp_path / "run"), "threads": 1, "no_rivals": True, **choices}
    arguments = [sys.executable, "-c", CODE, json.dumps(config)]
    output = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    modules = output.rpartition("MODULES ")[2].split()
    assert ("pyswarmopt.algorithms.recipe" in modules) == (
        "paper" in choices
    )  # no swarm, no recipes
    loaded = [name for name in modules if f"{name}.".startswith(f"{LAYER}.")]
    assert f"{LAYER}.mix.{space}" in loaded
    rooms = tuple(f"{LAYER}.{room}." for room in OTHERS)
    assert [name for name in loaded if f"{name}.".startswith(rooms)] == []
    paths = [ROOT.joinpath(*name.split(".")) for name in loaded]
    files = [
        path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"
        for path in paths
    ]
    tokens = sum(map(code_tokens, files))
    assert tokens <= most, tokens
