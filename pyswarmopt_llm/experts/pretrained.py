"""Loading models and tokenizers with transformers: only safetensors, no code from files, no
progress bars.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from pyswarmopt_llm.common.errors import UserError, first_line
from pyswarmopt_llm.experts.safetensors_file import DTYPES, read_header

BITSANDBYTES = "bitsandbytes"
# Neither code beside a model, nor attention code that its config.json names: transformers chooses.
NO_CODE: dict[str, Any] = {"trust_remote_code": False, "attn_implementation": None}


def load_weights(kind: Any, path: str | Path, where: str, what: str, **options: Any) -> Any:
    """A model in eval mode, on the CPU.

    Args:
        kind: class of transformers, such as ``AutoModelForCausalLM``.
        path: directory or hub id.
        where: start of error messages.
        what: kind of model, for error messages.
        options: passed to ``from_pretrained``.

    Raises:
        UserError: the model cannot be loaded as this kind, or lacks weights.
    """
    with loading(where, f"transformers cannot load it as a {what}"):
        model, found = kind.from_pretrained(
            path, use_safetensors=True, output_loading_info=True, **NO_CODE, **options
        )
    if missing := sorted(found["missing_keys"]):  # transformers fills them with random numbers
        raise UserError(
            f"{where}: missing weights, such as {missing[0]} ({len(missing)} in all); export the {what} again"
        )
    return model.eval()


def refuse_codes(files: Sequence[Path], where: str) -> None:
    """Refuse files whose packed weights would be read as plain weights.

    Raises:
        UserError: a weight is not in a floating-point format of 16 bits or more.
    """
    for file in files:
        for name, header in read_header(file).items():
            if name.endswith(".weight") and header.dtype not in DTYPES:
                raise UserError(
                    f"{where}: {name} is quantised ({header.dtype}), but config.json does not say "
                    "how; restore its quantization_config"
                )


def read_tokenizer(path: str | Path, where: str, **options: Any) -> Any:
    """A transformers tokenizer; arguments as for `load_weights`.

    Raises:
        UserError: the tokenizer cannot be loaded.
    """
    from transformers import AutoTokenizer

    with loading(where, "its tokenizer cannot be loaded"):
        return AutoTokenizer.from_pretrained(path, trust_remote_code=False, **options)


@contextmanager
def loading(where: str, problem: str) -> Iterator[None]:
    """Read files with transformers, quietly.

    Args:
        where: start of the error message.
        problem: message if they cannot be read.

    Raises:
        UserError: the files are damaged; the readers of safetensors and tokenizer.json
            raise direct subclasses of Exception.
    """
    try:
        with quiet_transformers():
            yield
    except Exception as error:
        if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
            raise
        raise UserError(f"{where}: {problem} ({first_line(error)})") from error


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Suppress progress bars and warnings of transformers, which would disturb our display."""
    from transformers.utils import logging as transformers_logging

    shown = transformers_logging.is_progress_bar_enabled()
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if shown:
            transformers_logging.enable_progress_bar()


def quiet_bitsandbytes() -> None:
    """Silence bitsandbytes' warnings about missing kernels and about every product, from its import
    on.
    """
    logging.getLogger(BITSANDBYTES).setLevel(logging.ERROR)
