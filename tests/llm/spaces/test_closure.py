"""What a search for a `factor` adapter imports of the layer: not the rooms that it has not chosen."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from search_helpers import questions, write_task

ROOT = Path(__file__).parents[3]
LAYER = "pyswarmopt_llm"
LOOP = f"{LAYER}.jobs.search.loop"
# What another choice than the default needs.
OTHERS = (
    *("spaces.delta", "spaces.full", "spaces.members", "spaces.mixture", "spaces.graph", "models.side_by_side"),
    *("models.training", "models.engines.vllm", "evaluation.surrogate"),
    *("evaluation.workers.pool", "evaluation.workers.local", "evaluation.workers.ray", "evaluation.workers.sharding"),
    *("metrics.judge", "metrics.classifiers", "metrics.external.lm_eval", "metrics.external.callables"),
    *("metrics.text", "metrics.nlgraph", "metrics.likelihoods", "metrics.abstention", "reporting.tracking"),
    *("tasks.builtin", "tasks.published", "tasks.hub", "baselines", "groups", "jobs.compare"),
)


def file_of(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split("."))
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


def at_module_level(body: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """Imports that run when the module does: not those of functions, nor those for type checkers."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If | ast.Try | ast.With | ast.ClassDef):
            if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
                yield from at_module_level(node.body)
            yield from at_module_level(getattr(node, "orelse", []))


def imported_by(file: Path) -> Iterator[str]:
    for node in at_module_level(ast.parse(file.read_text(encoding="utf-8")).body):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def closure(*modules: str) -> dict[str, int]:
    """Module of the layer -> its lines, for all that importing these modules imports."""
    found: dict[str, int] = {}
    waiting = list(modules)
    while waiting:
        parts = waiting.pop().split(".")
        for name in (".".join(parts[: k + 1]) for k in range(len(parts))):
            file = file_of(name) if parts[0] == LAYER and name not in found else None
            if file is not None:
                found[name] = len(file.read_text(encoding="utf-8").splitlines())
                waiting += imported_by(file)
    return found


def test_a_search_imports_at_most_12000_lines_of_the_layer() -> None:
    assert sum(closure(LOOP).values()) <= 12_000


def test_with_its_space_engine_and_report_a_factor_search_imports_at_most_15100() -> None:
    lines = closure(
        LOOP, f"{LAYER}.spaces.factor", f"{LAYER}.reporting.report.card", f"{LAYER}.reporting.report.report"
    )
    assert sum(lines.values()) <= 15_100


def test_a_whole_factor_search_loads_nothing_that_it_has_not_chosen(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    task = write_task(tmp_path / "t.json", questions(6, 1), questions(4, 2))
    config = {"base": str(tiny_base), "experts": [*map(str, tiny_experts)], "tasks": [str(task)]}
    config |= {"out": str(tmp_path / "run"), "particles": 4, "max_iter": 1, "threads": 1, "preset": "paper"}
    code = (
        "import json, sys; from pyswarmopt_llm import SearchConfig, search; "
        "search(SearchConfig(**json.loads(sys.argv[1]))); print('MODULES', *sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, json.dumps(config)], capture_output=True, text=True, check=True
    ).stdout
    loaded = {name for name in found.rpartition("MODULES ")[2].split() if name.startswith(f"{LAYER}.")}
    assert f"{LAYER}.spaces.factor" in loaded
    prefixes = tuple(f"{LAYER}.{room}" for room in OTHERS)
    assert sorted(name for name in loaded if any(name == p or name.startswith(f"{p}.") for p in prefixes)) == []
