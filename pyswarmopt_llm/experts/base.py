"""The base model: find its directory, fingerprint it, load it with its tokenizer, or its modules alone.

Transformers loads it: safetensors only, no code from the files, no progress bars.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from pyswarmopt_llm.common.errors import InvalidOption, UserError, first_line
from pyswarmopt_llm.common.extras import BITSANDBYTES
from pyswarmopt_llm.common.files.fingerprint import canonical, sample_digest
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.experts.files import EMBEDDED, GGUF, local_directory, read_json
from pyswarmopt_llm.experts.safetensors_file import DTYPES, read_header

log = logging.getLogger(__name__)


def load_weights(kind: Any, path: str | Path, where: str, what: str, **options: Any) -> Any:
    """A model in eval mode, on the CPU.

    Args:
        kind: the class of transformers, such as ``AutoModelForCausalLM``.
        path: directory or hub id.
        where: start of error messages.
        what: what it is loaded as, for error messages.
        options: passed to ``from_pretrained``.

    Raises:
        UserError: it cannot be loaded as such a model, lacks weights, or has layers that its
            configuration leaves out.
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
    _judge_unused(model, sorted(loading["unexpected_keys"]), where)
    return model.eval()


def _judge_unused(model: Any, unused: Sequence[str], where: str) -> None:
    """Tell of weights in the files that the model does not use.

    Raises:
        UserError: they are of layers as the model has them: its configuration has too few.
    """
    own = {_NUMBER.sub(".N.", name) for name in model.state_dict()}
    layers = [name for name in unused if _NUMBER.sub(".N.", name) in own]
    if layers:
        raise UserError(
            f"{where}: its files hold {len(layers)} weights that its config.json leaves out, such "
            f"as {layers[0]}; correct its number of layers"
        )
    others = [name for name in unused if not _HARMLESS.search(name)]
    if others:
        text = "%s: %d weights of its files are not used, such as %s"
        log.warning(text, where, len(others), others[0])


def refuse_codes(files: Sequence[Path], where: str) -> None:
    """Refuse files of packed weights that would be read as the weights themselves.

    Raises:
        UserError: a weight is not in a floating-point format of 16 bits or more.
    """
    for file in files:
        for name, header in read_header(file).items():
            if name.endswith(".weight") and header.dtype not in DTYPES:
                raise UserError(
                    f"{where}: {name} is packed ({header.dtype}), and config.json does not say how; "
                    "restore its quantization_config"
                )


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


# Buffers of earlier versions, tied embeddings, and heads of other tasks.
_HARMLESS = re.compile(r"(inv_freq|position_ids|masked_bias|attn\.bias|lm_head\.\w+)$")
_NUMBER = re.compile(r"\.\d+\.")


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


def quiet_bitsandbytes() -> None:
    """Silence its warnings of missing kernels and of every product, from its import on."""
    logging.getLogger(BITSANDBYTES).setLevel(logging.ERROR)


# Files of the tokenizer; a changed chat template changes every score.
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
QUANTISED = ("nf4", "int8")  # before the name of a base: bitsandbytes packs its weights on loading
INT8 = f"{BITSANDBYTES} int8"  # as `BaseModel.packing`
_WEIGHTS = "*.safetensors"
_PATTERNS = ("*.json", _WEIGHTS, "*.jinja", "*.model", "*.txt", "README.md")


@dataclass(frozen=True)
class BaseModel:
    """A base model on this machine.

    Attributes:
        spec: as given by the user.
        path: the local directory with config.json, safetensors and tokenizer (for a hub id, its
            cached copy).
        name: the id that adapters of this base state in ``base_model_name_or_path``.
        fingerprint: SHA-256 (hex) over config.json (without the version of transformers that wrote
            it), the tokenizer's files with the chat template, and `sample_digest` of each
            safetensors file.
        packing: the method by which its linear weights are packed (see `packing_of`); "" for plain
            ones.
        scheme: by which they are packed on loading; "" if they are loaded as they are.

    Example:
        >>> base = resolve_base("my/base")  # doctest: +SKIP
        >>> base.path.name, [file.name for file in base.weight_files]  # doctest: +SKIP
        ('base', ['model.safetensors'])
    """

    spec: str
    path: Path
    name: str
    fingerprint: str
    packing: str = ""
    scheme: str = ""

    @property
    def weight_files(self) -> list[Path]:
        """The safetensors files, sorted by name."""
        return sorted(self.path.glob("*.safetensors"))


def resolve_base(spec: str, weights: bool = True) -> BaseModel:
    """Find a base model; a hub id is downloaded, a GGUF file is converted to safetensors on first
    use.

    Args:
        spec: a directory, a hub id, a GGUF file, or ``embedded:smollm2-135m`` (the same model as
            ``HuggingFaceTB/SmolLM2-135M-Instruct``); after ``nf4:`` or ``int8:`` it is quantised on
            loading.
        weights: whether they are needed; without them a directory may lack them, and none are
            downloaded.

    Returns:
        The base, with its local directory and its fingerprint.

    Raises:
        UserError: it is not there, not installed, not readable, or has no safetensors (pickles are
            never read).

    Example:
        >>> resolve_base("no/such/directory")
        Traceback (most recent call last):
        pyswarmopt_llm.common.errors.UserError: no/such/directory: no such directory; check the path
    """
    if not spec:
        raise InvalidOption("base", None, "is empty; name a directory, a hub id or embedded:NAME")
    scheme, plain = scheme_of(spec)
    if scheme:
        return _quantised(spec, scheme, resolve_base(plain, weights))
    if spec.startswith(EMBEDDED):
        from pyswarmopt_llm.experts.quantised.embedded import embedded_model, materialise

        model = embedded_model(spec)
        path, name = materialise(model), model.name
    elif spec.endswith(GGUF):
        from pyswarmopt_llm.experts.quantised.gguf import dequantised

        path = dequantised(user_path(spec), spec)
        name = str(path.resolve())
    else:
        path = local_directory(spec, [name for name in _PATTERNS if weights or name != _WEIGHTS])
        name = str(path.resolve()) if user_path(spec).is_dir() else spec
    if weights and not any(path.glob(_WEIGHTS)):
        raise UserError(
            f"{spec}: has no *.safetensors (pickles are not read, GGUF files by their own names); "
            "save it with save_pretrained"
        )
    config = read_json(path / "config.json")
    return BaseModel(spec, path, name, _fingerprint(path, config), packing_of(config))


def _quantised(spec: str, scheme: str, base: BaseModel) -> BaseModel:
    """A base that is quantised on loading: it has another fingerprint than its files."""
    if base.packing:
        raise UserError(
            f"{spec}: {base.spec} is quantised already ({base.packing}); leave out {scheme}:"
        )
    fingerprint = hashlib.sha256(f"{scheme} {base.fingerprint}".encode()).hexdigest()
    packing = INT8 if scheme == "int8" else BITSANDBYTES
    return replace(base, spec=spec, fingerprint=fingerprint, packing=packing, scheme=scheme)


def scheme_of(spec: str) -> tuple[str, str]:
    """A scheme of quantisation on loading, "" for none, and the base.

    Example:
        >>> scheme_of("nf4:my/base"), scheme_of("embedded:smollm2-135m")
        (('nf4', 'my/base'), ('', 'embedded:smollm2-135m'))
    """
    scheme, colon, base = spec.partition(":")
    return (scheme, base) if colon and scheme in QUANTISED else ("", spec)


def packing_of(config: Mapping[str, Any]) -> str:
    """The method by which a configuration, or that of a model in it, says that weights are packed;
    "" for plain ones.

    Example:
        >>> packing_of({"text_config": {"quantization_config": {"quant_method": "gptq"}}}), packing_of({})
        ('gptq', '')
    """
    quantisation = config.get("quantization_config")
    if quantisation:
        method = quantisation.get("quant_method") if isinstance(quantisation, dict) else None
        in_8_bits = method == BITSANDBYTES and quantisation.get("load_in_8bit")
        return INT8 if in_8_bits else str(method or "quantization_config")
    inner = (packing_of(value) for value in config.values() if isinstance(value, dict))
    return next(filter(None, inner), "")


def refuse_quantised(base: BaseModel) -> None:
    """Refuse a base to whose weights nothing can be added.

    Raises:
        UserError: they are packed (bitsandbytes, GPTQ, AWQ, ...).
    """
    if base.packing:
        raise UserError(
            f"{base.spec}: its weights are quantised ({base.packing}), and a change cannot be "
            "added "
            "to them; give the original checkpoint in bf16, and quantise the result"
        )


def _fingerprint(path: Path, config: dict[str, Any]) -> str:
    digest = hashlib.sha256(
        canonical({k: v for k, v in config.items() if k != "transformers_version"})
    )
    for file in [
        *(path / name for name in _TOKENIZER if (path / name).is_file()),
        *sorted(path.glob("*.safetensors")),
    ]:
        digest.update(f"{file.name} {sample_digest(file)}\n".encode())
    return digest.hexdigest()


def load_tokenizer(base: BaseModel) -> Any:
    """The base's tokenizer, padding with the end token if it has no padding token.

    Raises:
        UserError: transformers cannot read it, or it has no end token either.
    """
    tokenizer = read_tokenizer(base.path, base.spec, local_files_only=True)
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token is None:
            raise UserError(
                f"{base.spec}: its tokenizer has no padding and no end token; set one and save it"
            )
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(
    base: BaseModel, dtype: torch.dtype, device: torch.device | str = "cpu"
) -> tuple[Any, Any]:
    """Load the base for inference.

    Args:
        base: from `resolve_base`.
        dtype: dtype of the weights, for example ``torch.bfloat16``.
        device: device of the model.

    Returns:
        The model in eval mode and its tokenizer. No code from the model's directory is run.

    Raises:
        UserError: the files cannot be read as a causal language model.
    """
    tokenizer = load_tokenizer(base)
    if base.packing:
        from pyswarmopt_llm.experts.quantised.packed import load_packed

        model = load_packed(base.path, base.spec, base.packing, base.scheme, dtype, device)
        return model, tokenizer
    from transformers import AutoModelForCausalLM

    refuse_codes(base.weight_files, base.spec)
    options = {"dtype": dtype, "local_files_only": True}
    model = load_weights(AutoModelForCausalLM, base.path, base.spec, "language model", **options)
    return model.to(device), tokenizer


@dataclass(frozen=True)
class Skeleton:
    """The modules of a language model.

    Attributes:
        linear: names of the linear layers whose weights are their own.
        others: name of any other module with a weight -> why LoRA factors cannot be added to it.
        output: name of the layer that gives the logits, or None.
        shapes: parameter name -> shape.
    """

    linear: frozenset[str]
    others: dict[str, str]
    output: str | None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def skeleton(base: BaseModel) -> Skeleton:
    """The modules of `base`, as transformers makes them of its config.json.

    Raises:
        UserError: it is no language model that transformers knows.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        with quiet_transformers(), torch.device("meta"):
            config = AutoConfig.from_pretrained(
                base.path, trust_remote_code=False, local_files_only=True
            )
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except Exception as error:  # whatever a damaged configuration leads to
        if isinstance(error, MemoryError):
            raise
        raise UserError(
            f"{base.spec}: cannot be loaded as a language model ({first_line(error)})"
        ) from error
    parameters = dict(model.named_parameters())  # a shared weight has the first of its names
    head = model.get_output_embeddings()
    linear, others = set(), {}
    for name, module in model.named_modules():
        if getattr(module, "weight", None) is None:
            continue
        if not isinstance(module, torch.nn.Linear):
            others[name] = f"is no linear layer there ({type(module).__name__})"
        elif f"{name}.weight" not in parameters:
            others[name] = "shares its weight with another module there"
        else:
            linear.add(name)
    output = next((name for name, module in model.named_modules() if module is head), None)
    shapes = {name: tuple(parameter.shape) for name, parameter in parameters.items()}
    return Skeleton(frozenset(linear), others, output, shapes)
