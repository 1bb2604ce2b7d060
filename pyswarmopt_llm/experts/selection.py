"""The modules of a base that an adapter's config selects: peft loads these alone.

The rules are those of `peft.tuners.tuners_utils.check_target_module_exists`, peft 0.21.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.experts.patterns import Pattern, Patterns

_ALL = "all-linear"
_LAYER = re.compile(r".*?\.[^.]*\.(?P<idx>\d+)\.")  # the first number in a module's name
_BEFORE_LAYER = r"(?:^|.*?\.){}\.(?P<idx>\d+)\."


@dataclass(frozen=True)
class Names:
    """Modules by name, or by the end of their name after a dot; or by a pattern of whole names.

    Attributes:
        names: the names.
        pattern: None: there is none.
    """

    names: tuple[str, ...] = ()
    pattern: Pattern | None = None

    def has(self, module: str) -> bool:
        """Whether a module is among them.

        Example:
            >>> [Names(("q_proj", "h.0.mlp")).has(m) for m in ("h.0.q_proj", "h.0.mlp", "q_proj_2", "h.0.mlp.up")]
            [True, True, False, False]
        """
        if self.pattern is not None:
            return self.pattern.fullmatch(module) is not None
        return any(module == name or module.endswith(f".{name}") for name in self.names)


@dataclass(frozen=True)
class Selection:
    """The modules that a config selects.

    Attributes:
        targets: modules that are adapted.
        excluded: modules that are not, although they are targets.
        layers: the numbers of the layers that are adapted; empty: all.
        before_layer: patterns of what precedes the number of a layer; empty: any one name.
        all_linear: whether all linear layers but the output are targets, instead of `targets`.
    """

    targets: Names
    excluded: Names = Names()
    layers: tuple[int, ...] = ()
    before_layer: tuple[Pattern, ...] = ()
    all_linear: bool = False

    def has(self, module: str) -> bool:
        """Whether peft adapts this module, if it is a linear layer and not the output.

        Raises:
            UserError: the patterns take too long.

        Example:
            >>> first = Selection(Names(("q_proj",)), layers=(0,))
            >>> first.has("model.layers.0.self_attn.q_proj"), first.has("model.layers.1.self_attn.q_proj")
            (True, False)
        """
        if self.excluded.has(module):
            return False
        if self.all_linear:
            return True
        return self.targets.has(module) and (not self.layers or self._layer(module) in self.layers)

    def _layer(self, module: str) -> int | None:
        """The number of the layer that a module is in; None: of none."""
        if not self.before_layer:
            match = _LAYER.match(module)
            return None if match is None else int(match["idx"])
        matches = (pattern.match(module) for pattern in self.before_layer)
        first = next((match for match in matches if match is not None), None)
        number = None if first is None else first["idx"]
        return None if number is None else int(number)


def read_selection(path: Path, config: Mapping[str, Any], patterns: Patterns) -> Selection:
    """Read the selection from adapter_config.json.

    Args:
        path: the file, for error messages.
        config: its content.
        patterns: compiles its patterns.

    Raises:
        UserError: options are malformed, or such that peft loads no adapter with them.
    """
    targets, layers, before = (
        config.get(o) for o in ("target_modules", "layers_to_transform", "layers_pattern")
    )
    if not targets:
        raise UserError(
            f"{path}: target_modules is {targets!r}; list there the modules that the adapter "
            "changes"
        )
    for option, value in (("layers_to_transform", layers), ("layers_pattern", before)):
        if isinstance(targets, str) and value is not None:
            raise UserError(
                f"{path}: {option} is {value!r}, which needs a list of target_modules; set it to "
                "null"
            )
    if before and layers is None:
        raise UserError(
            f"{path}: layers_pattern is {before!r} without layers_to_transform; list the layers "
            "there"
        )
    return Selection(
        targets=_names(path, "target_modules", targets, patterns),
        excluded=_names(path, "exclude_modules", config.get("exclude_modules") or [], patterns),
        layers=_layers(path, layers),
        before_layer=_before_layer(path, before, patterns),
        all_linear=isinstance(targets, str) and targets.lower() == _ALL,
    )


def _names(path: Path, option: str, value: Any, patterns: Patterns) -> Names:
    if isinstance(value, str):
        return Names(pattern=patterns.compile(option, value))
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise UserError(f"{path}: {option} is {value!r}; write a list of module names")
    return Names(tuple(sorted(value)))


def _layers(path: Path, value: Any) -> tuple[int, ...]:
    numbers = value if isinstance(value, list) else [] if value is None else [value]
    if not all(type(number) is int for number in numbers):
        raise UserError(f"{path}: layers_to_transform is {value!r}; write the numbers of layers")
    return tuple(numbers)


def _before_layer(path: Path, value: Any, patterns: Patterns) -> tuple[Pattern, ...]:
    names = [value] if isinstance(value, str) and value else value or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(
            f"{path}: layers_pattern is {value!r}; write the name that precedes the number of a "
            "layer"
        )
    return tuple(patterns.compile("layers_pattern", name, _BEFORE_LAYER) for name in names)
