"""What search, resume and demo share: progress on stderr, the result on stdout, advice after Ctrl-C."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pyswarmopt.cli.terminal import echo, open_console
from pyswarmopt_llm.cli.build import with_flags
from pyswarmopt_llm.common.config import command
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.events import OnEvent
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.options import BARE
from pyswarmopt_llm.report.progress import bar, progress
from pyswarmopt_llm.scores.tasks.columns import parse_reading
from pyswarmopt_llm.scores.tasks.load import NO_FILES, read_whole

if TYPE_CHECKING:
    from pyswarmopt_llm.api import SearchResult


def check_files(config: Any, specs: Sequence[str]) -> None:
    """Read a configuration's task files, to report faults before a model is loaded.

    Args:
        config: configuration of a command.
        specs: its tasks; only files are checked.

    Raises:
        UserError: a file is missing, or cannot be read.
    """
    reading = parse_reading(config.columns)
    for spec in specs:
        if spec.partition(":")[0] not in NO_FILES:
            read_whole(spec, None, None, reading)


def check_model(name: str | None) -> None:
    """Refuse a model that is neither a path nor a hub id, before torch is loaded.

    Raises:
        UserError: there is no such directory.
    """
    if not name or name == BARE or ":" in name or name.endswith(".gguf"):
        return
    of_hub = name.count("/") == 1 and not name.startswith((".", "/", "~"))
    if not (of_hub or user_path(name).exists()):
        raise UserError(f"{name}: no such directory; check the path")


@contextmanager
def interruptible(advice: Callable[[], str]) -> Iterator[None]:
    """Turn Ctrl-C, SIGTERM and SIGHUP into exit code 130 and advice, but those that are ignored, as
    `nohup` ignores SIGHUP.
    """
    ends = [
        end
        for end in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(end) is not signal.SIG_IGN
    ]
    before = [signal.signal(end, signal.default_int_handler) for end in ends]
    try:
        yield
    except KeyboardInterrupt:
        echo(f"\ninterrupted; {advice()}", err=True)
        raise typer.Exit(130) from None
    finally:
        for end, handler in zip(ends, before, strict=True):
            signal.signal(end, handler)


def nothing_written() -> str:
    """The hint after interrupting a command that writes all or nothing."""
    return "nothing was written; repeat the command"


def repeating() -> str:
    """The hint on how to continue an interrupted command."""
    return f"resume with: {shlex.join(['swarm-llm', *sys.argv[1:]])}"


def check_adapters(specs: Sequence[str]) -> None:
    """Read the headers of adapters on this disk, to report faults before transformers is imported.

    Raises:
        UserError: an adapter is damaged, or of a type that cannot be read.
    """
    here = [spec for spec in specs if (user_path(spec) / "adapter_config.json").is_file()]
    if here:
        from pyswarmopt_llm.experts.adapter import read_adapter

        for spec in here:
            read_adapter(spec)


@contextmanager
def loading(quiet: bool = False) -> Iterator[None]:
    """Tell on stderr that a command has begun, while it imports torch and more, which takes seconds."""
    if "torch" in sys.modules or quiet:
        yield
        return
    console = open_console(stderr=True)
    if not console.is_terminal:
        echo("loading libraries", err=True)
    with bar(console, "loading libraries"):
        yield


@contextmanager
def items_bar(quiet: bool, waiting: str = "loading the model") -> Iterator[Callable[..., None]]:
    """A progress bar on a terminal; its function takes the numbers done and in total, and their unit."""
    with bar(open_console(stderr=True, quiet=quiet), waiting) as update:

        def show(done: int, total: int, what: str = "examples") -> None:
            update(completed=done, total=total, description=what)

        yield show


@contextmanager
def watched(run: Path, quiet: bool) -> Iterator[OnEvent]:
    """The listener that shows the progress of a search on stderr, unless `quiet`. If the search is
    interrupted, a hint says how to resume it.
    """
    console = open_console(stderr=True, quiet=quiet)
    with interruptible(partial(resuming, run)), progress(console, with_flags) as listener:
        yield listener


def resuming(run: Path) -> str:
    """The hint on how to resume a run."""
    if (run / "run.json").is_file():
        return f"resume with: {command('resume', str(run))}"
    return "nothing has been written"


def print_result(found: SearchResult, as_json: bool) -> None:
    """Print a finished run as JSON, or its verdict, scores, cost and next steps."""
    if as_json:
        typer.echo(json.dumps(found.result))
        return
    from pyswarmopt_llm.report.findings import findings, print_findings
    from pyswarmopt_llm.run.directory import read_about
    from pyswarmopt_llm.run.result import RunResult

    shown = findings(read_about(found.run), RunResult.from_json(found.result))
    print_findings(open_console(), found.run, shown)


def print_either(
    record: Mapping[str, Any], lines: Iterable[str], as_json: bool, note: str = ""
) -> None:
    """Print a result as JSON, or as lines for people; a note goes to stderr."""
    if note:
        echo(with_flags(note), err=True)
    if as_json:
        typer.echo(json.dumps(record))
        return
    for line in lines:
        echo(line)
