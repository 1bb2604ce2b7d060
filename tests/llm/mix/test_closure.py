"""How much code a search loads: without the rooms that it has not chosen."""

from __future__ import annotations

import ast
import io
import json
import subprocess
import sys
import tokenize
from pathlib import Path
from typing import Any

import pytest
from search_helpers import questions, write_task

ROOT = Path(__file__).parents[3]
CODE = (
    "import json, sys; from pyswarmopt_llm import SearchConfig, search; "
    "search(SearchConfig(**json.loads(sys.argv[1]))); "
    "print('FILES', *(getattr(module, '__file__', '') for module in sys.modules.values()))"
)
COUNTED = (tokenize.NAME, tokenize.NUMBER, tokenize.OP, tokenize.STRING)


def code_tokens(file: Path) -> int:
    """Tokens of code: no comments, no docstrings; another layout has as many."""
    source = file.read_text(encoding="utf-8")
    statements = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Expr)]
    texts = sum(isinstance(getattr(node.value, "value", None), str) for node in statements)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return sum(token.type in COUNTED for token in tokens) - texts


@pytest.mark.parametrize(
    ("choices", "most_tokens", "most_files"),
    [
        ({}, 66_500, 90),
        ({"train": "on"}, 71_000, 93),
        ({"particles": 4, "max_iter": 1, "paper": True, "draws": 1}, 82_500, 119),
    ],
)
def test_a_search_loads_nothing_that_it_has_not_chosen(
    choices: dict[str, Any],
    most_tokens: int,
    most_files: int,
    tiny_base: Path,
    tiny_experts: list[Path],
    tmp_path: Path,
) -> None:
    task = write_task(tmp_path / "t.json", questions(8, 1), questions(2, 2))
    config = {"base": str(tiny_base), "experts": [*map(str, tiny_experts)], "tasks": [str(task)]}
    config |= {"out": str(tmp_path / "run"), "threads": 1, "no_rivals": True, **choices}
    arguments = [sys.executable, "-c", CODE, json.dumps(config)]
    output = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    loaded = map(Path, output.rpartition("FILES ")[2].split())
    files = [file for file in loaded if file.is_relative_to(ROOT) and ".venv" not in file.parts]
    assert len(files) <= most_files
    assert sum(map(code_tokens, files)) <= most_tokens
