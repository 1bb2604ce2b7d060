"""`swarm-llm demo`: a real search on the experts of the checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pyswarmopt_llm.cli.options import DryRun, Json, Quiet
from pyswarmopt_llm.cli.running import print_plan, print_result, watched
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.options import OUTPUT, Option

PACKAGE = Path(__file__).resolve().parents[1]
UNLIKE = ("llama", "gpt2", "gemma3")


def command(
    out: Annotated[
        Path | None, Option("Run directory to create (runs/demo).", "RUN", OUTPUT)
    ] = None,
    seed: Annotated[int, Option("Random seed, of the questions too.", "S", least=0)] = 0,
    score: Annotated[bool, Option("Without labels: a program scores written letters.")] = False,
    token: Annotated[bool, Option("Models of three architectures, by --space token.")] = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """A real search in a few minutes: eleven small experts, five of them useful; with --score, a
    metric without labels; with --token, models of three architectures.

    Example: swarm-llm demo --out runs/demo
    """
    run = out or Path("runs", f"demo{'-score' * score}{'-token' * token}")
    if score and token:
        raise UserError("--score and --token are two demos; give one of them")
    labelled = token_search if token else demo_search
    config = (letters_search if score else labelled)(seed, run)
    if dry_run:
        from pyswarmopt_llm.searching.dry_run import dry_run_search

        print_plan(dry_run_search(config), as_json)
        return
    from pyswarmopt_llm.report.run import search

    with watched(run, quiet) as on_event:
        found = search(config, on_event)
    print_result(found, as_json)


def demo_search(seed: int, out: Path) -> SearchConfig:
    """The demo's search; `seed` is for the questions and the search."""
    return SearchConfig(
        base=demo_base(),
        experts=adapters(demo_folder("experts"), demo_folder("others")),
        tasks=(f"builtin:five-desks:{seed}",),
        out=str(out),
        dev=100,
        test=200,
        scoring="likelihood",
        seed=seed,
    )


def letters_search(seed: int, out: Path) -> SearchConfig:
    """The demo's search of a score: a base of 0.9 million weights and ten experts, each with two
    rules for letters; a program checks the replies.
    """
    folder = demo_folder("letters")
    return SearchConfig(
        base=str(folder / "base"),
        experts=adapters(folder / "experts"),
        tasks=(),
        prompts=str(folder / "prompts.jsonl"),
        metrics=(f"{folder / 'check.py'}:check",),
        out=str(out),
        dev=100,
        spare=400,
        max_new_tokens=6,
        dtype="float32",
        seed=seed,
    )


def token_search(seed: int, out: Path) -> SearchConfig:
    """The demo's search of predictions: a Llama, a GPT-2 and a Gemma 3, each with two of six
    skills; the last is wrong about the other four.
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
    """A folder of the demo's files, in ``examples`` of this package's clone.

    The working directory is not searched: `--score` executes a program from the folder.

    Raises:
        UserError: there is no clone of the package.
    """
    folder = PACKAGE.parent / "examples" / name
    if any(folder.glob("**/*config.json")):
        return folder
    raise UserError(
        "the demos' models come with a clone of the repository, not with the package; run "
        "`make demo` in a clone, or install the package from it: pip install -e '.[llm]'"
    )


def adapters(*folders: Path) -> tuple[str, ...]:
    """The adapters in these folders, by path."""
    configs = [config for folder in folders for config in folder.glob("*/adapter_config.json")]
    return tuple(sorted(str(config.parent) for config in configs))


def demo_base() -> str:
    """The embedded model if installed, else its hub id, for a download of 270 MB."""
    from pyswarmopt_llm.experts.quantised import NAME, spec_of

    return spec_of(NAME) or NAME
