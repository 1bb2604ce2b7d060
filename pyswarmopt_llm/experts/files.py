"""Files of experts and bases: finding them, reading their JSON, writing
adapters in peft's format: adapter_config.json and adapter_model.safetensors. Imports no torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mode
from typing import TYPE_CHECKING, Any

from pyswarmopt_llm.common.errors import UserError, first_line
from pyswarmopt_llm.common.files import regular
from pyswarmopt_llm.common.files.regular import atomic_directory, user_path

if TYPE_CHECKING:
    from torch import Tensor

EMBEDDED = "embedded:"  # prefix of a base name
GGUF = ".gguf"  # suffix of a base name
NF4 = "nf4:"  # prefix of a base name: bitsandbytes packs its weights while loading
ADAPTER_FILES = (
    "adapter_config.json",
    "adapter_model.safetensors",
    "tokenizer*.json",
    "*.jinja",
    "README.md",
)
_NAMED_TEMPLATES = "additional_chat_templates"
PREFIX = "base_model.model."  # peft's prefix of module names in a causal language model
# of adapter_config.json: what PEFT, vLLM and llama.cpp take for a plain LoRA
_PLAIN = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "lora_dropout": 0.0,
    "bias": "none",
    "use_rslora": False,
    "use_dora": False,
    "fan_in_fan_out": False,
    "inference_mode": True,
}
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def local_directory(spec: str | Path, patterns: Sequence[str]) -> Path:
    """A directory, or the local copy of a hub repository.

    Args:
        spec: a directory, or a hub id such as ``org/name`` (downloaded to the hub's cache if
            needed).
        patterns: file name patterns to download; never pickles.

    Raises:
        UserError: `spec` is neither a directory nor a reachable repository.
    """
    path = user_path(spec)
    if path.is_dir():
        return path
    if path.exists():
        raise UserError(
            f"{spec}: not a directory; use the directory that contains it, or unpack it first"
        )
    if not _HUB_ID.fullmatch(str(spec)) or str(spec).startswith("."):
        raise UserError(f"{spec}: no such directory; check the path")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(str(spec), allow_patterns=list(patterns)))
    except LocalEntryNotFoundError as error:
        raise UserError(
            f"{spec}: no such directory, and the hub cannot be reached; check the path, or download "
            "it where there is a network"
        ) from error
    except Exception as error:  # network, access, no such repository: all have the same remedy
        raise UserError(
            f"{spec}: no such directory, and loading it from the hub failed "
            f"({type(error).__name__}: {first_line(error)}); check the name"
        ) from error


def model_files(folder: Path) -> list[Path]:
    """The files of a model's directory, named chat templates included."""
    files = [*folder.iterdir(), *folder.glob(f"{_NAMED_TEMPLATES}/*.jinja")]
    return sorted(file for file in files if file.is_file())


def chat_template_in(folder: Path) -> str | None:
    """The default chat template in the files of a tokenizer; None if there is none."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return regular.read_text(file).strip()
    settings = folder / "tokenizer_config.json"
    template = read_json(settings).get("chat_template") if settings.is_file() else None
    if isinstance(template, list):  # of named ones
        named = [each for each in template if isinstance(each, dict)]
        template = {each.get("name"): each.get("template") for each in named}.get("default")
    return template.strip() if isinstance(template, str) else None


def require_inputs(adapters: Iterable[str | Path], base: str | None = None) -> None:
    """Find adapters, and refuse a missing base, before torch is loaded.

    Raises:
        UserError: an adapter or the base is missing.
    """
    for adapter in adapters:
        local_directory(adapter, ADAPTER_FILES)
    plain = (base or "").removeprefix(NF4)
    if plain and not plain.startswith(EMBEDDED) and not user_path(plain).exists():
        local_directory(plain, ("config.json",))


def refuse_unmatched(specs: Sequence[str | Path]) -> None:
    """Refuse a pattern without matches, which a shell passes on unchanged.

    Raises:
        UserError: a pattern has no matches.

    Example:
        >>> refuse_unmatched(["none-here/*"])
        Traceback (most recent call last):
        pyswarmopt_llm.common.errors.UserError: none-here/* does not exist; check the path
    """
    for spec in specs:
        if any(letter in str(spec) for letter in "*?[") and not user_path(spec).exists():
            raise UserError(f"{spec} does not exist; check the path")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`.

    Raises:
        UserError: the file is missing or is not a JSON object.
    """
    try:
        value = regular.read_json(path, regular.INPUT_LIMIT)
    except OSError as error:
        raise UserError(
            f"cannot read {path} ({error.strerror}); check that the file exists"
        ) from error
    if not isinstance(value, dict):
        raise UserError(
            f"{path} must contain a JSON object, not a {type(value).__name__}; export it again"
        )
    return value


def write_adapter(
    out: Path,
    factors: Mapping[str, tuple[Tensor, Tensor]],
    *,
    base_model_name: str,
    alpha: float | None = None,
    card: str | None = None,
) -> None:
    """Write one LoRA adapter directory atomically.

    Args:
        out: the directory to create; it must not exist or be empty.
        factors: module name (such as ``model.layers.0.self_attn.q_proj``) -> (b, a) with shapes
            (out, r) and (r, in), in the dtype to be stored. Ranks may differ between modules.
        base_model_name: the id or directory of the base model.
        alpha: LoRA alpha; the default is each module's own rank, so that the scale alpha / r is 1.
        card: text of README.md; default: no card.

    Raises:
        UserError: `out` already exists or cannot be created, or a tensor is not finite.
    """
    from safetensors.torch import save_file

    from pyswarmopt_llm.experts.safetensors_file import require_finite

    ranks = {module: a.shape[0] for module, (_, a) in factors.items()}
    rank = mode(ranks.values())
    other = {module: r for module, r in sorted(ranks.items()) if r != rank}
    config = {
        **_PLAIN,
        "base_model_name_or_path": base_model_name,
        "r": rank,
        "lora_alpha": alpha or rank,
        "rank_pattern": other,
        "alpha_pattern": {} if alpha else other,
        "target_modules": sorted(factors),
    }
    tensors = {}
    for module, (b, a) in factors.items():
        tensors[f"{PREFIX}{module}.lora_A.weight"] = a.contiguous()
        tensors[f"{PREFIX}{module}.lora_B.weight"] = b.contiguous()
    require_finite(str(out), tensors.items(), "check the weights of the adapters it was made from")
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    with atomic_directory(out) as folder:
        (folder / "adapter_config.json").write_text(text, encoding="utf-8")
        save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
        if card is not None:
            (folder / "README.md").write_text(card, encoding="utf-8")
