"""The tools of the server: each is a command of `swarm-llm`, its answer the words that the command prints."""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Callable
from dataclasses import asdict
from functools import wraps
from pathlib import Path
from typing import Any

from pyswarmopt.cli.terminal import open_console
from pyswarmopt_llm.cli.mcp.background import Background
from pyswarmopt_llm.cli.models.inspect import as_record, examine
from pyswarmopt_llm.cli.runs.advise import Trial, advice_lines
from pyswarmopt_llm.cli.runs.running import show_result
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.extras import optional
from pyswarmopt_llm.common.files.paths import user_path
from pyswarmopt_llm.reporting.commands import command_line, option_words
from pyswarmopt_llm.reporting.follow import Follower, Status
from pyswarmopt_llm.reporting.summary import duration
from pyswarmopt_llm.reporting.terminal.state import SearchState
from pyswarmopt_llm.reporting.verdict import verdict

INSTRUCTIONS = (
    "Finds a better language model among mixtures of LoRA adapters of one base, scored on a task with dev and test "
    "items. Begin with inspect, then advise; search if it recommends that; follow a run with status; end with result. "
    "advise and search run in the background, for minutes or hours."
)
COLUMNS = 100  # of tables


class Tools:
    """What the server offers; the docstrings are what the assistant reads."""

    def __init__(self) -> None:
        self._background = Background()

    def inspect(self, experts: list[str], base: str | None = None) -> str:
        """Check whether LoRA adapters can be mixed, and on that base, and say what to do if not. Returns JSON.

        experts: adapter directories. base: directory, hub id or embedded:smollm2-135m.
        """
        return json.dumps(as_record(*examine(experts, base)))

    def advise(
        self,
        base: str,
        experts: list[str],
        task: str,
        out: str = "runs/advice",
        dev: int | None = None,
        columns: list[str] | None = None,
    ) -> str:
        """Say what is best here: take one expert, merge, train, search, or collect more examples.

        A small trial on the dev items runs in the background, in the directory out; call advise again with the same
        arguments once status says that it has finished. task: a file of questions (JSON, JSONL, CSV) or builtin:NAME.
        columns: names of the file's columns, ["question=body", "label=team"], where they are not recognised.
        """
        run = _absolute(out)
        trial = Trial(base, tuple(experts), task, str(run), dev, tuple(columns or ()))
        _refuse_code(trial.search)
        if (run / "advice.json").exists():
            from pyswarmopt_llm.jobs.advise import advise

            return "\n".join(advice_lines(advise(trial.search)))
        halves = [half for half in (run / "half-2", run / "half-1") if half.exists()]
        if not self._background.running(run) and all(Follower(half).status is not Status.RUNNING for half in halves):
            words = ["advise", "--base", base, "--experts", *experts, "--task", task, "--out", str(run)]
            words += option_words({"dev": dev, "columns": columns or []})
            self._background.start(words, run, begun="half-1/run.json")
        return self.status(str(next((half for half in (run / "half-2", run / "half-1") if half.exists()), run)))

    def search(
        self,
        base: str,
        experts: list[str],
        task: str,
        out: str,
        space: str = "auto",
        particles: int = 20,
        max_iter: int | None = None,
        dev: int | None = None,
        test: int | None = None,
        budget_minutes: float | None = None,
        seed: int = 0,
        columns: list[str] | None = None,
    ) -> str:
        """Start a search for a better model in the background; returns its run directory at once.

        out: run directory to create. dev, test: use the first so many items. budget_minutes: for all evaluations.
        columns: as for advise.
        """
        run, limits = _absolute(out), {"dev": dev, "test": test, "budget_minutes": budget_minutes}
        chosen = {"space": space, "particles": particles, "max_iter": max_iter, "seed": seed, **limits}
        named = tuple(columns or ())
        config = SearchConfig(base, tuple(experts), (task,), str(run), columns=named, **chosen)  # type: ignore[arg-type]
        _refuse_code(config)
        from pyswarmopt_llm.evaluation.run_directory import check_new

        check_new(run)
        self._background.start(shlex.split(command_line(asdict(config)))[1:], run)
        return self.status(str(run))

    def status(self, run: str) -> str:
        """The progress of a run, of this server or of any other process: one line."""
        path = _absolute(run)
        running, failure = self._background.running(path), self._background.failure(path)
        follower, state = Follower(path), SearchState()
        for event in follower.news():
            state.add(event)
        if follower.result is not None:
            return f"{path}: finished. {verdict(follower.result).sentence}"
        if follower.status is Status.ABSENT:
            if running:
                return f"{path}: started, loading models"
            raise UserError(failure or f"{path}: no run there, and none has been started; check the path")
        if follower.status is Status.STOPPED and not running:
            why = f" ({failure})" if failure else ""
            return f"{path}: stopped{why}; resume with: {shlex.join(['swarm-llm', 'resume', str(path)])}"
        return f"{path}: running. {_progress(state)}"

    def result(self, run: str) -> str:
        """The result of a finished run in words: verdict, scores on dev and on held-out test items, what to do next."""
        path = _absolute(run)
        follower = Follower(path)
        follower.news()
        if follower.result is None:
            raise UserError(f"{path}: not finished; see status")
        text = io.StringIO()
        show_result(open_console(file=text, width=COLUMNS), path, follower.result)
        return text.getvalue()


def make_server() -> Any:
    """The server, an `MCPServer` of the official SDK, with all tools.

    Raises:
        UserError: the SDK is not installed.
    """
    sdk = optional("mcp.server", "swarm-llm mcp")
    server = sdk.MCPServer("swarm-llm", instructions=INSTRUCTIONS, log_level="ERROR")
    tools = Tools()
    for tool in (tools.inspect, tools.advise, tools.search, tools.status, tools.result):
        server.add_tool(_answering(tool), structured_output=False)
    return server


def _answering(tool: Callable[..., str]) -> Callable[..., str]:
    """The tool with its `UserError` as the SDK's error, whose text the assistant gets."""
    from mcp.server.mcpserver.exceptions import ToolError

    @wraps(tool)
    def answer(**given: Any) -> str:
        try:
            return tool(**given)
        except UserError as error:
            raise ToolError(str(error)) from error

    return answer


def _absolute(path: str) -> Path:
    """The path as a process in another directory can use it."""
    return user_path(path).absolute()


def _refuse_code(config: SearchConfig) -> None:
    """Refuse settings that run code: a person has to name them on the command line."""
    from pyswarmopt_llm.metrics.external.permission import runs_code

    for option, value in runs_code(config):
        raise UserError(f"{option} {value}: runs code, which no assistant may start; run swarm-llm in a terminal")


def _progress(state: SearchState) -> str:
    if state.best is None:
        return f"{state.phase.capitalize()}."
    left = "" if state.seconds_left is None or state.over else f", at most {duration(state.seconds_left)} left"
    single = "" if state.single is None else f" (best expert alone: {state.single[1]:.3f}, {state.single[0]})"
    phase = f", {state.phase}" if state.phase else ""
    where = f"{state.done} evaluations, iteration {state.iteration}"
    return f"Best dev score {state.best:.3f}{single} after {where}{phase}{left}."
