"""The experts that methods merge."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pyswarmopt_llm.experts.adapter import Adapter, load_adapter, read_adapter


def loaded(paths: list[Path]) -> list[Adapter]:
    return [load_adapter(read_adapter(path)) for path in paths]


@pytest.fixture(scope="session")
def experts(tiny_experts: list[Path]) -> list[Adapter]:
    """Three of one base."""
    return loaded(tiny_experts)


@pytest.fixture(scope="session")
def relatives(tiny_experts: list[Path]) -> list[Adapter]:
    """The three with a part in common, as experts of one base have: without one, Model Stock stays
    at the base.
    """
    experts = loaded(tiny_experts)
    common = experts[0].factors

    def related(expert: Adapter) -> Adapter:
        own = expert.factors.items()
        parts = {m: replace(f, a=f.a + common[m].a, b=f.b + common[m].b) for m, f in own}
        return replace(expert, held=parts)

    return [related(expert) for expert in experts]
