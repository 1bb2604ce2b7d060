"""Names of an adapter's tensors: with prefixes of training wrappers, or from earlier versions of
transformers, which PEFT translates.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import torch

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.experts.files import PREFIX
from pyswarmopt_llm.experts.pretrained import quiet_bitsandbytes

# Prefixes of torch.compile, FSDP, activation checkpointing, DDP, and PEFT's name of an adapter.
_ADDED = (
    r"_orig_mod\.|_fsdp_wrapped_module\.|_checkpoint_wrapped_module\.|^module\."
    r"|(?<=\.lora_[AB])\.\w+(?=\.weight$)"
)
_RENAME = (
    "import re, sys; from safetensors.torch import load_file, save_file; old, new, f = sys.argv[1:]; "
    "save_file({re.sub(old, new, k): v for k, v in load_file(f).items()}, f)"
)


def renaming(file: Path, old: str, new: str) -> str:
    """A command that renames the tensors of a file: a pattern of `re` and its replacement."""
    return "python -c " + " ".join(map(shlex.quote, (_RENAME, old, new, str(file))))


def refuse_wrapped(file: Path, keys: Iterable[str]) -> None:
    """Refuse tensors saved with the names of wrappers around the model.

    Raises:
        UserError: names the first such tensor, and a command to rename all.
    """
    added = re.compile(_ADDED)
    for key in keys:
        if found := added.search(key):
            raise UserError(
                f"{file}: tensor {key!r} has {found[0].strip('.')} in its name, which the training "
                "program added (torch.compile, FSDP, DDP, PEFT), and PEFT does not load it; rename "
                f"them ({renaming(file, _ADDED, '')})"
            )


def renamed_by_peft(model: Any, adapter: Path, modules: Collection[str]) -> dict[str, str]:
    """Module in a file -> its name in this model.

    PEFT translates names from earlier versions of transformers, such as Gemma 3's before 4.52.

    Args:
        model: base, possibly without values.
        adapter: directory with PEFT's settings.
        modules: names in the file.
    """
    quiet_bitsandbytes()  # peft imports it if installed
    try:
        from peft import PeftConfig
        from peft.utils import transformers_weight_conversion as conversion
    except ImportError:  # earlier versions translate nothing
        return {}
    keys = {f"{PREFIX}{module}.lora_A.weight": module for module in modules}
    tensors = {key: torch.empty(0, device="meta") for key in keys}
    try:
        settings = PeftConfig.from_pretrained(adapter)
        found = conversion.convert_peft_adapter_state_dict_for_transformers(
            model, settings, tensors
        )
    except Exception:  # it would have to translate more than names: fused experts
        return {}
    new = {id(tensor): key for key, tensor in found.items()}
    moved = {
        module: new[id(tensors[key])] for key, module in keys.items() if id(tensors[key]) in new
    }
    return {
        module: key.removeprefix(PREFIX).removesuffix(".lora_A.weight")
        for module, key in moved.items()
    }
