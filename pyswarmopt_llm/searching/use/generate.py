"""A model's answer to a prompt."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.scores.metrics.accuracy import MAX_NEW_TOKENS
from pyswarmopt_llm.searching.scoring.run_directory import read_about
from pyswarmopt_llm.searching.use.config import Machine
from pyswarmopt_llm.searching.use.opening import open_model
from pyswarmopt_llm.searching.use.wording import worded

log = logging.getLogger(__name__)


def generate_text(
    base: str,
    adapter: str | None,
    prompt: str,
    max_new_tokens: int = MAX_NEW_TOKENS,
    *,
    fusion: str = "auto",
    seed: int = 0,
    dtype: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    run: str | Path | None = None,
    task: str | None = None,
) -> Iterator[str]:
    """The answer to a user turn, greedy unless a mixture samples it; a mixture's answer comes in
    pieces.

    Args:
        base: a model, or a directory with a mixture, such as RUN/best of a token search.
        adapter: adapter of that base.
        prompt: a question, asked as the run's search did (see `worded`); the user's turn as it is
            without a run.
        max_new_tokens: most tokens of the answer.
        fusion: how a mixture samples, see `MixtureEngine`.
        seed: seed of a mixture's samples.
        dtype: dtype of the weights.
        device: where the model runs.
        threads: CPU threads.
        run: the model's run, if any.
        task: whose wording, of a run with several tasks.

    Returns:
        The pieces of the answer, in order.

    Raises:
        UserError: the base or the adapter cannot be used.

    Example:
        >>> "".join(generate_text("my/base", "runs/first/best", "Hello!"))  # doctest: +SKIP
        'Hello! How can I help you?'
    """
    turn, line = worded(run, prompt, task)
    log.info(line)
    machine = Machine(dtype, device, threads)
    return answer_turn((base, adapter), turn, max_new_tokens, machine, run, fusion, seed)


def answer_turn(
    source: tuple[str, str | None],
    turn: str,
    max_new_tokens: int,
    machine: Machine,
    run: str | Path | None,
    fusion: str,
    seed: int,
) -> Iterator[str]:
    """As `generate_text`, for a user turn in its final wording to a base and its adapter."""
    stored = None if run is None else read_about(user_path(run)).config
    model = open_model(
        source,
        machine,
        run=run,
        system="" if stored is None else stored.system,
        thinking=0 if stored is None else stored.thinking,
        fusion=fusion,
        seed=seed,
    )
    return model.stream(model.chat(turn), max_new_tokens)
