"""Commands that commands print can be run as they stand, and a search prints no more than a screen."""

from __future__ import annotations

import io
import shlex
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from rich.console import Console
from search_helpers import MakeSearch, exit_code, parse, search_words, swarm_llm

from pyswarmopt_llm.cli import running


def commands(text: str) -> Iterator[str]:
    """The commands of swarm-llm in a text, each at the end of its line."""
    for line in text.splitlines():
        if "swarm-llm " in line:
            yield line[line.index("swarm-llm ") :].rstrip(".")


def test_every_printed_command_runs(
    make_search: MakeSearch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As typed; a file of the reader's own stands for TASK."""
    monkeypatch.chdir(tmp_path)
    config = make_search(tmp_path, 12, 12, particles=3, max_iter=1)
    base, task, experts = config.base, config.tasks[0], config.experts
    threads = ("--threads", 1)
    line = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}'
    (tmp_path / "new.csv").write_text("question,A,B\nWhich one?,yes,no\n")
    (tmp_path / "chats.jsonl").write_text(f"{line}\n" * 6)
    chats = ("--data", tmp_path / "chats.jsonl", "--examples", 5, "--rank", 2)
    methods = ("--methods", "uniform-soup,ties", "--seeds", 1)
    printed = {}
    for verb, *words in (
        search_words(config),
        ("inspect", *experts, "--base", base),
        ("check", *experts, "--base", base),
        ("train-expert", "--base", base, *chats, "--out", tmp_path / "my own", *threads),
        ("compare", "--base", base, "--experts", *experts, "--task", task, *methods,
         "--scoring", "likelihood", "--out", tmp_path / "compared", *threads),
        ("eval", "--base", base, "--adapter", experts[0], "--task", task, *threads),
    ):  # fmt: skip
        code, out, err = swarm_llm(capsys, verb, *words)
        assert code == 0, err
        printed[verb] = list(commands(out + err))
    for command in chain(*printed.values()):
        parse(command)
        words = shlex.split(command.replace("TASK.json", "TASK").replace("TASK", str(task)))
        code, _, err = swarm_llm(capsys, *words[1:])
        assert code == 0, (command, err)
    assert all(printed[verb] for verb in ("search", "inspect", "compare")), printed


def test_a_search_prints_a_screen(
    make_search: MakeSearch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = io.StringIO()
    console = Console(file=shown, width=100, force_terminal=True, color_system=None)
    monkeypatch.setattr(running, "open_console", lambda **_: console)
    config = make_search(tmp_path, 12, 12)
    words = [word for word in search_words(config) if word != "--quiet"]
    assert exit_code(*words) == 0
    lines = [line for line in shown.getvalue().splitlines() if "\x1b[2K" not in line]
    assert 10 < len(lines) <= 25
