"""The commands by name: a table that imports none of them; packages beside this one add theirs."""

from __future__ import annotations

from pyswarmopt_llm.common.registry import is_there, plugins

_CLI, _TOOLS = "pyswarmopt_llm.cli", "pyswarmopt_llm.tools.cli"

SECTIONS: dict[str, dict[str, str]] = {
    "Start": {"demo": f"{_CLI}.demo:command", "init": f"{_CLI}.init:command"},
    "Search": {
        "search": f"{_CLI}.search:command",
        "resume": f"{_CLI}.search:resume",
        "report": f"{_CLI}.search:report",
        "analyse": f"{_TOOLS}.analyse:command",
    },
    "Use a result": {
        "predict": f"{_CLI}.predict:command",
        "generate": f"{_CLI}.generate:command",
        "export": f"{_TOOLS}.export:command",
    },
    "Check and find": {
        "eval": f"{_CLI}.evaluate:command",
        "inspect": f"{_CLI}.inspect:command",
        "check": f"{_TOOLS}.check:command",
        "find": f"{_TOOLS}.find:command",
    },
    "Compare and combine": {
        "train-expert": f"{_CLI}.train_expert:command",
        **{name: point.value for name, point in plugins("commands").items()},
    },
}
# Command -> "module:function", of the rooms that are there.
COMMANDS = {
    name: target
    for section in SECTIONS.values()
    for name, target in section.items()
    if is_there(target.partition(":")[0])
}
