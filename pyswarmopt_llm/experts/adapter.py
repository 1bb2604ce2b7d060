"""Reads PEFT LoRA adapters: config and header only, or also the weights.

Kinds that cannot be mixed are refused. A LoRA layer adds ``scale * B @ A`` to a weight, with ``scale
= alpha / r`` (Hu et al. 2021, arXiv 2106.09685, section 4.1) or ``alpha / sqrt(r)`` with rsLoRA
(Kalajdzievski 2023, arXiv 2312.03732).
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from pyswarmopt_llm.common.config import command
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_types import WrongType, typed
from pyswarmopt_llm.common.files.regular import digest, sample_digest, user_path
from pyswarmopt_llm.common.interfaces import LowRank
from pyswarmopt_llm.experts.files import ADAPTER_FILES, local_directory, read_json
from pyswarmopt_llm.experts.pretrained import quiet_bitsandbytes
from pyswarmopt_llm.experts.safetensors_file import (
    DTYPES,
    TensorHeader,
    opened,
    read_header,
    require_finite,
)

T = TypeVar("T")
# Options of adapters that are more than changes of linear layers' weights.
_MORE = (
    "bias",
    "use_dora",
    "modules_to_save",
    "trainable_token_indices",
    "target_parameters",
    "lora_bias",
    "use_qalora",
    "use_bdlora",
    "kasa_config",
    "monteclora_config",
    "alora_invocation_tokens",
    "arrow_config",
    "layer_replication",
    "megatron_config",
    "fan_in_fan_out",
)
# Settings that PEFT writes into most files and that change no weights.
_COMMON = (
    "peft_type",
    "task_type",
    "auto_mapping",
    "peft_version",
    "revision",
    "inference_mode",
    "lora_dropout",
    "init_lora_weights",
    "exclude_modules",
    "layers_to_transform",
    "layers_pattern",
    "megatron_core",
    "qalora_group_size",
)
# Initialisations (``init_lora_weights``) by what they do to the base's own weights. PEFT repeats
# those of the second line on loading, by the base alone; all others need numbers that no file holds.
KEEPS_BASE = frozenset({"none", "true", "false", "gaussian", "eva", "orthogonal", "mica"})
CHANGES_BASE = frozenset({"pissa", "olora"})
_WEIGHTS = "adapter_model.safetensors"
_TRAIN_AGAIN = "train or export the adapter again"
_SCALE = "correct lora_alpha in its adapter_config.json"
# Settings that no version of PEFT has, and that change nothing.
_MARKS = frozenset({"unsloth_fixed"})
_KEY = re.compile(r"(?:base_model\.model\.)?(?P<module>.+)\.lora_(?P<factor>[AB])\.weight")
# Added to names by torch.compile, FSDP, activation checkpointing, DDP, and PEFT's name of an adapter.
_WRAPPERS = re.compile(
    r"_orig_mod\.|_fsdp_wrapped_module\.|_checkpoint_wrapped_module\.|^module\."
    r"|(?<=\.lora_[AB])\.\w+(?=\.weight$)"
)
# What stands before a text model's list of layers, in or out of a larger model; not that of a tower
# for images.
_AROUND = re.compile(
    r"^(?:(?:model|language_model|text_model|transformer|decoder|thinker|llm)\.)*"
    r"(?=(?:layers|h|blocks)\.\d+\.)"
)


class NotPlain(UserError):
    """An adapter that is more than base + scale * B @ A on linear layers; `export` flattens it.

    Args:
        file: file in its directory.
        what: kind of adapter.
    """

    def __init__(self, file: Path, what: str) -> None:
        way = command("export", str(file.parent), base="B", format="peft", rank=16, out="DIR")
        super().__init__(f"{file}: {what}; flatten the adapter to a plain LoRA ({way})")


@dataclass(frozen=True)
class AdapterConfig:
    """The settings of an adapter, with PEFT's names, defaults and rules; `unknown` names those that
    are on and that this version of PEFT does not know.
    """

    base_model_name_or_path: str | None = None
    r: int = 8
    lora_alpha: float = 8
    use_rslora: bool | None = None
    target_modules: str | list[str] | None = None
    rank_pattern: dict[str, int] | None = None
    alpha_pattern: dict[str, float] | None = None
    unknown: tuple[str, ...] = ()

    def selects(self, module: str) -> bool:
        """Whether `target_modules` selects a linear layer."""
        targets = self.target_modules
        if isinstance(targets, str):
            return targets.lower() == "all-linear" or re.fullmatch(targets, module) is not None
        return any(f".{module}".endswith(f".{name}") for name in targets or ())

    def scale_of(self, module: str, rank: int) -> float:
        """The factor of ``B @ A`` for a module of rank `rank`."""
        alpha = _by_pattern(self.alpha_pattern, module, self.lora_alpha)
        if self.use_rslora:
            return alpha / math.sqrt(rank)
        return alpha / rank


def _by_pattern(patterns: Mapping[str, T] | None, module: str, default: T) -> T:
    """The value of the first pattern that a module's name ends with."""
    for pattern, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default


def read_config(path: Path, plain: bool = True) -> AdapterConfig:
    """Read and check adapter_config.json.

    Args:
        path: the file.
        plain: whether to refuse adapters that are not plain LoRA.

    Raises:
        UserError: the config is missing, malformed, not of LoRA, or of a type of LoRA that cannot
            be mixed; `NotPlain` if it can be flattened.
    """
    content = read_json(path)
    start = str(content.get("init_lora_weights", True)).lower()
    _refuse(path, content, start)
    if plain:
        _refuse_more(path, content, start)
    try:
        config: AdapterConfig = typed(content, AdapterConfig)
    except WrongType as error:
        raise UserError(f"{path}: {error}; export the adapter again") from error
    if not (config.base_model_name_or_path or "").isprintable():
        raise UserError(
            f"{path}: base_model_name_or_path contains control characters; set it to the base model"
        )
    return replace(config, unknown=_unknown(content))


def _unknown(content: Mapping[str, Any]) -> tuple[str, ...]:
    """Settings that are on, and that this version of PEFT ignores."""
    ours = {*AdapterConfig.__annotations__, *_MORE, *_MARKS, *_COMMON} - {"unknown"}
    on = sorted(name for name, value in content.items() if value and name not in ours)
    if not on:  # PEFT's import takes seconds
        return ()
    quiet_bitsandbytes()
    from peft import PEFT_TYPE_TO_CONFIG_MAPPING, LoraConfig

    kind = PEFT_TYPE_TO_CONFIG_MAPPING.get(content.get("peft_type"), LoraConfig)
    known = {setting.name for setting in fields(kind)}
    return tuple(name for name in on if name not in known)


def read_whole(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """Name and values of each tensor in an adapter's file, of any kind."""
    with opened(folder / _WEIGHTS) as stored:
        for name in stored.keys():  # noqa: SIM118
            yield name, stored.get_tensor(name)


def _refuse(path: Path, config: Mapping[str, Any], start: str) -> None:
    """Refuse an adapter whose file does not hold its whole change of the base."""
    if "fine_tune_type" in config or "lora_parameters" in config:
        raise UserError(
            f"{path}: PEFT cannot read MLX adapters; merge this one into its base model with "
            "mlx_lm.fuse and set `space` to full"
        )
    if start not in KEEPS_BASE | CHANGES_BASE:
        raise UserError(
            f"{path}: init_lora_weights is {start!r}, which also changes the base model, and the "
            "files do not contain that change; convert the adapter where it was trained, with PEFT's "
            "save_pretrained(..., path_initial_model_for_weight_conversion=...)"
        )


def _refuse_more(path: Path, config: Mapping[str, Any], start: str) -> None:
    """Refuse an adapter that is more than plain LoRA."""
    kind = config.get("peft_type")
    if kind != "LORA":
        raise NotPlain(path, f"peft_type is {kind!r}, but only LORA adapters can be mixed")
    for option in _MORE:
        if (config.get(option) or "none") != "none":
            raise NotPlain(path, f"{option} is set")
    if start in CHANGES_BASE:
        raise NotPlain(path, f"init_lora_weights is {start!r}, which also changes the base model")


@dataclass(frozen=True)
class ModuleShape:
    """One adapted module.

    Attributes:
        rank: its LoRA rank.
        scale: its scale.
        weight_shape: (out, in) of its weight.
        keys: names of B and A in the file; not compared.
    """

    rank: int
    scale: float
    weight_shape: tuple[int, int]
    keys: tuple[str, str] = field(default=("", ""), compare=False)


@dataclass(frozen=True)
class AdapterInfo:
    """An adapter without its weights.

    Attributes:
        name: name of the expert; by default its directory's.
        path: local directory.
        config: settings from adapter_config.json.
        modules: module name (such as ``model.layers.0.self_attn.q_proj``) -> its shape, sorted by
            name.
        fingerprint: SHA-256 (hex) of the `sample_digest` of its weights and its configuration.
        base: name of the base in use; "" if unknown.
    """

    name: str
    path: Path
    config: AdapterConfig
    modules: Mapping[str, ModuleShape]
    fingerprint: str
    base: str = ""

    @property
    def base_model_name(self) -> str | None:
        """The base that the adapter states, if any."""
        return self.config.base_model_name_or_path or None

    @property
    def weights_file(self) -> Path:
        """The safetensors file."""
        return self.path / _WEIGHTS

    @property
    def parameters(self) -> int:
        """Number of its weights."""
        return sum(shape.rank * sum(shape.weight_shape) for shape in self.modules.values())


@dataclass(frozen=True)
class Adapter:
    """An adapter with its weights.

    Attributes:
        info: everything but the weights.
        held: module -> change, in the order of `info.modules`; None: read on every access.
    """

    info: AdapterInfo
    held: Mapping[str, LowRank] | None = None

    @property
    def factors(self) -> Mapping[str, LowRank]:
        """Module -> its change (B, A), with the scale folded into B, in the order of `info.modules`."""
        if self.held is None:
            return load_adapter(self.info).factors
        return self.held


def adapter_folder(spec: str | Path) -> Path:
    """The local directory of an adapter.

    Raises:
        UserError: files are missing, or the weights are a pickle.
    """
    path = local_directory(spec, ADAPTER_FILES)
    if not (path / _WEIGHTS).is_file() and (path / "adapter_model.bin").is_file():
        raise UserError(
            f"{path / 'adapter_model.bin'} is a pickle file, which can run code when loaded; if you "
            "trust it, load it with PEFT and save it with save_pretrained"
        )
    return path


def read_adapter(
    spec: str | Path, name: str | None = None, linear: Collection[str] = ()
) -> AdapterInfo:
    """Read an adapter's config and header; no weights are loaded.

    Args:
        spec: a PEFT adapter directory or a hub id.
        name: name of the expert; by default the last part of `spec`.
        linear: names of the base's linear layers, if known. A module with another name in the file
            matches the one with the same name from the list of layers on: names differ between a
            language model and a larger model around it, and between versions of transformers.

    Raises:
        UserError: the adapter is missing, is corrupt, or cannot be mixed (`NotPlain`).
    """
    path = adapter_folder(spec)
    settings = path / "adapter_config.json"
    config = read_config(settings)
    weights = path / _WEIGHTS
    modules = {}
    try:
        for stored, pair in sorted(_pairs(weights).items()):
            module = _in_base(stored, linear)
            if module in modules:
                raise UserError(
                    f"{weights} contains {module} twice, once as {stored}; keep one of them"
                )
            if not (config.selects(module) or config.selects(stored)):
                raise UserError(
                    f"{settings}: target_modules does not select {stored}, so PEFT would ignore its "
                    "weights; add it there, or remove the weights"
                )
            modules[module] = _shape(weights, config, module, pair)
    except (re.error, RecursionError, OverflowError) as error:
        raise UserError(f"{settings}: a module pattern is invalid ({error}); correct it") from error
    return AdapterInfo(
        name=name or user_path(spec).resolve().name,
        path=path,
        config=config,
        modules=dict(sorted(modules.items())),
        fingerprint=digest([sample_digest(weights), sample_digest(settings)]),
    )


def _in_base(module: str, linear: Collection[str]) -> str:
    """The base's name of a module: its own, or the only one at the same place."""
    if module in linear:
        return module
    place = _place(module)
    alike = [name for name in linear if _place(name) == place]
    if len(alike) == 1:
        return alike[0]
    return module


def _place(module: str) -> str:
    """A module's name from the list of layers on."""
    return _AROUND.sub("", module)


Pair = dict[str, tuple[str, TensorHeader]]  # A and B -> key in the file, and header


def _pairs(file: Path) -> dict[str, Pair]:
    """Module -> its two tensors, checked to be LoRA weights of linear layers."""
    pairs: dict[str, Pair] = {}
    for key, tensor in read_header(file).items():
        if 0 in tensor.shape:
            raise UserError(
                f"{file}: tensor {key!r} is empty; if DeepSpeed ZeRO-3 saved it, save the adapter "
                "again with stage3_gather_16bit_weights_on_model_save"
            )
        match = _KEY.fullmatch(_WRAPPERS.sub("", key))
        if match is None or len(tensor.shape) != 2:
            raise NotPlain(file, f"tensor {key!r} is not a LoRA weight of a linear layer")
        if tensor.dtype not in DTYPES:
            raise UserError(
                f"{file}: tensor {key!r} is stored as {tensor.dtype}; save it as F32, F16 or BF16"
            )
        pair = pairs.setdefault(match["module"], {})
        if match["factor"] in pair:
            raise UserError(
                f"{file} contains several adapters (see {key!r}); save each one separately"
            )
        pair[match["factor"]] = (key, tensor)
    if not pairs:
        raise UserError(f"{file} contains no LoRA weights; export the adapter again")
    return pairs


def _shape(file: Path, config: AdapterConfig, module: str, pair: Pair) -> ModuleShape:
    """An adapted module, checked for two factors of the configured rank."""
    rank = _by_pattern(config.rank_pattern, module, config.r)
    if len(pair) < 2 or not pair["A"][1].shape[0] == pair["B"][1].shape[1] == rank:
        raise UserError(
            f"{file}: {module} needs lora_A and lora_B of rank {rank}, as in adapter_config.json; "
            "export the adapter again"
        )
    (key_b, b), (key_a, a) = pair["B"], pair["A"]
    shape = (b.shape[0], a.shape[1])
    return ModuleShape(rank, config.scale_of(module, rank), shape, (key_b, key_a))


def changed_weights(experts: Iterable[AdapterInfo]) -> frozenset[str]:
    """The base's weights that any of these adapters changes."""
    return frozenset(f"{module}.weight" for info in experts for module in info.modules)


def load_adapter(info: AdapterInfo) -> Adapter:
    """Load an adapter's weights in float32.

    Raises:
        UserError: the file cannot be read, or weights are not finite.
    """
    file = info.weights_file
    factors = {}
    with opened(file) as stored:
        for module, shape in info.modules.items():
            b, a = (stored.get_tensor(key).float() for key in shape.keys)
            require_finite(str(file), zip(shape.keys, (b, a), strict=True), _TRAIN_AGAIN)
            scaled = b * shape.scale
            require_finite(f"{file} times its scale {shape.scale:g}", [(module, scaled)], _SCALE)
            factors[module] = LowRank(b=scaled, a=a)
    return Adapter(info, factors)


def load_factors(info: AdapterInfo) -> dict[str, LowRank]:
    """An adapter as weight changes: parameter of the base -> `LowRank`; see `load_adapter`."""
    factors = load_adapter(info).factors
    return {f"{module}.weight": change for module, change in factors.items()}
