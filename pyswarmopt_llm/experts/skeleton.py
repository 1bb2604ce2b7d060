"""The modules of a base by their kind, from its configuration alone: no weights are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from pyswarmopt_llm.common.errors import UserError, first_line
from pyswarmopt_llm.experts.base import BaseModel
from pyswarmopt_llm.experts.pretrained import quiet_transformers


@dataclass(frozen=True)
class Skeleton:
    """The modules of a language model.

    Attributes:
        linear: names of the linear layers whose weights are their own.
        others: name of any other module with a weight -> why LoRA factors cannot be added to it.
        output: name of the layer that gives the logits, or None.
        shapes: parameter name -> shape.
    """

    linear: frozenset[str]
    others: dict[str, str]
    output: str | None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def skeleton(base: BaseModel) -> Skeleton:
    """The modules of `base`, as transformers makes them of its config.json.

    Raises:
        UserError: it is no language model that transformers knows.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        with quiet_transformers(), torch.device("meta"):
            config = AutoConfig.from_pretrained(
                base.path, trust_remote_code=False, local_files_only=True
            )
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except Exception as error:  # whatever a damaged configuration leads to
        if isinstance(error, MemoryError):
            raise
        raise UserError(
            f"{base.spec}: cannot be loaded as a language model ({first_line(error)})"
        ) from error
    parameters = dict(model.named_parameters())  # a shared weight has the first of its names
    head = model.get_output_embeddings()
    linear, others = set(), {}
    for name, module in model.named_modules():
        if getattr(module, "weight", None) is None:
            continue
        if not isinstance(module, torch.nn.Linear):
            others[name] = f"is no linear layer there ({type(module).__name__})"
        elif f"{name}.weight" not in parameters:
            others[name] = "shares its weight with another module there"
        else:
            linear.add(name)
    output = next((name for name, module in model.named_modules() if module is head), None)
    shapes = {name: tuple(parameter.shape) for name, parameter in parameters.items()}
    return Skeleton(frozenset(linear), others, output, shapes)
