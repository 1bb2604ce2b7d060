"""The base model: finding it, its fingerprint, loading it with its tokenizer, or only its modules."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.regular import digest, sample_digest, user_path
from pyswarmopt_llm.experts.files import (
    EMBEDDED,
    GGUF,
    NF4,
    local_directory,
    model_files,
    read_json,
)
from pyswarmopt_llm.experts.pretrained import (
    BITSANDBYTES,
    NO_CODE,
    load_weights,
    loading,
    read_tokenizer,
    refuse_codes,
)

INT8 = f"{BITSANDBYTES} int8"  # value of `BaseModel.packing`
_WEIGHTS = "*.safetensors"
_PATTERNS = ("*.json", _WEIGHTS, "*.jinja", "*.model", "*.txt", "README.md")
_PARTS = frozenset({".json", ".safetensors", ".jinja", ".model", ".txt"})


@dataclass(frozen=True)
class BaseModel:
    """A base model on this machine.

    Attributes:
        spec: name given by the user.
        path: the local directory with config.json, safetensors and tokenizer (for a hub id, its
            cached copy).
        name: id that adapters for this base state in ``base_model_name_or_path``.
        fingerprint: SHA-256 (hex) of the `sample_digest` of all its files.
        model_type: architecture, as in config.json.
        packing: method that packs its linear weights (see `packing_of`); "" for plain weights.
        nf4: whether they are packed on loading.

    Example:
        >>> base = resolve_base("my/base")  # doctest: +SKIP
        >>> base.path.name, [file.name for file in base.weight_files]  # doctest: +SKIP
        ('base', ['model.safetensors'])
    """

    spec: str
    path: Path
    name: str
    fingerprint: str
    model_type: str = ""
    packing: str = ""
    nf4: bool = False

    @property
    def weight_files(self) -> list[Path]:
        """The safetensors files, sorted by name."""
        return sorted(self.path.glob("*.safetensors"))


def resolve_base(spec: str, weights: bool = True) -> BaseModel:
    """Find a base model; a hub id is downloaded, a GGUF file is converted to safetensors on first
    use.

    Args:
        spec: a directory, a hub id, a GGUF file, or ``embedded:smollm2-135m`` (the same model as
            ``HuggingFaceTB/SmolLM2-135M-Instruct``); after ``nf4:`` it is quantised on loading.
        weights: whether weights are needed; if not, none are downloaded, and a directory may lack
            them.

    Returns:
        The base, with its local directory and its fingerprint.

    Raises:
        UserError: the base is missing, not installed, unreadable, or has no safetensors (pickles
            are never read).

    Example:
        >>> resolve_base("no/such/directory")
        Traceback (most recent call last):
        pyswarmopt_llm.common.errors.UserError: no/such/directory: no such directory; check the path
    """
    if not spec:
        raise InvalidOption("base", None, "is empty; use a directory, a hub id or embedded:NAME")
    if spec.startswith(NF4):
        return _packed(resolve_base(spec.removeprefix(NF4), weights), spec)
    name = spec
    if spec.startswith(EMBEDDED):
        from pyswarmopt_llm.experts.quantised import NAME, dequantised, gguf_file

        path = dequantised(gguf_file(spec), NAME)
        name = NAME
    elif spec.endswith(GGUF):
        from pyswarmopt_llm.experts.quantised import dequantised

        path = dequantised(user_path(spec), spec)
    else:
        path = local_directory(spec, [each for each in _PATTERNS if weights or each != _WEIGHTS])
    if user_path(spec).exists():
        name = str(path.resolve())
    if weights and not any(path.glob(_WEIGHTS)):
        raise UserError(
            f"{spec} contains no *.safetensors files (pickles are never read); save the model with "
            "save_pretrained, or pass the path of its GGUF file"
        )
    config = read_json(path / "config.json")
    kind = str(config.get("model_type"))
    return BaseModel(spec, path, name, _fingerprint(path), kind, packing_of(config))


def packing_of(config: Mapping[str, Any]) -> str:
    """The method that packs the weights, by a configuration or one inside it; "" for plain weights.

    Example:
        >>> packing_of({"text_config": {"quantization_config": {"quant_method": "gptq"}}}), packing_of({})
        ('gptq', '')
    """
    quantisation = config.get("quantization_config")
    if isinstance(quantisation, dict) and quantisation.get("quant_method"):
        method = str(quantisation["quant_method"])
        if method == BITSANDBYTES and quantisation.get("load_in_8bit"):
            return INT8
        return method
    if quantisation:
        return "quantization_config"
    inner = (packing_of(value) for value in config.values() if isinstance(value, dict))
    return next(filter(None, inner), "")


def refuse_quantised(base: BaseModel) -> None:
    """Refuse a base whose weights cannot be changed.

    Raises:
        UserError: the weights are packed (bitsandbytes, GPTQ, AWQ, ...).
    """
    if base.packing:
        raise UserError(
            f"{base.spec}: quantised weights ({base.packing}) cannot be changed; use the original "
            "bf16 checkpoint, and quantise the new model afterwards"
        )


def _fingerprint(path: Path) -> str:
    files = [file for file in model_files(path) if file.suffix in _PARTS]
    return digest({str(file.relative_to(path)): sample_digest(file) for file in files})


def load_tokenizer(base: BaseModel) -> Any:
    """The base's tokenizer, padding with the end token if it has no padding token.

    Raises:
        UserError: transformers cannot read the tokenizer, or it has no end token either.
    """
    tokenizer = read_tokenizer(base.path, base.spec, local_files_only=True)
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise UserError(
                f"{base.spec}: its tokenizer has no padding token and no end-of-sequence token; set one of them"
            )
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(base: BaseModel, dtype: Any, device: torch.device | str = "cpu") -> tuple[Any, Any]:
    """Load the base for inference.

    Args:
        base: from `resolve_base`.
        dtype: dtype of the weights, for example ``torch.bfloat16``; "auto": as stored.
        device: device of the model.

    Returns:
        The model in eval mode and its tokenizer. Code from the model's directory is never executed.

    Raises:
        UserError: the files cannot be read as a causal language model.
    """
    tokenizer = load_tokenizer(base)
    if base.packing:
        from pyswarmopt_llm.experts.quantised import load_packed

        return load_packed(base, dtype, device), tokenizer
    from transformers import AutoModelForCausalLM

    refuse_codes(base.weight_files, base.spec)
    options = {"dtype": dtype, "local_files_only": True}
    model = load_weights(AutoModelForCausalLM, base.path, base.spec, "language model", **options)
    return model.to(device), tokenizer


def empty_model(base: BaseModel, **options: Any) -> Any:
    """The base without values, built by transformers from its config.json.

    Raises:
        UserError: transformers does not know the language model.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    with loading(base.spec, "transformers cannot load this language model"), torch.device("meta"):
        config = AutoConfig.from_pretrained(
            base.path, local_files_only=True, trust_remote_code=False
        )
        return AutoModelForCausalLM.from_config(config, **NO_CODE, **options)


@lru_cache(maxsize=4)
def linear_layers(base: BaseModel) -> Mapping[str, tuple[int, ...]]:
    """The linear layers of `base` with a weight of their own: name -> (out, in); raises as
    `empty_model`.
    """
    model = empty_model(base)
    owners = Counter(id(weight) for _, weight in model.named_parameters(remove_duplicate=False))
    return {
        name: tuple(module.weight.shape)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and owners[id(module.weight)] == 1
    }


def _packed(base: BaseModel, spec: str) -> BaseModel:
    """A base to be packed on loading, with a fingerprint of its own.

    Raises:
        UserError: the files are already quantised.
    """
    if base.packing:
        raise UserError(
            f"{spec}: {base.spec} is already quantised ({base.packing}); remove {NF4} from the name"
        )
    fingerprint = hashlib.sha256(f"nf4 {base.fingerprint}".encode()).hexdigest()
    return replace(base, spec=spec, fingerprint=fingerprint, packing=BITSANDBYTES, nf4=True)
