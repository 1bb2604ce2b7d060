"""The tools of `swarm-llm mcp`, called by the official SDK's client: in memory, and over the pipes of a process."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from search_helpers import louder, questions, small, swarm_llm, write_task

from pyswarmopt_llm.cli.mcp.background import Background
from pyswarmopt_llm.cli.mcp.tools import Tools
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.jobs.search.loop import search
from pyswarmopt_llm.reporting.verdict import verdict

mcp = pytest.importorskip("mcp")

TOOLS = ["advise", "inspect", "result", "search", "status"]
Call = Callable[..., tuple[str, bool]]


@pytest.fixture
def call() -> Call:
    """Call a tool of one server: its text, and whether it is an error."""
    from pyswarmopt_llm.cli.mcp.tools import make_server

    server = make_server()

    def call(tool: str, **arguments: Any) -> tuple[str, bool]:
        async def ask() -> Any:
            async with mcp.Client(server) as client:
                return await client.call_tool(tool, arguments)

        answer = anyio.run(ask)
        return answer.content[0].text, bool(answer.is_error)

    return call


@pytest.fixture
def given(tiny_base: Path, tiny_experts: list[Path], tmp_path: Path) -> dict[str, Any]:
    """Arguments of advise and search."""
    task = write_task(tmp_path / "words.json", questions(12, 1), questions(8, 2))
    experts = [str(path) for path in louder(tiny_experts, tmp_path / "loud")]
    return {"base": str(tiny_base), "experts": experts, "task": str(task)}


def finished(call: Call, run: Path) -> str:
    """The status of a run that has ended, for which a minute is enough."""
    for _ in range(600):
        status, error = call("status", run=str(run))
        assert not error, status
        if not any(word in status for word in (": running.", ": started,")):
            return status
        time.sleep(0.1)
    raise AssertionError(status)


def test_inspect_says_in_json_which_space_the_experts_can_be_mixed_in(call: Call, given: dict[str, Any]) -> None:
    text, error = call("inspect", experts=given["experts"], base=given["base"])
    assert not error
    found = json.loads(text)
    assert [row["expert"] for row in found["experts"]] == ["ant", "bee", "cat"]
    assert found["recommended"] == "delta" and found["problems"] == []


@pytest.mark.slow
def test_a_search_runs_in_the_background_and_ends_as_in_this_process(
    call: Call, given: dict[str, Any], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    text, error = call("search", **given, out=str(run), particles=4, max_iter=1, seed=3)
    assert not error and text.startswith(f"{run}: ")
    status = finished(call, run)
    result = json.loads((run / "result.json").read_text())
    assert status == f"{run}: finished. {verdict(result).sentence}"
    words, error = call("result", run=str(run))
    assert not error and verdict(result).sentence in words and f"{result['best_test']:.3f}" in words
    again = small(given["base"], [Path(one) for one in given["experts"]], [Path(given["task"])], tmp_path / "again")
    config = json.loads((run / "run.json").read_text())["config"]
    assert (config["particles"], config["max_iter"], config["seed"]) == (4, 1, 3)
    assert search(again).result["best_single_test"] == result["best_single_test"]


@pytest.mark.slow
def test_advise_starts_a_trial_and_when_called_again_says_what_is_best(
    call: Call, given: dict[str, Any], tmp_path: Path
) -> None:
    run = tmp_path / "advice"
    _, error = call("advise", **given, out=str(run))
    assert not error
    for _ in range(600):
        words, error = call("advise", **given, out=str(run))
        assert not error, words
        if "Measured" in words:
            break
        time.sleep(0.1)
    assert "Measured on 12 dev items" in words
    assert words.splitlines()[0].split()[0].rstrip(":") in ("Take", "Merge", "Train", "Search", "Collect")


@pytest.mark.slow
def test_what_a_search_refuses_comes_back_as_the_text_of_the_error(
    call: Call, given: dict[str, Any], tmp_path: Path
) -> None:
    text, error = call("search", **{**given, "experts": given["experts"][:1]}, out=str(tmp_path / "run"))
    assert error and "--experts: 1 given, a search mixes at least 2" in text and "\n" not in text
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("tool", ["advise", "search"])
def test_the_columns_of_a_file_reach_the_command(
    tool: str, given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(Background, "start", lambda self, words, run, begun="": started.append(list(words)))
    columns = ["question=body", "label=team"]
    with pytest.raises(UserError, match="no run there"):  # nothing was started
        getattr(Tools(), tool)(**{**given, "task": "tickets.csv"}, out=str(tmp_path / "run"), columns=columns)
    (words,) = started
    assert words[0] == tool and words[words.index("--columns") + 1] == ",".join(columns)


def test_each_user_error_of_a_tool_is_its_text(call: Call, given: dict[str, Any], tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    for tool, arguments, said in (
        ("status", {"run": str(absent)}, "no run there"),
        ("result", {"run": str(absent)}, "not finished; see status"),
        ("result", {"run": given["base"]}, "not a run directory"),
        ("inspect", {"experts": given["experts"], "base": str(absent)}, "absent"),
        ("search", {**given, "out": given["base"]}, "exists and is not empty"),
        ("search", {**given, "task": "lm-eval:own.yaml", "out": str(absent)}, "no assistant may start"),
        ("advise", {**given, "task": "lm-eval:own.yaml", "out": str(absent)}, "no assistant may start"),
    ):
        text, error = call(tool, **arguments)
        assert error and said in text and "\n" not in text, text
    assert not absent.exists()


def test_a_stopped_run_names_the_command_that_resumes_it(call: Call, given: dict[str, Any], tmp_path: Path) -> None:
    run = tmp_path / "run"
    config = small(given["base"], [Path(one) for one in given["experts"]], [Path(given["task"])], run)
    search(config)
    (run / "result.json").unlink()
    text, error = call("status", run=str(run))
    assert not error and text == f"{run}: stopped; resume with: swarm-llm resume {run}"


@pytest.mark.slow
def test_the_command_serves_over_pipes_from_the_folder_given(tmp_path: Path) -> None:
    from mcp.client.stdio import StdioServerParameters

    (tmp_path / "something").mkdir()
    (tmp_path / "something" / "else.txt").write_text("x")
    start = "from pyswarmopt.cli.start import swarm_llm; swarm_llm()"
    words = ["-c", start, "mcp", "--folder", str(tmp_path)]

    async def ask() -> tuple[list[str], str]:
        async with mcp.Client(StdioServerParameters(command=sys.executable, args=words)) as client:
            tools = (await client.list_tools()).tools
            answer = await client.call_tool("status", {"run": "something"})
            return sorted(tool.name for tool in tools), answer.content[0].text

    names, text = anyio.run(ask)
    assert names == TOOLS
    assert f"{tmp_path / 'something'}: not a run directory" in text


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = swarm_llm(capsys, "mcp", "--folder", tmp_path / "none")
    assert (code, out) == (2, "") and "cannot be entered (No such file or directory)" in err and err.count("\n") == 1
