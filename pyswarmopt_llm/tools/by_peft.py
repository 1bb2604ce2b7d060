"""A base as it is stored, and an adapter as PEFT loads it."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import torch

from pyswarmopt_llm.common.errors import UserError, first_line
from pyswarmopt_llm.common.hardware import out_of_memory
from pyswarmopt_llm.experts.base import BaseModel, load_model
from pyswarmopt_llm.experts.pretrained import quiet_bitsandbytes
from pyswarmopt_llm.experts.safetensors_file import StoredTensors


def load_stored(base: BaseModel, device: torch.device | str = "cpu") -> tuple[Any, Any]:
    """`load_model` in the dtype of the base's largest weight."""
    stored = StoredTensors(base.weight_files)
    largest = max(stored, key=lambda name: math.prod(stored.shapes[name]))
    return load_model(base, stored.dtype(largest), device)


def load_by_peft(model: Any, folder: Path) -> None:
    """Wrap the layers of a model as PEFT does for an adapter.

    Raises:
        UserError: PEFT does not load it.
    """
    quiet_bitsandbytes()  # peft imports it if it is installed
    import peft

    try:
        # It draws what a file lacks, and warns of it.
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings(action="ignore"):
            peft.PeftModel.from_pretrained(model, folder, torch_device=str(model.device)).eval()
    except Exception as error:  # whatever a configuration leads to
        if out_of_memory(error):
            raise
        raise UserError(f"PEFT does not load it ({first_line(error)}); export it again") from error
