"""Commands of `swarm-llm` to copy, from settings."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pyswarmopt_llm.common.config import PROMPTS, SearchConfig
from pyswarmopt_llm.common.options import RARE, Option, option_name, options_of


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
        >>> command("search", columns=["question=body", "label=team"], metrics=("f1",), samples=3)
        'swarm-llm search --columns question=body,label=team --metric f1 --set samples=3'
    """
    return shlex.join(["swarm-llm", verb, *arguments, *_words(settings)])


def _words(settings: Mapping[str, Any]) -> Iterator[str]:
    options = options_of(SearchConfig)
    for name, value in settings.items():
        option = options.get(name, Option(""))
        values = list(value) if isinstance(value, list | tuple) else [value]
        texts = [_text(each) for each in values if each is not None and each is not False]
        if option.commas:
            texts = [",".join(texts)]
        texts = list(filter(None, texts))
        flag = f"--{option_name(name, option)}"
        if option.metavar.endswith("...") and texts:
            yield from (flag, *texts)
            continue
        for text in texts:
            if option.group == RARE:
                yield from ("--set", text if name == "settings" else f"{flag[2:]}={text}")
            else:
                yield from (flag,) if value is True else (flag, text)


def _text(value: object) -> str:
    return "true" if value is True else str(value)


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
    """Settings of a `SearchConfig` that do not have their default values.

    Example:
        >>> changed({"columns": [], "dev": 40, "test": None})
        {'dev': 40}
    """
    return {
        name: value
        for name, value in settings.items()
        if value not in (getattr(SearchConfig, name), [])
    }
