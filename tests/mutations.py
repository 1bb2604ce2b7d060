#!/usr/bin/env python3
"""How many single mutations of the four packages the tests notice.

    OMP_NUM_THREADS=1 python tests/mutations.py --count 200 --seed 0 --out after.jsonl [--fast] \\
        [--first before.jsonl]

Each mutation changes one comparison, operator, `not`, `and` / `or`, number or truth value inside a
function; annotations are left alone. The doctests of the module and the test files nearest to it
(by name, then by imports) run until the first failure: those of `make test`, then those of `make test-slow`. They
run in a fork of this process, which has imported torch and transformers once. A line of the output
is one mutation; those that no test noticed are printed, to be read: some change nothing that can be
seen. A mutation that is in the output is not tried again. With `--fast` the tests of `make
test-slow` are left out, as nine tenths of the time go into those; a later call without it tries
what was not noticed once more. With `--first`, the test that noticed a mutation in an earlier run is
tried first.

Run it in a checkout of its own (`git worktree add`), with PYTHONPATH=$PWD: the source changes while
it runs.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import json
import math
import multiprocessing
import os
import random
import resource
import signal
from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

PACKAGES = ("pyswarmopt", "pyswarmopt_llm", "pyswarmopt_groups", "pyswarmopt_rivals")
HEAVY = ("numpy", "scipy.stats", "torch", "transformers", "peft", "hypothesis", "safetensors.torch")
NEAREST = 4  # test files per module
LIMIT = 300  # seconds of CPU; what takes longer hangs, and has been noticed
WAIT = 3000  # seconds, for what hangs without work, on a busy machine
COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}  # fmt: skip


def places(tree: ast.Module) -> list[ast.AST]:
    """Nodes in functions that can be mutated."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    hints = {
        id(part)
        for function in functions
        for hint in annotations(function)
        for part in ast.walk(hint)
    }
    inside = {
        id(node): node
        for function in functions
        for node in ast.walk(function)
        if id(node) not in hints
    }
    return [node for node in inside.values() if mutable(node)]


def annotations(function: ast.FunctionDef) -> Iterator[ast.AST]:
    for node in ast.walk(function):
        yield from (
            hint
            for name in ("annotation", "returns")
            if (hint := getattr(node, name, None)) is not None
        )


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


class Imports:
    """Which files of the packages and tests import which."""

    def __init__(self) -> None:
        sources = [file for package in PACKAGES for file in Path(package).rglob("*.py")]
        tests = sorted(Path("tests").rglob("*.py"))
        self.tests = [file for file in tests if file.name.startswith("test_")]
        self._files = {
            ".".join(file.with_suffix("").parts).removesuffix(".__init__"): file for file in sources
        }
        self._files |= {file.stem: file for file in tests}
        self._importers: dict[Path, set[Path]] = defaultdict(set)
        self._sizes: dict[Path, int] = {}
        self._texts = {file: file.read_text(encoding="utf-8") for file in self.tests}
        for file in [*sources, *tests]:
            names = imported(file)
            self._sizes[file] = len(names)
            for name in names & self._files.keys():
                self._importers[self._files[name]].add(file)

    def nearest_tests(self, module: Path) -> list[Path]:
        """Test files of the module's name; then by the number of imports between them and it, those
        of its room first; last those that mention it, as tests of commands do.
        """
        distance = self._distances(module)
        stem = module.parent.name if module.stem == "__init__" else module.stem
        rooms = {*module.parts, module.parts[0].partition("_")[2] or "core"}

        def named(file: Path) -> bool:
            return {*stem.split("_")} <= {*file.stem.split("_")}

        def mentions(file: Path) -> bool:
            return bool(rooms & {*file.parts}) and stem in self._texts[file]

        def order(file: Path) -> tuple[bool, float, bool, int, Path]:
            near = distance.get(file, math.inf)
            return not named(file), near, not rooms & {*file.parts}, self._sizes[file], file

        # the documentation's examples take minutes, and look at few numbers
        tests = [file for file in self.tests if "docs" not in file.parts]
        return sorted((f for f in tests if f in distance or mentions(f)), key=order)[:NEAREST]

    def _distances(self, module: Path) -> dict[Path, int]:
        """How many imports there are between the module and each file that reaches it."""
        reached, latest, distance = {module: 0}, {module}, 0
        while latest:
            distance += 1
            latest = {
                importer for file in latest for importer in self._importers[file]
            } - reached.keys()
            reached |= dict.fromkeys(latest, distance)
        return reached


def imported(file: Path) -> set[str]:
    """Dotted names that a file imports; of ``from a import b`` both ``a`` and ``a.b``."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


class Failures:
    """Plugin of pytest: the tests that failed."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.names.append(report.nodeid)


def noticed_by(runs: Sequence[Sequence[str]]) -> str:
    """Run pytest with each of these words, until a test fails: its id, or why there is none; empty
    if all pass.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(runs, sender))
    process.start()
    sender.close()
    name = "too long"
    if receiver.poll(WAIT):
        try:
            name = receiver.recv()
        except EOFError:
            name = "died"
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid or 0, signal.SIGKILL)  # with what the tests have started
    process.join()
    return name


def _run(runs: Sequence[Sequence[str]], sender: Connection) -> None:
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    always = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-profile=ci"]
    for words in runs:
        failures = Failures()
        code = pytest.main([*always, *words], plugins=[failures])
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            sender.send((failures.names or ["not collected"])[0])
            return
    sender.send("")


def try_place(
    file: Path, place: int, tests: Sequence[Path], first: str, fast: bool
) -> dict[str, object]:
    """Mutate a place of a file, run its tests and put the file back, as old as it was."""
    source, times = file.read_text(encoding="utf-8"), file.stat()
    tree = ast.parse(source)
    node = places(tree)[place]
    line = int(getattr(node, "lineno", 0))
    mutate(node)
    files = [str(file), *map(str, tests)]
    tiers = ("not slow",) if fast else ("not slow", "slow")
    runs = [["-m", tier, *files] for tier in tiers]
    if Path(first.partition("::")[0]).is_file():
        runs = [[first.partition("[")[0]], *runs]
    file.write_text(ast.unparse(ast.fix_missing_locations(tree)), encoding="utf-8")
    before = spent()
    try:
        noticed = noticed_by(runs)
        if noticed == "not collected" and runs[0][0] != "-m":  # the test of an earlier run is gone
            noticed = noticed_by(runs[1:])
    finally:
        file.write_text(source, encoding="utf-8")
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    text = source.split("\n")[line - 1].strip()
    row = {"file": str(file), "place": place, "line": line, "text": text, "noticed": noticed}
    return {**row, "tiers": "fast" if fast else "both", "seconds": round(spent() - before, 1)}


def spent() -> float:
    """Seconds of CPU that the processes of tests have taken so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--fast", action="store_true", help="leave out the second tier")
    parser.add_argument("--first", type=Path, help="the output of an earlier run")
    args = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    for name in HEAVY:
        import_module(name)
    earlier = (
        [json.loads(line) for line in args.first.read_text("utf-8").splitlines()]
        if args.first
        else []
    )
    first = {(row["file"], row["place"]): row["noticed"] for row in earlier}
    files = sorted(file for package in PACKAGES for file in Path(package).rglob("*.py"))
    counts = {file: len(places(ast.parse(file.read_text(encoding="utf-8")))) for file in files}
    every = [(file, place) for file, count in counts.items() for place in range(count)]
    lines = args.out.read_text("utf-8").splitlines() if args.out.exists() else []
    imports, rows = Imports(), dict[tuple[str, int], dict[str, object]]()
    for row in map(json.loads, lines):  # a later line is a second try
        rows[row["file"], row["place"]] = row
    for file, place in random.Random(args.seed).sample(every, args.count):
        known = rows.get((str(file), place))
        if known and (known["noticed"] or args.fast or known.get("tiers") != "fast"):
            continue
        test = first.get((str(file), place), "")
        row = try_place(file, place, imports.nearest_tests(file), test, args.fast)
        rows[str(file), place] = row
        with args.out.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")
    print(f"{sum(bool(row['noticed']) for row in rows.values())} of {len(rows)} noticed; not:")
    for row in rows.values():
        if not row["noticed"]:
            print(f"{row['file']}:{row['line']}: {row['text']}")


if __name__ == "__main__":
    main()
