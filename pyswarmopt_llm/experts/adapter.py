"""Read PEFT LoRA adapters: config and header alone, or the weights, too.

A LoRA layer adds ``scale * B @ A`` to a weight, with ``scale = alpha / r`` (Hu et al. 2021, arXiv
2106.09685, section 4.1) or ``alpha / sqrt(r)`` with rsLoRA (Kalajdzievski 2023, arXiv 2312.03732).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors
import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.fingerprint import canonical
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.interfaces import LowRank
from pyswarmopt_llm.experts.config import AdapterConfig, NotPlain, read_config
from pyswarmopt_llm.experts.files import inside, local_directory
from pyswarmopt_llm.experts.safetensors_file import DTYPES, TensorHeader, read_header
from pyswarmopt_llm.experts.write import PREFIX

_WEIGHTS = "adapter_model.safetensors"
ADAPTER_FILES = ("adapter_config.json", _WEIGHTS, "tokenizer*.json", "README.md")
_KEY = re.compile(re.escape(PREFIX) + r"(?P<module>.+)\.lora_(?P<factor>[AB])\.weight")


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
        name: the expert's name, by default its directory's.
        path: the local directory.
        config: settings from adapter_config.json.
        modules: module name (such as ``model.layers.0.self_attn.q_proj``) -> its shape, sorted by
            name.
        tensors: header of each of their tensors, by its key in the file.
        ignored: modules in the file that its config does not select, sorted; peft does not load
            them, either.
        fingerprint: SHA-256 (hex) of the weights file, the base's name and the scales.
    """

    name: str
    path: Path
    config: AdapterConfig
    modules: Mapping[str, ModuleShape]
    tensors: Mapping[str, TensorHeader]
    fingerprint: str
    ignored: tuple[str, ...] = ()

    @property
    def base_model_name(self) -> str | None:
        """The base that the adapter states, if any."""
        return self.config.base_model_name

    @property
    def target_modules(self) -> tuple[str, ...]:
        """Suffixes that select these modules in the base; their full names if none are listed."""
        return self.config.target_modules or tuple(self.modules)

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
    """A loaded adapter: module name -> factors, in the order of `info.modules`."""

    info: AdapterInfo
    factors: Mapping[str, Factors]


@dataclass(frozen=True)
class AdapterFile:
    """An adapter whose factors are read on every access and not kept."""

    info: AdapterInfo

    @property
    def factors(self) -> Mapping[str, Factors]:
        return load_adapter(self.info).factors


Expert = Adapter | AdapterFile  # as a space needs it


def adapter_folder(spec: str | Path) -> Path:
    """The local directory of an adapter.

    Raises:
        UserError: its files are missing, or its weights a pickle.
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


def read_adapter(spec: str | Path, name: str | None = None) -> AdapterInfo:
    """Read an adapter's config and header; no weights are loaded.

    Args:
        spec: a PEFT adapter directory or a hub id.
        name: the expert's name; by default the last part of `spec`.

    Raises:
        UserError: missing, corrupt, or of a kind that cannot be mixed (`NotPlain`).
    """
    path = adapter_folder(spec)
    config = read_config(path / "adapter_config.json")
    weights = path / _WEIGHTS
    pairs = _pairs(weights, read_header(weights))
    used = sorted(config.selected(pairs))
    ignored = tuple(sorted(pairs.keys() - used))
    if not used:
        raise UserError(
            f"{weights}: adapter_config.json selects none of its modules, such as {ignored[0]}; "
            "correct it"
        )
    modules = {module: _shape(weights, config, module, pairs[module]) for module in used}
    tensors = {
        _key(module, factor): tensor for module in used for factor, tensor in pairs[module].items()
    }
    digest = hashlib.sha256(_content(weights))
    scales = [(module, shape.rank, shape.scale) for module, shape in modules.items()]
    digest.update(canonical([config.base_model_name, *scales]))
    default = user_path(spec).resolve().name if user_path(spec).is_dir() else Path(spec).name
    return AdapterInfo(name or default, path, config, modules, tensors, digest.hexdigest(), ignored)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(
            f"{file}: cannot be read ({error.strerror}); check that the file is there"
        ) from error


def _key(module: str, factor: str) -> str:
    """The key of a module's factor, A or B, in the file."""
    return f"{PREFIX}{module}.lora_{factor}.weight"


def _pairs(file: Path, tensors: Mapping[str, TensorHeader]) -> dict[str, dict[str, TensorHeader]]:
    """Module -> its tensors by factor, A and B; all checked to be LoRA weights of linear layers."""
    pairs: dict[str, dict[str, TensorHeader]] = {}
    for key, tensor in tensors.items():
        match = _KEY.fullmatch(key)
        if match is None:
            raise NotPlain(file, f"tensor {key!r} is not a LoRA weight of a linear layer")
        if len(tensor.shape) != 2 or 0 in tensor.shape:
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
    a, b, rank = pair["A"].shape, pair["B"].shape, config.rank_of(module)
    if not a[0] == b[1] == rank:
        raise UserError(
            f"{file}: {module} has A {list(a)} and B {list(b)}, but adapter_config.json says rank "
            f"{rank}; export the adapter again"
        )
    return ModuleShape(rank, config.scale_of(module, rank), (b[0], a[1]))


def changed_weights(experts: Iterable[AdapterInfo]) -> frozenset[str]:
    """The weights of the base that any of these adapters changes."""
    return frozenset(f"{module}.weight" for info in experts for module in info.modules)


def load_adapter(info: AdapterInfo) -> Adapter:
    """Load an adapter's weights in float32.

    Raises:
        UserError: a file that cannot be read, weights that are not finite, or so large that the
            changes may not be.
    """
    file = info.weights_file
    try:
        with safetensors.safe_open(file, framework="pt") as stored:
            raw = {name: stored.get_tensor(name).to(torch.float32) for name in info.tensors}
    except (safetensors.SafetensorError, OSError) as error:
        raise UserError(f"{file}: cannot be read ({error}); copy or export it again") from error
    factors = {}
    for module, shape in info.modules.items():
        b, a = raw[_key(module, "B")], raw[_key(module, "A")]
        if not _change_is_finite(b, a, shape.scale):
            raise UserError(
                f"{file}: the weights of {module} are NaN or infinite, or so large "
                "that its change overflows; train or export the expert again"
            )
        factors[module] = Factors(b=b, a=a, scale=shape.scale)
    return Adapter(info, factors)


def _change_is_finite(b: Tensor, a: Tensor, scale: float) -> bool:
    """Whether ``scale * b``, `a` and ``scale * b @ a`` are finite, by Cauchy-Schwarz bounds."""
    rows = float(torch.linalg.vector_norm(b, dim=1, dtype=torch.float64).max()) * abs(scale)
    columns = float(torch.linalg.vector_norm(a, dim=0, dtype=torch.float64).max())
    largest = torch.finfo(torch.float32).max
    return all(bound < largest for bound in (rows, columns, rows * columns))


def load_factors(info: AdapterInfo) -> dict[str, LowRank]:
    """An adapter as weight changes: parameter of the base -> `LowRank`, float32, scaled.

    Raises:
        UserError: see `load_adapter`.
    """
    return {
        f"{module}.weight": factors.low_rank()
        for module, factors in load_adapter(info).factors.items()
    }
