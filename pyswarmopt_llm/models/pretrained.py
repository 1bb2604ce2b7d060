"""Load models and tokenizers with transformers: safetensors only, no code from the files, no
progress bars.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from pyswarmopt_llm.common.errors import UserError, first_line


def load_weights(kind: Any, path: str | Path, where: str, what: str, **options: Any) -> Any:
    """A model in eval mode, on the CPU.

    Args:
        kind: the class of transformers, such as ``AutoModelForCausalLM``.
        path: directory or hub id.
        where: start of error messages.
        what: what it is loaded as, for error messages.
        options: passed to ``from_pretrained``.

    Raises:
        UserError: it cannot be loaded as such a model, or lacks weights.
    """
    safe = {"use_safetensors": True, "trust_remote_code": False}
    try:
        with quiet_transformers():
            model, loading = kind.from_pretrained(path, output_loading_info=True, **safe, **options)
    # the safetensors reader raises an exception of its own, derived from Exception alone
    except Exception as error:
        if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
            raise
        raise UserError(f"{where}: cannot be loaded as a {what} ({first_line(error)})") from error
    if loading["missing_keys"]:  # transformers fills them with random numbers
        missing = sorted(loading["missing_keys"])
        raise UserError(
            f"{where}: lacks {len(missing)} weights such as {missing[0]}; export the {what} again"
        )
    return model.eval()


def read_tokenizer(path: str | Path, where: str, **options: Any) -> Any:
    """A tokenizer of transformers; arguments as for `load_weights`.

    Raises:
        UserError: it cannot be loaded.
    """
    from transformers import AutoTokenizer

    try:
        with quiet_transformers():
            return AutoTokenizer.from_pretrained(path, trust_remote_code=False, **options)
    except Exception as error:  # the reader of tokenizer.json raises a plain Exception
        if isinstance(error, MemoryError):
            raise
        raise UserError(f"{where}: its tokenizer cannot be loaded ({first_line(error)})") from error


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Suppress progress bars and warnings of transformers, which would break our own display."""
    from transformers.utils import logging as transformers_logging

    shown, verbosity = (
        transformers_logging.is_progress_bar_enabled(),
        transformers_logging.get_verbosity(),
    )
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if shown:
            transformers_logging.enable_progress_bar()
