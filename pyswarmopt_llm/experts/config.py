"""adapter_config.json of a PEFT LoRA adapter; kinds that cannot be mixed are refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pyswarmopt_llm.common.commands import command
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.experts.files import read_json
from pyswarmopt_llm.experts.patterns import Pattern, Patterns
from pyswarmopt_llm.experts.selection import Selection, read_selection

_T = TypeVar("_T")


class NotPlain(UserError):
    """An adapter that is more than base + scale * B @ A on linear layers; `export` flattens it.

    Args:
        file: a file of its directory.
        what: what it is.
    """

    def __init__(self, file: Path, what: str) -> None:
        way = command("export", str(file.parent), base="B", format="peft", rank=16, out="DIR")
        super().__init__(f"{file}: {what}; flatten it to a plain LoRA ({way})")


# Options of peft with which an adapter is not plain.
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
# Options with which it is no change of the base's weights.
_REFUSED = {
    "layer_replication": "repeats layers of the base",
    "alora_invocation_tokens": "is an activated LoRA",
    "arrow_config": "routes between adapters",
    "megatron_config": "is for Megatron",
    "fan_in_fan_out": "is for layers that store their weight transposed",
}
_OTHER_KINDS = ("LOHA", "LOKR", "IA3", "OFT", "BOFT", "VERA", "HRA")  # that PEFT can merge
_MODULE = r"(.*\.)?({})$"  # a whole name, or its end after a dot
_BEGINS_AS_BASE = ("gaussian", "mica")  # initialisations with B A = 0, besides the default
# Initialisations that change the base's own weights.
_BASE_CHANGING = ("pissa", "olora", "corda", "loftq", "lora_ga")


@dataclass(frozen=True)
class AdapterConfig:
    """The settings of a LoRA adapter that determine what its weights mean.

    Attributes:
        base_model_name: ``base_model_name_or_path``, or None.
        rank: ``r``.
        alpha: ``lora_alpha``.
        rslora: whether the scale is alpha / sqrt(r) instead of alpha / r.
        selection: the modules that it changes.
        rank_pattern: exceptions to `rank`: patterns of module names, each with a rank; the first
            that matches counts.
        alpha_pattern: exceptions to `alpha`.
        begins_as_base: whether modules without weights in the file change nothing; otherwise peft
            draws them at random.
    """

    base_model_name: str | None
    rank: int
    alpha: float
    rslora: bool
    selection: Selection
    rank_pattern: Sequence[tuple[Pattern, int]] = ()
    alpha_pattern: Sequence[tuple[Pattern, float]] = ()
    begins_as_base: bool = True

    @property
    def target_modules(self) -> tuple[str, ...]:
        """Sorted list of targets; empty if they are given as a pattern or by layers."""
        selection = self.selection
        restricted = selection.layers or selection.excluded.names or selection.excluded.pattern
        return () if restricted else selection.targets.names

    def rank_of(self, module: str) -> int:
        """The configured rank of a module."""
        return _by_pattern(self.rank_pattern, module, self.rank)

    def scale_of(self, module: str, rank: int) -> float:
        """The factor of ``B @ A`` for a module of rank `rank`.

        Example:
            >>> from pyswarmopt_llm.experts.selection import Names
            >>> config = AdapterConfig(None, 4, 8, True, Selection(Names(("q_proj",))))
            >>> config.scale_of("layers.0.self_attn.q_proj", 4)
            4.0
        """
        alpha = _by_pattern(self.alpha_pattern, module, self.alpha)
        return alpha / (math.sqrt(rank) if self.rslora else rank)


def _by_pattern(patterns: Sequence[tuple[Pattern, _T]], module: str, default: _T) -> _T:
    """The value of the first pattern that matches, as peft looks them up."""
    return next((value for pattern, value in patterns if pattern.match(module)), default)


def read_config(path: Path, plain: bool = True) -> AdapterConfig:
    """Read and check adapter_config.json.

    Args:
        path: the file.
        plain: refuse what is not plain LoRA.

    Raises:
        UserError: missing, malformed, not LoRA, or a kind of LoRA that cannot be mixed; `NotPlain`
            where it can be flattened.
    """
    config = read_json(path)
    for option, what in _REFUSED.items():
        if config.get(option):
            raise UserError(f"{path}: {option} is set (the adapter {what}); train it as plain LoRA")
    if plain:
        _refuse_other_kinds(path, config)
    start = config.get("init_lora_weights", True)
    name = config.get("base_model_name_or_path")
    if name is not None and not (isinstance(name, str) and name.isprintable()):
        raise UserError(f"{path}: base_model_name_or_path is {name!r}; name the base model there")
    patterns = Patterns(path)
    return AdapterConfig(
        base_model_name=name or None,
        rank=_rank(path, "r", config.get("r", 8)),
        alpha=_alpha(path, "lora_alpha", config.get("lora_alpha", 8)),
        rslora=_flag(path, config, "use_rslora"),
        selection=read_selection(path, config, patterns),
        rank_pattern=_by_module(path, config, "rank_pattern", patterns, _rank),
        alpha_pattern=_by_module(path, config, "alpha_pattern", patterns, _alpha),
        begins_as_base=start is True
        or (isinstance(start, str) and start.lower() in _BEGINS_AS_BASE),
    )


def _refuse_other_kinds(path: Path, config: Mapping[str, Any]) -> None:
    kind = config.get("peft_type")
    if kind in _OTHER_KINDS:
        raise NotPlain(path, f"peft_type is {kind!r}, only LORA adapters can be mixed")
    if kind != "LORA":
        raise UserError(f"{path}: peft_type is {kind!r}; only LORA adapters can be mixed")
    for option, what in _MERGED.items():
        if config.get(option):
            raise NotPlain(path, f"{option} is set (the adapter {what})")
    if (config.get("bias") or "none") != "none":
        raise NotPlain(path, f"bias is {config['bias']!r}")
    start = config.get("init_lora_weights", True)
    if isinstance(start, str) and start.lower().startswith(_BASE_CHANGING):
        raise NotPlain(path, f"init_lora_weights is {start!r}, which changes the base's weights")


def _rank(path: Path, what: str, value: Any) -> int:
    if type(value) is not int or not 0 < value < 2**31:
        raise UserError(f"{path}: {what} is {value!r}; a LoRA rank is a whole number above 0")
    return value


def _alpha(path: Path, what: str, value: Any) -> float:
    if type(value) not in (int, float) or not abs(value) < 1e9:
        raise UserError(f"{path}: {what} is {value!r}; a LoRA alpha is a number")
    return float(value)


def _flag(path: Path, config: Mapping[str, Any], option: str) -> bool:
    value = config.get(option) or False
    if not isinstance(value, bool):
        raise UserError(f"{path}: {option} is {value!r}; write true or false")
    return value


def _by_module(
    path: Path,
    config: Mapping[str, Any],
    option: str,
    patterns: Patterns,
    read: Callable[[Path, str, Any], _T],
) -> tuple[tuple[Pattern, _T], ...]:
    """Patterns of module names, each with its value."""
    values = config.get(option) or {}
    if not isinstance(values, dict):
        raise UserError(f"{path}: {option} is {values!r}; write an object of module name patterns")
    return tuple(
        (patterns.compile(option, key, _MODULE), read(path, key, value))
        for key, value in values.items()
    )
