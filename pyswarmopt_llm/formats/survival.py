"""How much of an adapter is left in the merged and rounded model; read from the files, without loading the
model.

With W a weight of the base, C the adapter's change to it and Q the rounding of a format, what is left
of C is D = Q(W + C) - Q(W). Its slope is <D, C> / <C, C>, the least-squares share of C in D: 1 is all of
it. Its correlation is <D, C> / (|D| |C|), lower where rounding adds noise.

A base that lies on the format's grid, such as one from a GGUF file of the same type, is the worst
case: where C is less than half a step, D is 0. Elsewhere rounding adds noise, which keeps the slope near 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pyswarmopt_llm.experts.adapter import AdapterInfo, load_factors
from pyswarmopt_llm.experts.base import BaseModel, empty_model, refuse_quantised
from pyswarmopt_llm.experts.safetensors_file import StoredTensors
from pyswarmopt_llm.formats import Format

ROWS = 64  # of a matrix, evenly spaced: a step is shared within a row
LEAST = 0.5  # slope below which an adapter counts as lost
WORST = 3  # modules that are named


@dataclass(frozen=True)
class Share:
    """The part of a change that is left.

    Attributes:
        slope: 1 if all of it is left.
        correlation: with what is left.
        module: module of the change; "" for the whole adapter.
    """

    slope: float
    correlation: float
    module: str = ""


@dataclass(frozen=True)
class Survival:
    """What is left of an adapter in a format.

    Attributes:
        format: name of the format.
        whole: over all modules.
        worst: modules with the lowest slopes, the lowest first.
    """

    format: str
    whole: Share
    worst: Sequence[Share]

    @property
    def lost(self) -> bool:
        """Whether less than half of it is left."""
        return self.whole.slope < LEAST

    @property
    def line(self) -> str:
        """The figures, with the modules that lose most.

        Example:
            >>> Survival("q4_1", Share(0.06, 0.07), [Share(0.01, 0.02, "layers.3.mlp.up_proj")]).line
            'q4_1: slope 0.06, correlation 0.07; least is left in layers.3.mlp.up_proj (0.01)'
        """
        worst = ", ".join(f"{share.module} ({share.slope:.2f})" for share in self.worst)
        whole = f"slope {self.whole.slope:.2f}, correlation {self.whole.correlation:.2f}"
        return f"{self.format}: {whole}; least is left in {worst}"


def survival_lines(name: str, found: Sequence[Survival]) -> Iterator[str]:
    """What is left of an adapter, line by line, and advice if it is less than half in some format."""
    yield f"What is left of {name} after merging and rounding (a slope of 1 is all of it):"
    for each in found:
        yield f"  {each.line}"
    lost = [each.format for each in found if each.lost]
    if lost:
        yield (
            f"In {' and '.join(lost)} most of the adapter is lost: ship base and adapter apart, use 8 "
            "bits, merge into a base in full precision, or search with `quantize`"
        )


def survival(base: BaseModel, adapter: AdapterInfo, formats: Sequence[Format]) -> list[Survival]:
    """What is left of an adapter in each format.

    Some rows of each changed matrix are read. The figures are those of these rows.

    Args:
        base: base with plain weights.
        adapter: a LoRA adapter for the base.
        formats: formats.

    Raises:
        UserError: the base is packed already, or the adapter is damaged.
    """
    refuse_quantised(base)
    model = empty_model(base)
    layouts = [form.layout(model) for form in formats]
    stored = StoredTensors(base.weight_files)
    moments: list[dict[str, Tensor]] = [{} for _ in formats]
    for name, factors in load_factors(adapter).items():
        weight = stored[name].to(torch.float32)
        rows = torch.linspace(0, len(weight) - 1, min(ROWS, len(weight))).round().long()
        change = factors.b[rows] @ factors.a
        for form, layout, found in zip(formats, layouts, moments, strict=True):
            left = _left(form, layout.get(name), weight[rows], change)
            found[name.removesuffix(".weight")] = _moments(left, change)
    return [_survival(form.name, found) for form, found in zip(formats, moments, strict=True)]


def _left(form: Format, kind: str | None, weight: Tensor, change: Tensor) -> Tensor:
    """What is left of a change of these rows; all of it where the format leaves the matrix alone."""
    if kind is None:
        return change
    return form.rounded(weight + change, kind) - form.rounded(weight, kind)


def _moments(left: Tensor, change: Tensor) -> Tensor:
    """(<D, C>, <D, D>, <C, C>), float64."""
    d, c = left.double().ravel(), change.double().ravel()
    return torch.stack([d @ c, d @ d, c @ c])


def _survival(name: str, moments: dict[str, Tensor]) -> Survival:
    """The figures of a format from the moments of its modules."""
    total = sum(moments.values(), start=torch.zeros(3, dtype=torch.float64))
    modules = [_share(found, module) for module, found in moments.items()]
    worst = sorted(modules, key=lambda share: share.slope)[:WORST]
    return Survival(name, _share(total), worst)


def _share(moments: Tensor, module: str = "") -> Share:
    """The share that is left, by its moments; of a change that is zero, all."""
    common, left, change = moments.tolist()
    if not change:
        return Share(1.0, 1.0, module)
    size = math.sqrt(left * change)
    return Share(common / change, common / size if size else 0.0, module)
