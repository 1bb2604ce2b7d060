#!/usr/bin/env python3
"""How many single mutations of the source the tests notice.

    python tests/mutations.py --count 60 --seed 0 --out mutations.jsonl

Files take turns; in each, one comparison, operator, `not`, `and` / `or`, number or truth value is changed, the tests of
its room run until the first failure, and the file is put back. Annotations are left alone. A line of the output is one
mutation; those that no test noticed are printed, to be read: some change nothing that can be seen.

Run it in a checkout of its own (`git worktree add`): the source changes while it runs.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

CORE, LLM, GROUPS, RIVALS = "tests/core", "tests/llm", "tests/groups", "tests/rivals/methods"
TESTS = {
    "pyswarmopt/engine/reference.py": f"{CORE}/engine/test_reference.py {CORE}/algorithms/test_algorithm1.py "
    f"{CORE}/parts/test_restart.py {CORE}/swarm/test_asynchronous.py",
    "pyswarmopt/engine/choose.py": f"{CORE}/engine {CORE}/swarm {CORE}/parts/test_restart.py",
    "pyswarmopt/engine/chunked.py": f"{CORE}/engine",
    "pyswarmopt/engine/buffers.py": f"{CORE}/engine {CORE}/swarm/test_swarm.py {CORE}/base/test_resume.py",
    "pyswarmopt/driver/same_objective.py": f"{CORE}/driver/test_same_objective.py",
    "pyswarmopt/base/checkpoint.py": f"{CORE}/base/test_hostile_checkpoints.py {CORE}/base/test_resume.py",
    "pyswarmopt/parts/boundary.py": f"{CORE}/parts {CORE}/driver",
    "pyswarmopt/swarm.py": f"{CORE}/swarm {CORE}/base/test_resume.py",
    "pyswarmopt/driver/evaluation.py": f"{CORE}/driver",
    "pyswarmopt/driver/search.py": f"{CORE}/driver",
    "pyswarmopt_llm/evaluation/policy.py": f"{LLM}/evaluation/test_policy.py {LLM}/evaluation/test_screening.py",
    "pyswarmopt_llm/evaluation/scorer.py": f"{LLM}/jobs/test_search_run.py {LLM}/jobs/test_search_resume.py "
    f"{LLM}/evaluation/test_screening.py",
    "pyswarmopt_llm/evaluation/search.py": f"{LLM}/evaluation {LLM}/jobs/test_search_run.py",
    "pyswarmopt_llm/evaluation/surrogate/screening.py": f"{LLM}/evaluation/test_screening.py",
    "pyswarmopt_llm/evaluation/surrogate/gaussian_process.py": f"{LLM}/evaluation",
    "pyswarmopt_llm/spaces/coefficients.py": f"{LLM}/spaces/test_spaces_mixing.py {LLM}/spaces/test_spaces_starts.py",
    "pyswarmopt_llm/spaces/factor.py": f"{LLM}/spaces/test_spaces_mixing.py {LLM}/spaces/test_spaces_save.py",
    "pyswarmopt_llm/spaces/delta.py": f"{LLM}/spaces/test_spaces_mixing.py {LLM}/spaces/test_spaces_save.py",
    "pyswarmopt_llm/spaces/mixture/mixing.py": f"{LLM}/spaces/mixture/test_tokens_mixing.py",
    "pyswarmopt_llm/spaces/mixture/vocabulary.py": f"{LLM}/spaces/mixture/test_tokens_fusion.py",
    "pyswarmopt_llm/spaces/mixture/byte_beam.py": f"{LLM}/spaces/mixture/test_tokens_bytes.py",
    "pyswarmopt_llm/spaces/mixture/fusion/relative.py": f"{LLM}/spaces/mixture/test_tokens_fusion.py",
    "pyswarmopt_llm/spaces/mixture/fusion/top_k.py": f"{LLM}/spaces/mixture/test_tokens_fusion.py",
    "pyswarmopt_rivals/methods/rules/angles.py": f"{RIVALS}/test_baselines_rules.py",
    "pyswarmopt_rivals/methods/rules/sparsify.py": f"{RIVALS}/test_baselines_rules.py",
    "pyswarmopt_rivals/methods/evolution/merge3.py": f"{RIVALS}/test_baselines_evolution.py",
    "pyswarmopt_rivals/methods/searching/natural_niches.py": f"{RIVALS}/test_baselines_searching.py",
    "pyswarmopt_groups/negotiation/coalition.py": f"{GROUPS}/test_negotiation.py",
    "pyswarmopt_groups/negotiation/consensus_game.py": f"{GROUPS}/test_collective_games.py",
    "pyswarmopt_groups/voting/learned.py": f"{GROUPS}/test_trust.py {GROUPS}/test_stacking.py",
    "pyswarmopt_llm/models/training/fit.py": f"{LLM}/models/test_training_choices.py",
}
COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}  # fmt: skip


def places(tree: ast.Module) -> list[ast.AST]:
    """Nodes in functions that can be mutated."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    hints = {id(part) for function in functions for hint in annotations(function) for part in ast.walk(hint)}
    inside = {id(node): node for function in functions for node in ast.walk(function) if id(node) not in hints}
    return [node for node in inside.values() if mutable(node)]


def annotations(function: ast.FunctionDef) -> Iterator[ast.AST]:
    for node in ast.walk(function):
        yield from (hint for name in ("annotation", "returns") if (hint := getattr(node, name, None)) is not None)


def mutable(node: ast.AST) -> bool:
    match node:
        case ast.Compare():
            return type(node.ops[0]) in COMPARISONS
        case ast.BinOp():
            return type(node.op) in OPERATORS
        case ast.Constant():
            return isinstance(node.value, int)
        case ast.UnaryOp():
            return isinstance(node.op, ast.Not)
        case _:
            return isinstance(node, ast.BoolOp)


def mutate(node: ast.AST) -> None:
    """Change a node in place."""
    match node:
        case ast.Compare():
            node.ops[0] = COMPARISONS[type(node.ops[0])]()
        case ast.BinOp():
            node.op = OPERATORS[type(node.op)]()
        case ast.BoolOp():
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        case ast.UnaryOp():
            node.op, node.operand = ast.Not(), ast.UnaryOp(ast.Not(), node.operand)
        case ast.Constant():
            node.value = not node.value if isinstance(node.value, bool) else node.value + 1


def try_one(file: Path, tests: list[str], rng: random.Random) -> dict[str, object]:
    """Mutate a file, run its tests and put it back."""
    source = file.read_text(encoding="utf-8")
    tree = ast.parse(source)
    node = rng.choice(places(tree))
    line = int(getattr(node, "lineno", 0))
    mutate(node)
    file.write_text(ast.unparse(ast.fix_missing_locations(tree)), encoding="utf-8")
    words = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=ci", *tests]
    try:
        own = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(words, env=own, capture_output=True, timeout=300, check=False)
        noticed = done.returncode != 0
    except subprocess.TimeoutExpired:
        noticed = True
    finally:
        file.write_text(source, encoding="utf-8")
    return {"file": str(file), "line": line, "text": source.split("\n")[line - 1].strip(), "noticed": noticed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    rng, found = random.Random(args.seed), []
    for k in range(args.count):
        file = list(TESTS)[k % len(TESTS)]
        found.append(try_one(Path(file), TESTS[file].split(), rng))
        with args.out.open("a", encoding="utf-8") as out:
            out.write(json.dumps(found[-1]) + "\n")
    print(f"{sum(bool(one['noticed']) for one in found)} of {len(found)} noticed; not noticed:")
    for one in found:
        if not one["noticed"]:
            print(f"{one['file']}:{one['line']}: {one['text']}")


if __name__ == "__main__":
    main()
