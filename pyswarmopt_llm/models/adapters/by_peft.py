"""An adapter as PEFT loads it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch

from pyswarmopt_llm.common.errors import UserError, first_line
from pyswarmopt_llm.models.engines.hardware import out_of_memory
from pyswarmopt_llm.models.quantised.packed import quiet_bitsandbytes


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
