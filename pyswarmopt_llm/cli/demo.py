"""`swarm-llm demo`: a real search, with adapters from a clone or from the package."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pyswarmopt_llm.cli.options import Json, Quiet
from pyswarmopt_llm.cli.running import loading, print_result, watched
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.options import OUTPUT, Option

PACKAGE = Path(__file__).resolve().parents[1]
UNLIKE = ("llama", "gpt2", "gemma3")


def command(
    out: Annotated[
        Path | None, Option("Run directory to create (default: runs/demo).", "RUN", OUTPUT)
    ] = None,
    seed: Annotated[int, Option("Random seed of the questions and the search.", "S", least=0)] = 0,
    score: Annotated[
        bool, Option("Run a demo without labels, in which a program scores the replies.")
    ] = False,
    token: Annotated[bool, Option("Mix models of three architectures (--space token).")] = False,
    quick: Annotated[
        bool, Option("Use a tiny model; takes half a minute and needs no clone.")
    ] = False,
    full: Annotated[bool, Option("Use 100 labels instead of 32, and 200 test examples.")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Run a real search in a few minutes: eleven small experts, five of them useful.

    Example: swarm-llm demo --quick
    """
    kinds = {"score": score, "token": token, "quick": quick, "full": full}
    chosen = [name for name, on in kinds.items() if on]
    if len(chosen) > 1:
        raise UserError(f"--{' and --'.join(chosen)} are different demos; choose one")
    run = out or Path("runs", "-".join(["demo", *chosen]))
    if token:
        config = token_search(seed, run)
    elif score or quick:
        config = letters_search(seed, run)
    else:
        config = demo_search(seed, run, full)
    if quick:
        config = replace(config, train="off")
    with loading(quiet):
        from pyswarmopt_llm.api import search
    with watched(run, quiet) as on_event:
        found = search(config, on_event)
    print_result(found, as_json)


def demo_search(seed: int, out: Path, full: bool = False) -> SearchConfig:
    """The demo's search, with one seed for the questions and the search.

    The base is the embedded model if it is installed; otherwise its hub id, a download of 270 MB.
    There are 32 labels and 100 test examples; if `full`, 100 and 200.
    """
    from pyswarmopt_llm.experts.quantised import NAME, spec_of

    return SearchConfig(
        base=spec_of(NAME) or NAME,
        experts=adapters("experts", "others"),
        tasks=(f"builtin:five-desks:{seed}",),
        out=str(out),
        dev=100 if full else 32,
        test=200 if full else 100,
        scoring="likelihood",
        seed=seed,
    )


def letters_search(seed: int, out: Path) -> SearchConfig:
    """The demo's search with a score function: a 0.9M-parameter base and ten experts, each with two
    rules for letters; a program checks the replies.
    """
    folder = demo_folder("letters")
    return SearchConfig(
        base=str(folder / "base"),
        experts=adapters("letters/experts"),
        tasks=(),
        prompts=str(folder / "prompts.jsonl"),
        metrics=(f"{folder / 'check.py'}:check",),
        out=str(out),
        dev=100,
        max_new_tokens=6,
        dtype="float32",
        seed=seed,
    )


def token_search(seed: int, out: Path) -> SearchConfig:
    """The demo's search over next-token predictions: a Llama, a GPT-2 and a Gemma 3, each with two of
    six skills; the last is wrong about the other four.
    """
    folder = demo_folder("unlike")
    return SearchConfig(
        base="",
        experts=tuple(str(folder / name) for name in UNLIKE),
        tasks=(str(folder / "task.json"),),
        out=str(out),
        space="token",
        dev=100,
        test=300,
        scoring="likelihood",
        dtype="float32",
        seed=seed,
    )


def demo_folder(name: str) -> Path:
    """A folder of the demo's files, in ``examples`` of this package's clone or in the package.

    The working directory is not searched: `--score` executes a program from the folder.

    Raises:
        UserError: the folder needs a clone of the package.
    """
    for parent in (PACKAGE.parent / "examples", PACKAGE / "published" / "builtin"):
        if any((parent / name).glob("**/*config.json")):
            return parent / name
    raise UserError(
        "this demo's models are only in a clone of the repository; run make demo "
        "there, or swarm-llm demo --quick, which needs no clone"
    )


def adapters(*names: str) -> tuple[str, ...]:
    """The adapters in these folders of the demos, by path."""
    configs = [found for name in names for found in demo_folder(name).glob("*/adapter_config.json")]
    return tuple(sorted(str(config.parent) for config in configs))
