"""What tests/frozen/*.txt and *.json hold of the interface: help texts, keys of JSON, public names.

Used by the tests, which compare it with what is now, and by tests/frozen/make.py, which writes it.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyswarmopt
from pyswarmopt.cli import main as pyswarmopt_main
from pyswarmopt_llm.cli.app import main as swarm_llm_main

Json = dict[str, Any]
MAINS: dict[str, Callable[[Sequence[str]], Any]] = {
    "swarm-llm": swarm_llm_main,
    "pyswarmopt": pyswarmopt_main,
}
PLAIN = {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb", "FORCE_COLOR": "", "CLICOLOR_FORCE": ""}

MODELS = "--base base --experts experts/ant experts/bee experts/cat --task words.json"
MEMBERS = "--members experts/ant experts/bee --base base --task words.json --scoring likelihood"
QUICK = "--dtype float32 --threads 1 --quiet"
SEARCH = f"search {MODELS} --particles 5 --max-iter 1 --scoring likelihood {QUICK}"
# In this order in one directory: later ones read what earlier ones wrote.
COMMANDS = [
    f"swarm-llm {SEARCH} --out run --json",
    f"swarm-llm {SEARCH} --task more.json --out joint --json",
    f"swarm-llm {SEARCH} --space token --out token --json",
    "swarm-llm resume run --quiet --json",
    f"swarm-llm {SEARCH} --out lines --json-lines",
    (
        "swarm-llm eval --base base --task words.json --scoring likelihood --dtype float32 "
        "--threads "
        "1 --json"
    ),
    "swarm-llm eval --base base --adapter run/best --task words.json --scoring likelihood --dtype "
    "float32 --threads 1"
    " --json",
    "swarm-llm inspect experts/ant experts/bee --base base --json",
    "swarm-llm check experts/ant experts/bee --base base --threads 1 --json",
    "swarm-llm find experts/ant experts/bee --base base --task words.json --scoring likelihood "
    "--dtype float32 --threads 1 --json",
    (
        "swarm-llm generate --base base --adapter run/best --max-new-tokens 3 --dtype float32 "
        "--threads 1 --json Hello"
    ),
    (
        "swarm-llm merge --base base --experts experts/ant experts/bee --method ties --out merged "
        "--json"
    ),
    "swarm-llm export run --format peft --rank 2 --out smaller --json",
    "swarm-llm analyse run --json",
    f"swarm-llm compare {MODELS} --methods best-single,uniform-soup,model-swarms --seeds 2 "
    "--budget-items 400"
    f" --scoring likelihood {QUICK} --out compared --json",
    f"swarm-llm ensemble {MEMBERS} --strategy majority,weighted {QUICK} --json",
    f"swarm-llm negotiate {MEMBERS} --strategy consensus,game --test 4 --dev 4 {QUICK} --json",
    "swarm-llm train-expert --base base --data builtin:dates --examples 4 --rank 2 --epochs 1 "
    "--dtype float32"
    " --threads 1 --quiet --out trained --json",
    f"swarm-llm distill {MEMBERS} --strategy majority --dev 4 --test 4 --rank 2 --epochs 1 "
    f"{QUICK} --out student"
    " --json",
    "pyswarmopt run sphere --dim 2 --max-evals 60 --json",
    "pyswarmopt compare sphere --recipes constriction,fips --seeds 2 --max-evals 60 --dim 2 --json",
    "pyswarmopt list --json",
    "pyswarmopt lesson --out lesson.html --no-open --json",
]
FILES = [
    "run/result.json",
    "joint/result.json",
    "compared/compare.json",
    "run/run.json",
]
# What has the keys of what another command prints, which are kept once.
ALIKE = {
    "swarm-llm resume run --quiet --json": COMMANDS[0],
    "run/result.json": COMMANDS[0],
    "joint/result.json": COMMANDS[1],
    "compared/compare.json": next(line for line in COMMANDS if "swarm-llm compare" in line),
}


def output(program: str, words: Sequence[str]) -> str:
    """What a command prints on standard output; it has to end with 0."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            MAINS[program](words)
        except SystemExit as end:
            if end.code:
                raise RuntimeError(
                    f"{program} {' '.join(words)}: exit code {end.code}\n{err.getvalue()}"
                ) from end
    return out.getvalue()


# Help


def help_of(program: str) -> str:
    """The help of a program and of each of its commands, at 100 columns and without colours."""
    with plain():
        top = output(program, ["--help"])
        names = commands(top)
        texts = {program: top} | {
            f"{program} {name}": output(program, [name, "--help"]) for name in names
        }
    return "\n".join(f"$ {words} --help\n{_trimmed(text)}" for words, text in texts.items())


def commands(text: str) -> list[str]:
    """The names in a program's list of commands."""
    rows = text.split("\n\n")[1].splitlines()
    column = len(re.split(r"(?<=  )(?=\S)", rows[0])[0])  # headings come first
    return [row[column:].split()[0] for row in rows if row[column:].strip() and row[column] != " "]


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines()) + "\n"


@contextlib.contextmanager
def plain() -> Any:
    before = {name: os.environ.get(name) for name in PLAIN}
    os.environ.update(PLAIN)
    for name in ("FORCE_COLOR", "CLICOLOR_FORCE"):
        os.environ.pop(name)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


# JSON


# which it is depends on the last bits
BY_OUTCOME = {"items_needed": "list, or NoneType where there is no difference"}


def shape(value: Any) -> Any:
    """Keys and types: objects by key, lists by the shapes that occur in them, everything else by
    its type's name.
    """
    if isinstance(value, dict):
        return {key: BY_OUTCOME.get(key) or shape(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        kinds = {json.dumps(shape(one), sort_keys=True): shape(one) for one in value}
        return [kinds[kind] for kind in sorted(kinds)]
    return type(value).__name__


def shapes() -> Json:
    """Command, or file -> the shape of its JSON; runs all of `COMMANDS` in the current
    directory.
    """
    found: Json = {}
    for command in COMMANDS:
        program, *words = command.split()
        text = output(program, words)
        lines = (
            [json.loads(line) for line in text.splitlines()]
            if "--json-lines" in words
            else json.loads(text)
        )
        found[command] = shape(lines)
    return found | {file: shape(json.loads(Path(file).read_text())) for file in FILES}


# Names


def names() -> Json:
    """What `import pyswarmopt` offers: its public names, and those of each of its public
    modules.
    """
    modules = {name: getattr(pyswarmopt, name) for name in pyswarmopt.__all__}
    modules = {
        name: value for name, value in modules.items() if isinstance(value, types.ModuleType)
    }
    return {
        "pyswarmopt": sorted(pyswarmopt.__all__),
        **{
            f"pyswarmopt.{name}": sorted(module.__all__) for name, module in sorted(modules.items())
        },
    }
