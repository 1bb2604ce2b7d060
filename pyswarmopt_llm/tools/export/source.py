"""A model to export, and what an adapter changes in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.interfaces import Computed, LowRank
from pyswarmopt_llm.experts.adapter import AdapterInfo, load_factors
from pyswarmopt_llm.experts.base import BaseModel, resolve_base
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.experts.files import read_json
from pyswarmopt_llm.experts.safetensors_file import StoredTensors
from pyswarmopt_llm.mix import is_whole_model, saved_kind
from pyswarmopt_llm.searching.scoring.run_files import read_about, result_of


@dataclass(frozen=True)
class Source:
    """A model to export.

    Attributes:
        base: has the weights, the configuration and the tokenizer.
        adapter: on that base; None: the model is exported as it is.
        changes: name of a weight -> the adapter's change, scale included.
        run: the run directory that this is the result of, if it is one.
    """

    base: BaseModel
    adapter: AdapterInfo | None
    changes: Mapping[str, LowRank]
    run: Path | None

    @cached_property
    def stored(self) -> StoredTensors:
        """The base's own weights."""
        return StoredTensors(self.base.weight_files)

    def exact(self, weight: str) -> Tensor:
        """A weight with its change, float32, before it is rounded to the model's dtype."""
        value = self.stored[weight].to(torch.float32)
        return value + self.changes[weight].dense() if weight in self.changes else value

    @property
    def weights(self) -> Computed[Tensor]:
        """Name -> the weight with its change, in the base's dtype, computed on access."""
        return Computed(
            self.stored.shapes, lambda name: self.exact(name).to(self.stored.dtype(name))
        )


def find_source(source: str, base: str | None) -> Source:
    """The model that a run, an adapter or a model directory stands for.

    Args:
        source: a finished run, an adapter (directory or hub id), or a model directory.
        base: the adapter's base model; None for a run or a model.

    Raises:
        UserError: several models, an adapter that does not fit the base, or a base that cannot take
            it.
    """
    folder, run = user_path(source), None
    model, adapter = base, None
    if (folder / "run.json").is_file():
        if base is not None:
            raise InvalidOption(
                "base", base, f"{source} is a run, which names its own base; remove it"
            )
        run = folder
        model, adapter = result_of(folder)
    elif is_whole_model(folder):
        if base is not None:
            raise InvalidOption("base", base, f"{source} is a whole model, no adapter; remove it")
        model = source
    else:
        adapter = source
    if (kind := saved_kind(model or folder)) is not None:
        raise UserError(
            f"{source}: is several models (space {kind.name}), which no single file can hold; run "
            f"it with swarm-llm generate --base {model}"
        )
    if model is None:
        raise InvalidOption("base", None, f"missing; name the model that {source} is an adapter of")
    return _checked(source, resolve_base(model), adapter, run)


def _checked(source: str, base: BaseModel, adapter: str | None, run: Path | None) -> Source:
    config = read_json(base.path / "config.json")
    if adapter is None:
        return Source(base, None, {}, run)
    if run is not None and read_about(run).fingerprints.get("base") != base.fingerprint:
        raise UserError(
            f"{source}: the base {base.spec} is not the one of the run any more; put it back"
        )
    report = inspect_experts([adapter], base)
    report.require("delta")
    changes = load_factors(report.experts[0])
    if config.get("tie_word_embeddings") and "lm_head.weight" in changes:
        raise UserError(
            f"{adapter}: changes lm_head, which {base.spec} shares with its embeddings; keep the "
            "adapter apart from the base, or train without lm_head among its target modules"
        )
    return Source(base, report.experts[0], changes, run)
