"""Reads PEFT LoRA adapters: config and header only, or also the weights.

Kinds that cannot be mixed are refused. A LoRA layer adds ``scale * B @ A`` to a weight, with ``scale
= alpha / r`` (Hu et al. 2021, arXiv 2106.09685, section 4.1) or ``alpha / sqrt(r)`` with rsLoRA
(Kalajdzievski 2023, arXiv 2312.03732).
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import torch
from torch import Tensor

from pyswarmopt_llm.common.config import command
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_types import WrongType, typed
from pyswarmopt_llm.common.files.regular import canonical, user_path
from pyswarmopt_llm.common.interfaces import LowRank
from pyswarmopt_llm.experts.files import PREFIX, inside, local_directory, read_json
from pyswarmopt_llm.experts.safetensors_file import DTYPES, TensorHeader, read_header, readable
from pyswarmopt_llm.experts.tensor_names import refuse_wrapped

T = TypeVar("T")
# PEFT options of adapters that are not plain LoRA.
_MERGED = {
    "use_dora": "is DoRA, which does not add up linearly",
    "modules_to_save": "replaces whole modules",
    "trainable_token_indices": "trains token embeddings",
    "target_parameters": "adapts bare parameters",
    "lora_bias": "trains a bias",
    "use_qalora": "is a QA-LoRA",
    "use_bdlora": "is a block-diagonal LoRA",
    "kasa_config": "is a KaSA adapter",
    "monteclora_config": "is a Monte Carlo LoRA",
}
OTHER_WAY = (
    "merge it into its base with PEFT (merge_and_unload) and mix the models with `space` full, or "
    "train plain LoRAs of linear layers"
)
# Options of adapters that are no change of linear layers' weights -> what they are, what to do.
_REFUSED = {
    # PEFT cannot merge these two, either
    "alora_invocation_tokens": ("is an activated LoRA, which no weights can", "remove it"),
    "arrow_config": ("routes between adapters, which no weights can", "remove it"),
    "layer_replication": ("repeats layers of the base", OTHER_WAY),
    "megatron_config": ("is for Megatron", OTHER_WAY),
    "fan_in_fan_out": (
        "is for layers that store their weight transposed, as in GPT-2",
        OTHER_WAY,
    ),
}
_OTHER_KINDS = (
    "LOHA",
    "LOKR",
    "IA3",
    "OFT",
    "BOFT",
    "VERA",
    "HRA",
    "ADALORA",
    "FOURIERFT",
)  # kinds that PEFT can merge
# Initialisations (``init_lora_weights``) by what they do to the base's own weights. PEFT repeats
# those of the second line on loading, by the base alone; all others need numbers that no file holds.
KEEPS_BASE = frozenset({"none", "true", "false", "gaussian", "eva", "orthogonal", "mica"})
CHANGES_BASE = frozenset({"pissa", "olora"})
BEGINS_AS_BASE = frozenset({"none", "true", "gaussian", "mica"})  # B A = 0
_WEIGHTS = "adapter_model.safetensors"
ADAPTER_FILES = ("adapter_config.json", _WEIGHTS, "tokenizer*.json", "README.md")
_KEY = re.compile(re.escape(PREFIX) + r"(?P<module>.+)\.lora_(?P<factor>[AB])\.weight")


class NotPlain(UserError):
    """An adapter that is more than base + scale * B @ A on linear layers; `export` flattens it.

    Args:
        file: file in its directory.
        what: kind of adapter.
    """

    def __init__(self, file: Path, what: str) -> None:
        way = command("export", str(file.parent), base="B", format="peft", rank=16, out="DIR")
        super().__init__(
            f"{file}: {what}; flatten it to a LoRA of its linear layers, the rest is lost ({way})"
        )


Translate = Callable[["AdapterConfig", Collection[str]], Mapping[str, str]]


@dataclass(frozen=True)
class AdapterConfig:
    """The settings of an adapter, with PEFT's names, defaults and rules.

    Attributes:
        file: adapter_config.json.
    """

    base_model_name_or_path: str | None = None
    r: int = 8
    lora_alpha: float = 8
    use_rslora: bool | None = None
    init_lora_weights: bool | str | None = True
    target_modules: str | list[str] | None = None
    exclude_modules: str | list[str] | None = None
    layers_to_transform: int | list[int] | None = None
    layers_pattern: str | list[str] | None = None
    rank_pattern: dict[str, int] | None = None
    alpha_pattern: dict[str, float] | None = None
    file: Path = Path()

    @property
    def all_linear(self) -> bool:
        """Whether all linear layers except the output are targets."""
        targets = self.target_modules
        return isinstance(targets, str) and targets.lower() == "all-linear"

    @property
    def begins_as_base(self) -> bool:
        """Whether modules missing in the file change nothing; otherwise PEFT initialises them at
        random.
        """
        return _spelled(self.init_lora_weights) in BEGINS_AS_BASE

    def selected(self, modules: Collection[str], output: str | None = None) -> frozenset[str]:
        """The linear layers that PEFT adapts, of these.

        Args:
            modules: names of linear layers.
            output: name of the output layer, which "all-linear" excludes.

        Raises:
            UserError: a pattern is malformed.
        """
        with self._patterns():
            left = [module for module in modules if not _names(self.exclude_modules, module)]
            if self.all_linear:
                return frozenset(left) - {output or ""}
            return frozenset(module for module in left if self._targets(module))

    def _targets(self, module: str) -> bool:
        """Whether a module is a target; whole names are one in any layer."""
        targets = self.target_modules
        if isinstance(targets, list) and module in targets:
            return True
        return _names(targets, module) and self._in_layer(module)

    def _in_layer(self, module: str) -> bool:
        """Whether a module is in one of the layers to adapt."""
        layers = self.layers_to_transform
        if layers is None or layers == []:
            return True
        numbers = [layers] if isinstance(layers, int) else layers
        lists = (
            [self.layers_pattern] if isinstance(self.layers_pattern, str) else self.layers_pattern
        )
        patterns = [rf"(?:^|.*?\.){name}" for name in lists or ()] or [r".*?\.[^.]*"]
        for pattern in patterns:
            found = re.match(rf"{pattern}\.(?P<layer>\d+)\.", module)
            if found is not None:
                return int(found["layer"]) in numbers
        return False

    def rank_of(self, module: str) -> int:
        """The configured rank of a module."""
        return self._by_pattern(self.rank_pattern or {}, module, self.r)

    def scale_of(self, module: str, rank: int) -> float:
        """The factor of ``B @ A`` for a module of rank `rank`."""
        alpha = self._by_pattern(self.alpha_pattern or {}, module, self.lora_alpha)
        return alpha / (math.sqrt(rank) if self.use_rslora else rank)

    def _by_pattern(self, patterns: Mapping[str, T], module: str, default: T) -> T:
        with self._patterns():
            for pattern, value in patterns.items():
                if re.match(rf"(.*\.)?({pattern})$", module):
                    return value
        return default

    @contextmanager
    def _patterns(self) -> Iterator[None]:
        """Match patterns of the file.

        Raises:
            UserError: a pattern is malformed.
        """
        try:
            yield
        except (re.error, RecursionError, OverflowError) as error:
            raise UserError(f"{self.file}: a pattern cannot be matched ({error})") from error


def _names(targets: str | list[str] | None, module: str) -> bool:
    """Whether a pattern, or one of several names or their ends, means a module."""
    if isinstance(targets, str):
        return re.fullmatch(targets, module) is not None
    return any(module == name or module.endswith(f".{name}") for name in targets or ())


def _spelled(start: object) -> str:
    return str(start).lower()


def read_config(path: Path, plain: bool = True) -> AdapterConfig:
    """Read and check adapter_config.json.

    Args:
        path: the file.
        plain: whether to refuse adapters that are not plain LoRA.

    Raises:
        UserError: missing, malformed, not LoRA, or a kind of LoRA that cannot be mixed; `NotPlain`
            if it can be flattened.
    """
    content = read_json(path)
    for option, (what, remedy) in _REFUSED.items():
        if content.get(option):
            raise UserError(f"{path}: {option} is set (the adapter {what}); {remedy}")
    if plain:
        _refuse_other_kinds(path, content)
    known = {name: value for name, value in content.items() if name != "file"}
    try:
        config: AdapterConfig = typed(known, AdapterConfig)
    except WrongType as error:
        raise UserError(f"{path}: {error}; export the adapter again") from error
    _refuse_lost_base(path, config.init_lora_weights)
    if not (config.base_model_name_or_path or "").isprintable():
        raise UserError(f"{path}: base_model_name_or_path is no name; name the base model there")
    if not (config.target_modules or content.get("target_parameters")):
        raise UserError(f"{path}: has no target_modules; list the modules that it changes there")
    layers = config.layers_to_transform is not None
    if (layers and isinstance(config.target_modules, str)) or (
        config.layers_pattern and not layers
    ):
        raise UserError(
            f"{path}: PEFT does not read it: layers_to_transform goes with a list of "
            "target_modules, layers_pattern with layers_to_transform; correct it"
        )
    return replace(config, file=path)


def _refuse_lost_base(path: Path, start: bool | str | None) -> None:
    """Refuse an adapter on base weights that neither its files nor the base give.

    Raises:
        UserError: names the initialisation.
    """
    if _spelled(start) not in KEEPS_BASE | CHANGES_BASE:
        raise UserError(
            f"{path}: init_lora_weights is {start!r}, which changes the base's weights by numbers "
            "that its files do not hold; convert it where it was trained, by PEFT's "
            "save_pretrained(..., path_initial_model_for_weight_conversion=...)"
        )


def _refuse_other_kinds(path: Path, config: Mapping[str, Any]) -> None:
    kind = config.get("peft_type")
    if kind in _OTHER_KINDS:
        raise NotPlain(path, f"peft_type is {kind!r}, only LORA adapters can be mixed")
    if "fine_tune_type" in config or "lora_parameters" in config:
        raise UserError(
            f"{path}: is an adapter of MLX, which PEFT does not read; merge it into its base with "
            "mlx_lm.fuse, and mix the model with `space` full"
        )
    if kind != "LORA":
        raise UserError(f"{path}: peft_type is {kind!r}; only LORA adapters can be mixed")
    for option, what in _MERGED.items():
        if config.get(option):
            raise NotPlain(path, f"{option} is set (the adapter {what})")
    if (config.get("bias") or "none") != "none":
        raise NotPlain(path, f"bias is {config['bias']!r}")
    start = config.get("init_lora_weights", True)
    if _spelled(start) in CHANGES_BASE:
        raise NotPlain(path, f"init_lora_weights is {start!r}, which changes the base's weights")


@dataclass(frozen=True)
class ModuleShape:
    """One adapted module: its LoRA rank, its scale, and the (out, in) shape of its weight."""

    rank: int
    scale: float
    weight_shape: tuple[int, int]


@dataclass(frozen=True)
class AdapterInfo:
    """An adapter without its weights.

    Attributes:
        name: name of the expert; by default its directory's.
        path: local directory.
        config: settings from adapter_config.json.
        modules: module name (such as ``model.layers.0.self_attn.q_proj``) -> its shape, sorted by
            name.
        tensors: header of each tensor, by its key in the file.
        ignored: modules in the file that its config does not select, sorted; peft ignores them,
            too.
        fingerprint: SHA-256 (hex) of the weights file, the base's name and the scales.
        base: name of the base in use; "" if unknown.
        stored: module -> its name in the file, if different.
    """

    name: str
    path: Path
    config: AdapterConfig
    modules: Mapping[str, ModuleShape]
    tensors: Mapping[str, TensorHeader]
    fingerprint: str
    ignored: tuple[str, ...] = ()
    base: str = ""
    stored: Mapping[str, str] = field(default_factory=dict)

    @property
    def base_model_name(self) -> str | None:
        """The base that the adapter states, if any."""
        return self.config.base_model_name_or_path or None

    @property
    def target_modules(self) -> tuple[str, ...]:
        """Suffixes that select these modules in the base, sorted; full names if the targets are a
        pattern or depend on layers.
        """
        config = self.config
        if config.layers_to_transform not in (None, []) or config.exclude_modules:
            return tuple(self.modules)
        if isinstance(config.target_modules, list):
            return tuple(sorted(set(config.target_modules)))
        return tuple(self.modules)

    @property
    def weights_file(self) -> Path:
        """The safetensors file."""
        return self.path / _WEIGHTS


@dataclass(frozen=True)
class Factors:
    """The LoRA factors of one module, float32.

    Attributes:
        b: (out_features, rank).
        a: (rank, in_features).
        scale: factor of ``b @ a``.
    """

    b: Tensor
    a: Tensor
    scale: float

    def low_rank(self) -> LowRank:
        """The weight change, with the scale folded into `b`."""
        return LowRank(b=self.b * self.scale, a=self.a)


@dataclass(frozen=True)
class Adapter:
    """An adapter with its weights.

    Attributes:
        info: everything but the weights.
        held: module -> factors, in the order of `info.modules`; None: read on every access.
    """

    info: AdapterInfo
    held: Mapping[str, Factors] | None = None

    @property
    def factors(self) -> Mapping[str, Factors]:
        """Module -> factors, in the order of `info.modules`."""
        return load_adapter(self.info).factors if self.held is None else self.held


def adapter_folder(spec: str | Path) -> Path:
    """The local directory of an adapter.

    Raises:
        UserError: files are missing, or the weights are a pickle.
    """
    path = local_directory(spec, ADAPTER_FILES)
    if not (path / _WEIGHTS).is_file() and (path / "adapter_model.bin").is_file():
        raise UserError(
            f"{path / 'adapter_model.bin'}: is a pickle, which can run code; if you trust it, "
            "load it with peft and save it again (save_pretrained writes safetensors)"
        )
    if hint := inside(path, "adapter_config.json"):
        raise UserError(f"{spec}: has no adapter_config.json{hint}")
    return path


def adapter_headers(folder: Path) -> dict[str, TensorHeader]:
    """The header of each tensor in an adapter's file, by key.

    Raises:
        UserError: the file is damaged, a tensor is empty, or `tensor_names.refuse_wrapped`.
    """
    file = folder / _WEIGHTS
    tensors = read_header(file)
    for key, tensor in tensors.items():
        if 0 in tensor.shape:
            raise UserError(
                f"{file}: tensor {key!r} is empty, as DeepSpeed ZeRO-3 saves weights that it has "
                "not gathered; save the adapter with stage3_gather_16bit_weights_on_model_save, or "
                "make its weights of the checkpoint by zero_to_fp32.py"
            )
    refuse_wrapped(file, tensors)
    return tensors


def read_adapter(
    spec: str | Path, name: str | None = None, translate: Translate | None = None
) -> AdapterInfo:
    """Read an adapter's config and header; no weights are loaded.

    Args:
        spec: a PEFT adapter directory or a hub id.
        name: name of the expert; by default the last part of `spec`.
        translate: finds the base's names of its modules, if they differ; see
            `compatibility.BaseFiles.translate`. None: the names are the file's.

    Raises:
        UserError: missing, corrupt, or of a kind that cannot be mixed (`NotPlain`).
    """
    path = adapter_folder(spec)
    config = read_config(path / "adapter_config.json")
    weights = path / _WEIGHTS
    pairs = _pairs(weights, adapter_headers(path))
    names = {} if translate is None else translate(config, pairs)
    stored = {names.get(module, module): module for module in pairs}
    pairs = {module: pairs[stored[module]] for module in stored}
    used = sorted(config.selected(pairs))
    ignored = tuple(sorted(pairs.keys() - used))
    if not used:
        raise UserError(
            f"{weights}: adapter_config.json selects none of its modules, such as {ignored[0]}; "
            "correct it"
        )
    modules = {module: _shape(weights, config, module, pairs[module]) for module in used}
    tensors = {
        _key(stored[module], factor): tensor
        for module in used
        for factor, tensor in pairs[module].items()
    }
    default = user_path(spec).resolve().name if user_path(spec).is_dir() else Path(spec).name
    return AdapterInfo(
        name=name or default,
        path=path,
        config=config,
        modules=modules,
        tensors=tensors,
        fingerprint=_fingerprint(weights, config, modules),
        ignored=ignored,
        stored={module: stored[module] for module in used if stored[module] != module},
    )


def _fingerprint(file: Path, config: AdapterConfig, modules: Mapping[str, ModuleShape]) -> str:
    """A digest of the weights, with their scales and the base's name."""
    with readable(file), file.open("rb") as weights:
        digest = hashlib.file_digest(weights, "sha256")
    scales = [(module, shape.rank, shape.scale) for module, shape in modules.items()]
    digest.update(canonical([config.base_model_name_or_path or None, *scales]))
    return digest.hexdigest()


def _key(module: str, factor: str) -> str:
    """The key of a module's factor, A or B, in the file."""
    return f"{PREFIX}{module}.lora_{factor}.weight"


def _pairs(file: Path, tensors: Mapping[str, TensorHeader]) -> dict[str, dict[str, TensorHeader]]:
    """Module -> its two tensors, A and B, checked to be LoRA weights of linear layers."""
    pairs: dict[str, dict[str, TensorHeader]] = {}
    for key, tensor in tensors.items():
        match = _KEY.fullmatch(key)
        if match is None:
            raise NotPlain(file, f"tensor {key!r} is not a LoRA weight of a linear layer")
        if len(tensor.shape) != 2:
            raise NotPlain(
                file, f"tensor {key!r} is {list(tensor.shape)}, only linear layers can be mixed"
            )
        if tensor.dtype not in DTYPES:
            raise UserError(
                f"{file}: tensor {key!r} is stored as {tensor.dtype}; save it as F32, F16 or BF16"
            )
        pairs.setdefault(match["module"], {})[match["factor"]] = tensor
    if not pairs:
        raise UserError(f"{file}: has no LoRA weights; export the adapter again")
    return pairs


def _shape(
    file: Path, config: AdapterConfig, module: str, pair: Mapping[str, TensorHeader]
) -> ModuleShape:
    """An adapted module, checked for both factors, matching shapes and the configured rank."""
    if len(pair) < 2:
        missing = "B" if "A" in pair else "A"
        raise UserError(f"{file}: {module} has no lora_{missing}.weight; export the adapter again")
    a = pair["A"].shape
    b = pair["B"].shape
    rank = config.rank_of(module)
    if not a[0] == b[1] == rank:
        raise UserError(
            f"{file}: {module} has A {list(a)} and B {list(b)}, but adapter_config.json says rank "
            f"{rank}; export the adapter again"
        )
    return ModuleShape(rank, config.scale_of(module, rank), (b[0], a[1]))


def changed_weights(experts: Iterable[AdapterInfo]) -> frozenset[str]:
    """The base's weights that any of these adapters changes."""
    return frozenset(f"{module}.weight" for info in experts for module in info.modules)


def load_adapter(info: AdapterInfo) -> Adapter:
    """Load an adapter's weights in float32.

    Raises:
        UserError: the file cannot be read, or weights or changes are not finite.
    """
    file = info.weights_file
    factors = {}
    with readable(file), safetensors.safe_open(file, framework="pt") as stored:
        for module, shape in info.modules.items():
            own = info.stored.get(module, module)
            b, a = (stored.get_tensor(_key(own, f)).to(torch.float32) for f in "BA")
            if not _change_is_finite(b, a, shape.scale):
                raise UserError(
                    f"{file}: the weights of {module} are NaN or infinite, or so large "
                    "that its change overflows; train or export the expert again"
                )
            factors[module] = Factors(b=b, a=a, scale=shape.scale)
    return Adapter(info, factors)


def _change_is_finite(b: Tensor, a: Tensor, scale: float) -> bool:
    """Whether ``scale * b``, `a` and ``scale * b @ a`` are finite, by their Frobenius norms."""
    left = float(b.double().norm()) * abs(scale)
    right = float(a.double().norm())
    largest = torch.finfo(torch.float32).max
    return all(bound < largest for bound in (left, right, left * right))


def load_factors(info: AdapterInfo) -> dict[str, LowRank]:
    """An adapter as weight changes: parameter of the base -> `LowRank`, float32, scaled.

    Raises:
        UserError: see `load_adapter`.
    """
    return {
        f"{module}.weight": factors.low_rank()
        for module, factors in load_adapter(info).factors.items()
    }
