"""What to do after a comparison: the commands that make the best method's result."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from pyswarmopt_llm.common.config import MODEL_SWARMS, SearchConfig
from pyswarmopt_llm.common.options import command_words, setting_words
from pyswarmopt_llm.reporting.commands import command_line, option_words
from pyswarmopt_rivals.comparison.contestants import ADAPTER, ITEM_MODEL, RANDOM, WITH_DEV, contestant
from pyswarmopt_rivals.comparison.verdict import SINGLE

Json = Mapping[str, Any]
_READING = ("columns", "template", "split_seed", "skip_bad_rows")
_SEARCHING = ("base", "experts", *_READING, "scoring", "allow_overlap", "dev", "test")


def next_steps(result: Json) -> Iterator[tuple[str, str]]:
    """(purpose, command): make the adapter of the best method; nothing for an ensemble, which has none.

    Args:
        result: ``compare.json``.
    """
    rows, config = result["methods"], result["config"]
    if not rows or "tasks" not in config:  # nothing was compared, or by an early version
        return
    split = "test" if all(row["test"] is not None for row in rows.values()) else "dev"
    first = max(rows, key=lambda name: rows[name][split])
    if first == SINGLE:
        options = {**_options(config, _READING), "dev": config["dev"]}
        words = command_words("advise", *_models(config), ("task", config["tasks"][0]))
        yield "ask what could do better", shlex.join([*words, *option_words(options)])
        return
    name, kind = first.removesuffix(ADAPTER), contestant(first).kind
    if kind in ("rule", "searching") and name != "data-merge":
        yield f"make the adapter of {first}", _merge(config, name, kind == "searching")
    elif kind == "optimizer" and name != RANDOM:
        yield f"search with {first}", _search(config, name)


def _merge(config: Json, method: str, looks: bool) -> str:
    task = config["tasks"][0] if looks else None
    reading = option_words(_options(config, _READING)) if looks else ()
    words = command_words("merge", *_models(config), ("method", method), ("task", task))
    return shlex.join([*words, *reading, *setting_words(("out", f"{_out(config)}-{method}"))])


def _models(config: Json) -> tuple[tuple[str, Any], ...]:
    return ("base", config["base"]), ("experts", config["experts"])


def _search(config: Json, method: str) -> str:
    how = {**_options(config, _SEARCHING), "tasks": config["tasks"], "out": f"{_out(config)}-search"}
    if method == MODEL_SWARMS:
        how |= {"compat": "paper", "particles": config.get("particles")}
    elif method != WITH_DEV:
        how |= {"train": "off"}
    if method not in (MODEL_SWARMS, ITEM_MODEL, WITH_DEV):
        how |= {"optimizer": method}
    return command_line(SearchConfig(**how))


def _options(config: Json, keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: config[key] for key in keys if key in config}


def _out(config: Json) -> str:
    return str(config["out"]).rstrip("/")
