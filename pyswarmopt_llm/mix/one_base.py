"""Spaces over one base, which alone is resident: adapters of it, or models that were fine-tuned
from it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.interfaces import Engine, Patch, Space
from pyswarmopt_llm.engine.load import load_engine
from pyswarmopt_llm.experts.adapter import (
    AdapterFile,
    AdapterInfo,
    changed_weights,
    load_factors,
    read_adapter,
)
from pyswarmopt_llm.experts.base import BaseModel, resolve_base
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.experts.outliers import inspect_weights
from pyswarmopt_llm.experts.write import write_adapter
from pyswarmopt_llm.mix.coefficients import BaseSpace
from pyswarmopt_llm.mix.kind import Prepared, SpaceKind


class OneBaseKind(SpaceKind):
    """Experts that are changes of one base."""

    whole_models: ClassVar[bool] = False  # candidates replace all weights

    @abstractmethod
    def find(self, config: SearchConfig, base: BaseModel, notes: dict[str, str]) -> Sequence[Any]:
        """The experts, proven to fit the base and each other; what is odd goes to the notes.

        Raises:
            UserError: one does not.
        """

    @abstractmethod
    def over(
        self, experts: Sequence[Any], base: BaseModel, config: SearchConfig, engine: Engine
    ) -> Space:
        """The space over what `find` found.

        Raises:
            UserError: an expert's weights are damaged.
        """

    def prepare(self, config: SearchConfig) -> Prepared:
        base = resolve_base(config.base, weights=not config.served)
        notes: dict[str, str] = {}
        experts = self.find(config, base, notes)
        engine = self.engine(config, base, experts)
        prints = {
            "base": base.fingerprint,
            "experts": {info.name: info.fingerprint for info in experts},
        }
        space = self.over(experts, base, config, engine)
        more = ({**notes, **engine.notes}, engine.decided)
        return Prepared(space, engine, prints, base.name, experts, *more)

    def engine(self, config: SearchConfig, base: BaseModel, experts: Sequence[Any]) -> Engine:
        """The resident base."""
        machine = (config.dtype, config.device, config.threads, config.batch_tokens)
        return load_engine(
            base, *machine, self.whole_models, config.mix, config.system, self.changed(experts)
        )

    def changed(self, experts: Sequence[Any]) -> frozenset[str]:
        """The weights that candidates change, where experts say which."""
        return frozenset()


class AdapterKind(OneBaseKind):
    """LoRA adapters of one base, mixed into one adapter."""

    adapters = True
    options = frozenset({"mix", "system"})
    # of `PreflightReport.require`; "factor": equal ranks, alphas and modules
    requires: ClassVar[str] = "delta"
    library = "peft"
    title = "An adapter found by a swarm of experts"
    description = "A LoRA adapter for {base}: the mixture of {experts}"

    def find(
        self, config: SearchConfig, base: BaseModel, notes: dict[str, str]
    ) -> Sequence[AdapterInfo]:
        report = inspect_weights(inspect_experts(config.experts, base), config.base)
        report.require(self.requires)
        notes |= {text: text for text in map(str, report.warnings)}
        return report.experts

    def changed(self, experts: Sequence[AdapterInfo]) -> frozenset[str]:
        """See `OneBaseKind.changed`."""
        return changed_weights(experts)

    def over(
        self, experts: Sequence[AdapterInfo], base: BaseModel, config: SearchConfig, engine: Engine
    ) -> Space:
        """See `OneBaseKind.over`; adapters are read one at a time."""
        return self.over_adapters([AdapterFile(info) for info in experts])

    def engine(
        self, config: SearchConfig, base: BaseModel, experts: Sequence[AdapterInfo]
    ) -> Engine:
        """The resident base, or the server that has it."""
        if config.served:
            from pyswarmopt_llm.servers.attach import attach

            return attach(config, base, lambda: experts)
        return super().engine(config, base, experts)


class AdapterSpace(BaseSpace):
    """A space whose candidates are LoRA adapters, saved with the rank that `realise` gives them."""

    infos: Sequence[AdapterInfo]  # the experts

    @abstractmethod
    def realise(self, position: Tensor) -> Patch:
        """See `interfaces.Space`."""

    def save(self, position: Tensor, out: Path) -> None:
        """Write a PEFT adapter; see `interfaces.Space`.

        Raises:
            UserError: `out` exists already.
        """
        save_patch(self.realise(position), self.infos, out)

    def read(self, folder: Path) -> Patch:
        """The patch of a saved adapter.

        Raises:
            UserError: the files are not those of an adapter.
        """
        return Patch(low_rank=load_factors(read_adapter(folder)))


def save_patch(
    patch: Patch, experts: Sequence[AdapterInfo], out: Path, card: str | None = None
) -> None:
    """Write the low-rank part of a patch as a PEFT adapter.

    alpha equals the rank, so that peft's scale is exactly 1 and its merged weights are, to the bit,
    those of `LowRank.dense`: the scale of the experts is in B already.

    Args:
        patch: from `realise`.
        experts: where it comes from; they name the base and the target modules.
        out: the directory to make.
        card: its README.md.

    Raises:
        UserError: `out` exists already.
    """
    write_adapter(
        Path(out),
        {
            name.removesuffix(".weight"): (change.b, change.a)
            for name, change in patch.low_rank.items()
        },
        base_model_name=next(
            (expert.base_model_name for expert in experts if expert.base_model_name), ""
        ),
        target_modules={target for expert in experts for target in expert.target_modules},
        card=card,
    )
