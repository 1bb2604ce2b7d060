"""adapter_config.json of a LoRA adapter, read by PEFT itself; kinds that cannot be mixed are
refused.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import warnings
from collections.abc import Collection, Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from pyswarmopt_llm.common.commands import command
from pyswarmopt_llm.common.errors import UserError, first_line
from pyswarmopt_llm.common.files.json_types import WrongType, typed
from pyswarmopt_llm.experts.files import read_json
from pyswarmopt_llm.experts.pretrained import quiet_bitsandbytes


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
_BEGINS_AS_BASE = ("gaussian", "mica")  # initialisations with B A = 0, besides the default
# Initialisations that change the base's own weights.
_BASE_CHANGING = ("pissa", "olora", "corda", "loftq", "lora_ga")
SECONDS = 10.0  # for all patterns of one adapter; those of real ones take milliseconds
_PLAIN = re.compile(r"[\w.-]*")  # a pattern that cannot take long
_MATCH = """
import json, re, sys
checks, names = json.load(sys.stdin)
for how, pattern in checks:
    for name in names:
        getattr(re, how)(pattern, name)
"""


class _Settings(TypedDict, total=False):
    """The types of the settings that are used; PEFT checks none of them."""

    base_model_name_or_path: str | None
    r: int
    lora_alpha: float
    use_rslora: bool | None
    target_modules: str | list[str] | None
    exclude_modules: str | list[str] | None
    layers_to_transform: int | list[int] | None
    layers_pattern: str | list[str] | None
    rank_pattern: dict[str, int] | None
    alpha_pattern: dict[str, float] | None


@dataclass(frozen=True)
class AdapterConfig:
    """The settings of an adapter, with PEFT's rules for what they mean.

    Attributes:
        file: adapter_config.json.
        peft: as PEFT holds them, a ``LoraConfig``.
    """

    file: Path
    peft: Any

    @property
    def base_model_name(self) -> str | None:
        """``base_model_name_or_path``, or None."""
        return self.peft.base_model_name_or_path or None

    @property
    def all_linear(self) -> bool:
        """Whether all linear layers but the output are targets."""
        targets = self.peft.target_modules
        return isinstance(targets, str) and targets.lower() == "all-linear"

    @property
    def begins_as_base(self) -> bool:
        """Whether modules without weights in the file change nothing; else PEFT draws them."""
        start = self.peft.init_lora_weights
        return start is True or str(start).lower() in _BEGINS_AS_BASE

    @property
    def target_modules(self) -> tuple[str, ...]:
        """Sorted list of targets; empty if they are given as a pattern or by layers."""
        peft = self.peft
        by_layer = peft.layers_to_transform not in (None, [])
        if by_layer or peft.exclude_modules or isinstance(peft.target_modules, str):
            return ()
        return tuple(sorted(peft.target_modules))

    def selected(self, modules: Collection[str], output: str | None = None) -> frozenset[str]:
        """The linear layers among these that PEFT adapts.

        Args:
            modules: names of linear layers.
            output: the one that gives the logits, which is not among all linear layers.

        Raises:
            UserError: its patterns are malformed or take too long.
        """
        from peft.tuners.tuners_utils import check_target_module_exists

        self.check_patterns(modules)
        settings = copy(self.peft)
        if self.all_linear:
            settings.target_modules = set(modules) - {output}
        return frozenset(m for m in modules if check_target_module_exists(settings, m))

    def rank_of(self, module: str) -> int:
        """The configured rank of a module."""
        return self._by_pattern(self.peft.rank_pattern, module, self.peft.r)

    def scale_of(self, module: str, rank: int) -> float:
        """The factor of ``B @ A`` for a module of rank `rank`."""
        alpha = self._by_pattern(self.peft.alpha_pattern, module, self.peft.lora_alpha)
        return alpha / (math.sqrt(rank) if self.peft.use_rslora else rank)

    def _by_pattern(self, patterns: Mapping[str, Any], module: str, default: Any) -> Any:
        from peft.utils.other import get_pattern_key

        return patterns.get(get_pattern_key(patterns.keys(), module), default)

    def check_patterns(self, modules: Collection[str]) -> None:
        """Prove, in a process that is killed if need be, that its patterns can be matched.

        An adapter comes from anywhere, and `re` can take years over ``(a+)+$``.

        Args:
            modules: names that they are to be matched with.

        Raises:
            UserError: a pattern is malformed or takes too long.
        """
        checks = list(_patterns(vars(self.peft)))
        if not checks:
            return
        try:
            subprocess.run(
                [sys.executable, "-I", "-c", _MATCH],
                input=json.dumps([checks, sorted(modules)]),
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=True,
            )
        except subprocess.TimeoutExpired as error:
            why = "takes too long to match"
            raise UserError(f"{self.file}: a pattern {why}; write it more simply") from error
        except subprocess.CalledProcessError as error:
            why = error.stderr.strip().rpartition("\n")[2].replace("`", "'")
            raise UserError(f"{self.file}: a pattern cannot be matched ({why})") from error


def _patterns(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The function of `re` and the pattern, of each that is not plain, as PEFT frames them."""
    for option in ("target_modules", "exclude_modules"):
        if isinstance(settings.get(option), str) and not _PLAIN.fullmatch(settings[option]):
            yield "fullmatch", settings[option]
    layers = settings.get("layers_pattern") or []
    for text in [layers] if isinstance(layers, str) else layers:
        if not _PLAIN.fullmatch(text):
            yield "match", rf"(?:^|.*?\.){text}\.(?P<idx>\d+)\."
    for option in ("rank_pattern", "alpha_pattern"):
        for text in settings.get(option) or {}:
            if not _PLAIN.fullmatch(text):
                yield "match", rf"(.*\.)?({text})$"


def read_config(path: Path, plain: bool = True) -> AdapterConfig:
    """Read and check adapter_config.json.

    Args:
        path: the file.
        plain: refuse what is not plain LoRA.

    Raises:
        UserError: missing, malformed, not LoRA, or a kind of LoRA that cannot be mixed; `NotPlain`
            where it can be flattened.
    """
    content = read_json(path)
    for option, what in _REFUSED.items():
        if content.get(option):
            raise UserError(f"{path}: {option} is set (the adapter {what}); train it as plain LoRA")
    if plain:
        _refuse_other_kinds(path, content)
    try:
        typed(content, _Settings)
    except WrongType as error:
        raise UserError(f"{path}: {error}; export the adapter again") from error
    if not (content.get("base_model_name_or_path") or "").isprintable():
        raise UserError(f"{path}: base_model_name_or_path is no name; name the base model there")
    if not content.get("target_modules"):
        raise UserError(f"{path}: has no target_modules; list the modules that it changes there")
    settings = {name: value for name, value in content.items() if value is not None}
    return AdapterConfig(path, _by_peft(path, settings))


def _by_peft(path: Path, settings: Mapping[str, Any]) -> Any:
    """The settings as PEFT reads them; it leaves out those that it does not know.

    Raises:
        UserError: it refuses them.
    """
    quiet_bitsandbytes()  # peft imports it if it is installed
    from peft import PeftConfig

    try:
        with warnings.catch_warnings(action="ignore"):
            return PeftConfig.from_peft_type(**settings)
    except Exception as error:  # whatever a configuration leads to
        why = first_line(error)
        raise UserError(f"{path}: PEFT does not read it ({why}); export it again") from error


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
