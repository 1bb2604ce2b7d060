"""Answer a prompt with a base model, an adapter on it, or a mixture of models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.registry import load
from pyswarmopt_llm.mix import saved_kind
from pyswarmopt_llm.scores.metrics.accuracy import MAX_NEW_TOKENS
from pyswarmopt_llm.searching.scoring.run_directory import read_about
from pyswarmopt_llm.searching.use.config import EvalConfig
from pyswarmopt_llm.searching.use.model import open_named

TOKENS = "pyswarmopt_llm.tokens.space"


def generate_text(
    base: str,
    adapter: str | None,
    prompt: str,
    max_new_tokens: int = MAX_NEW_TOKENS,
    *,
    fusion: str = "auto",
    dtype: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    engine: str = "auto",
    run: str | Path | None = None,
    server_folder: str | None = None,
) -> Iterator[str]:
    """The greedy answer to a user turn: in pieces as a mixture writes it, else whole.

    Args:
        base: a model, or a directory with a mixture such as RUN/best of a token search.
        adapter: on that base.
        prompt: what the user says.
        max_new_tokens: most tokens of the answer.
        fusion: how a mixture writes, see `MixtureEngine`.
        dtype: of the weights.
        device: where they go.
        threads: CPU threads.
        engine: see `place_of`.
        run: that the model comes from, if any.
        server_folder: a folder that the server sees, too.

    Returns:
        The pieces of the answer, in order.

    Raises:
        UserError: the base or the adapter cannot be used.

    Example:
        >>> "".join(generate_text("my/base", "runs/first/best", "Hello!"))  # doctest: +SKIP
        'Hello! How can I help you?'
    """
    if fusion == "auto":
        machine: dict[str, Any] = {"dtype": dtype, "device": device, "threads": threads}
        served: dict[str, Any] = {"engine": engine, "server_folder": server_folder}
        config = EvalConfig(**machine, **served)
        if run is not None:
            stored = read_about(user_path(run)).config
            turns: dict[str, Any] = {"system": stored.system, "thinking": stored.thinking}
            config = replace(config, run=str(run), **turns)
        model = open_named(config, (base, adapter))
    elif adapter is None and saved_kind(base) is not None:
        model = load(f"{TOKENS}:open_mixture")(base, dtype, device, threads, fusion)
    else:
        raise InvalidOption("fusion", fusion, "goes with a mixture of models only; remove it")
    return model.stream(model.chat(prompt), max_new_tokens)
