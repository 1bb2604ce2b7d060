"""Answer a prompt with a base model, an adapter on it, or a mixture of models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.scores.metrics.accuracy import MAX_NEW_TOKENS
from pyswarmopt_llm.searching.use.names import open_at, place_of
from pyswarmopt_llm.tokens.space import holds_mixture, open_mixture


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
        server_folder: see `open_at`.

    Raises:
        UserError: the base or the adapter cannot be used.
    """
    if holds_mixture(base) and adapter is None:
        return open_mixture(base, dtype, device, threads, fusion).stream(prompt, max_new_tokens)
    if fusion != "auto":
        raise InvalidOption("fusion", fusion, "goes with a mixture of models only; remove it")
    place = place_of(engine, run)
    where: dict[str, Any] = {"dtype": dtype, "device": device, "server_folder": server_folder}
    model = open_at(place, run, base, adapter, threads=threads, **where)
    return model.stream(model.chat(prompt), max_new_tokens)
