"""Averages whole models, theta = sum c_i theta_i: full fine-tunes of one base, embeddings and norms
included.

Averaging fine-tuned weights: Wortsman et al. 2022 ("Model soups", arXiv 2203.05482). The experts
stay in their files: a candidate is summed one weight at a time while it replaces the base's
weights, so memory holds the base and one weight, whatever the number of experts. Each candidate
reads all experts with a non-zero coefficient.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import torch
from torch import Tensor

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import atomic_directory
from pyswarmopt_llm.common.interfaces import Computed, Engine, Patch
from pyswarmopt_llm.experts.base import BaseModel, resolve_base
from pyswarmopt_llm.experts.full_model import ModelInfo, inspect_models, write_model
from pyswarmopt_llm.experts.safetensors_file import StoredTensors
from pyswarmopt_llm.mix.coefficients import CoefficientSpace
from pyswarmopt_llm.mix.kind import Pool, SpaceKind
from pyswarmopt_llm.mix.one_base import loaded


class FullSpace(CoefficientSpace):
    """A space of coefficients of whole models.

    Sums are computed in float32 and rounded to the base's stored dtype, so a saved candidate equals
    the scored one to the bit.

    Args:
        base: common base of the models; `save` writes files like its files.
        models: from `inspect_models`.
        parameters: parameter names of the loaded base.

    Raises:
        UserError: a parameter of the loaded model is not in the files.
    """

    name = "full"

    def __init__(
        self, base: BaseModel, models: Sequence[ModelInfo], parameters: Collection[str]
    ) -> None:
        self._base = base
        self._models = list(models)
        self._stored = StoredTensors(base.weight_files)
        parameters = set(parameters)
        if missing := sorted(parameters - self._stored.keys()):
            raise UserError(
                f"{base.spec}: its files contain no weight named {missing[0]}; load the model with "
                "transformers and save it with save_pretrained"
            )
        # Stored tensors that are no parameters, such as a second copy of tied embeddings, follow
        # from the others.
        shapes = self._stored.shapes
        self._shapes = {name: shapes[name] for name in shapes if name in parameters}
        super().__init__([model.name for model in models])

    def realise(self, position: Tensor) -> Patch:
        """The mixed model; each weight is computed on access."""
        weights = self.coefficients(position).to(torch.float32).tolist()

        def value(parameter: str) -> Tensor:
            total = torch.zeros(self._shapes[parameter])
            for weight, model in zip(weights, self._models, strict=True):
                if weight:
                    total.add_(model.tensors[parameter].to(torch.float32), alpha=weight)
            return total.to(self._stored.dtype(parameter))

        return Patch(dense=Computed(self._shapes, value))

    def save(self, position: Tensor, out: Path) -> None:
        """Write a model directory with the base's configuration and tokenizer, one file in memory at
        a time.

        Raises:
            UserError: `out` exists already.
        """
        with atomic_directory(Path(out)) as folder:
            write_model(self._base, self.realise(position).dense, folder)

    def read(self, folder: Path) -> Patch:
        """The patch of a saved model."""
        stored = StoredTensors(sorted(folder.glob("*.safetensors")))
        return Patch(dense=Computed(stored.shapes, stored.__getitem__))


def prepare(kind: SpaceKind, config: SearchConfig) -> tuple[Pool, Engine]:
    """The pool of full fine-tunes of one base; no weights are read yet.

    Raises:
        UserError: a model does not fit the base.
    """
    base = resolve_base(config.base)
    models = inspect_models(config.experts, base)

    def space(engine: Engine) -> FullSpace:
        return FullSpace(base, models, engine.parameter_names)

    return loaded(config, base, models, space, whole_models=True)
