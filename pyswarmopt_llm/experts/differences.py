"""Differences of two experts: those that space factor cannot mix, and, where no base is given, signs
that they have different ones.
"""

from __future__ import annotations

from collections.abc import Iterator

from pyswarmopt_llm.experts.adapter import AdapterInfo
from pyswarmopt_llm.experts.base_names import same_model
from pyswarmopt_llm.experts.compatibility import ExpertProblem, in_digits

_ONLY_FACTOR = frozenset({"factor"})


def differences(info: AdapterInfo, first: AdapterInfo) -> Iterator[ExpertProblem]:
    """Differences of an expert from the first one; the table shows which one is the odd one out."""
    lacking = sorted(first.modules.keys() - info.modules)
    added = sorted(info.modules.keys() - first.modules)
    parts = [
        f"{verb} {len(modules)} modules such as {modules[0]}"
        for verb, modules in (("lacks", lacking), ("adds", added))
        if modules
    ]
    if parts:
        text = f"{' and '.join(parts)} (against {first.name}); factor needs the same modules"
        yield ExpertProblem(info.name, f"{text}, use `space` delta", spaces=_ONLY_FACTOR)
    for module in sorted(first.modules.keys() & info.modules):
        a, b = info.modules[module], first.modules[module]
        if (a.rank, a.scale) != (b.rank, b.scale):
            text = (
                f"has rank {a.rank} and scale {a.scale:g} at {module}, {first.name} rank {b.rank} "
                f"and scale {b.scale:g}; factor needs equal rank and alpha, use `space` delta"
            )
            yield ExpertProblem(info.name, text, spaces=_ONLY_FACTOR)
            return


def other_base(info: AdapterInfo, first: AdapterInfo) -> Iterator[ExpertProblem]:
    """Signs that two experts have different bases, where none is given to compare them with."""
    for module, adapted in info.modules.items():
        there = first.modules.get(module, adapted).weight_shape
        if there != adapted.weight_shape:
            text = (
                f"changes {module} of shape {in_digits(adapted.weight_shape)}, {first.name} one of "
            )
            text += f"{in_digits(there)}: they have different bases; remove one of them"
            yield ExpertProblem(info.name, text)
            return
    base, first_base = info.base_model_name, first.base_model_name
    if base and first_base and not same_model(base, first_base):
        text = f"was trained on {base}, {first.name} on {first_base}; give the base that they are "
        yield ExpertProblem(info.name, f"{text}to be mixed on with `base`", "warning")
