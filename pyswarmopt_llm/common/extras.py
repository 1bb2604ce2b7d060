"""Optional packages, each used by one option. If one is missing, a message names the extra that
installs it.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from pyswarmopt_llm.common.errors import UserError

EXTRAS = {
    "bitsandbytes": "quantised",
    "datasets": "hub",
    "evaluate": "evaluate",
    "gguf": "llm",
    "llama_cpp": "llama-cpp",
    "lm_eval": "lm-eval",
    "nevergrad": "nevergrad",
    "openai": "judge",
    "profanity_check": "toxicity",
    "pyarrow": "hub",
    "ray": "ray",
    "rouge_score": "text",
    "sacrebleu": "text",
    "sklearn": "scikit-learn",
}
"""Top-level module -> extra that installs it."""


def optional(module: str, who: str) -> Any:
    """The imported module of an extra.

    Args:
        module: dotted name, inside one of `EXTRAS`.
        who: the feature that needs it, in the user's words.

    Raises:
        UserError: the module is missing; names its extra.
    """
    need_extra(module.partition(".")[0], who)
    return import_module(module)


def need_extra(module: str | None, who: str) -> None:
    """Refuse a missing module before anything is written; imports nothing.

    Args:
        module: one of `EXTRAS`; None: nothing is needed.
        who: the feature that needs it, in the user's words.

    Raises:
        UserError: the module is missing; names its extra.
    """
    if missing := missing_extra(module):
        raise UserError(f"{who} {missing}")


def missing_extra(module: str | None) -> str | None:
    """A message that names a missing module and its extra; None if it is installed or `module` is None."""
    if module is None or find_spec(module) is not None:
        return None
    return f'needs {module}: install the extra "{EXTRAS[module]}"'
