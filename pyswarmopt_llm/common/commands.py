"""Commands of `swarm-llm` to copy, from settings."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pyswarmopt_llm.common.config import PROMPTS, SearchConfig
from pyswarmopt_llm.common.options import option_name, options_of


def command(verb: str, *arguments: str, **settings: Any) -> str:
    """A command line.

    Args:
        verb: the command.
        *arguments: what stands before its options.
        **settings: its options, which are those of `SearchConfig` where they have the same name;
            None, False and what is empty is left out.

    Example:
        >>> command("merge", base="b", experts=["x", "y z"], rank=3, task=None)
        "swarm-llm merge --base b --experts x 'y z' --rank 3"
        >>> command("search", columns=["question=body", "label=team"], metrics=("f1", "a=bleu"), no_rivals=True)
        'swarm-llm search --columns question=body,label=team --metric f1 --metric a=bleu --no-rivals'
    """
    return shlex.join(["swarm-llm", verb, *arguments, *_words(settings)])


def _words(settings: Mapping[str, Any]) -> Iterator[str]:
    options = options_of(SearchConfig)
    for name, value in settings.items():
        option = options.get(name)
        if option is not None and not option.help:  # from Python alone
            continue
        flag = f"--{option_name(name, option)}"
        values = list(value) if isinstance(value, list | tuple) else [value]
        if option is not None and option.commas and values:
            values = [",".join(map(str, values))]
        if option is not None and option.metavar.endswith("...") and values:
            yield flag
            yield from map(str, values)
            continue
        for text in values:
            if text is None or text is False or text == "":
                continue
            yield flag
            if text is not True:
                yield str(text)


def task_settings(tasks: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Tasks as the options that name them.

    Example:
        >>> command("eval", **task_settings(["quiz.csv", "prompts:asks.txt"]))
        'swarm-llm eval --task quiz.csv --prompts asks.txt'
    """
    files = [task for task in tasks if task.startswith(PROMPTS)]
    return {
        "tasks": tuple(task for task in tasks if task not in files),
        "prompts": tuple(file.removeprefix(PROMPTS) for file in files),
    }


def changed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those settings of a `SearchConfig` that do not have their default values.

    Example:
        >>> changed({"columns": [], "dev": 40, "test": None})
        {'dev': 40}
    """
    return {
        name: value
        for name, value in settings.items()
        if value not in (getattr(SearchConfig, name), [])
    }
