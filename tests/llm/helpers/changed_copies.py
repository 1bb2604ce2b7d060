"""Copies of adapters and of models with other settings and other weights; runs that were stopped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

Edit = Callable[[dict[str, Tensor]], object]  # changes the tensors that it is given


def edited(folder: Path, edit: Edit | None = None, **config: object) -> Path:
    """An adapter or a model whose configuration and tensors are changed where they are."""
    file = folder / "adapter_config.json"
    file = file if file.is_file() else folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **config}))
    if edit is not None:
        (weights,) = folder.glob("*model.safetensors")
        tensors = load_file(weights)
        edit(tensors)
        whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
        save_file(whole, weights, {"format": "pt"})
    return folder


def changed_copy(source: Path, out: Path, edit: Edit | None = None, **config: object) -> Path:
    """The same of a copy."""
    return edited(Path(shutil.copytree(source, out)), edit, **config)


def each(change: Callable[[str, Tensor], Tensor]) -> Edit:
    """An edit that changes each tensor by its name and its values."""
    return lambda tensors: tensors.update({name: change(name, t) for name, t in tensors.items()})


def stopped_copy(run: Path, out: Path, rows: int) -> Path:
    """A copy of a finished run as if it had been stopped after so many rows of its journal."""
    shutil.copytree(run, out, ignore=shutil.ignore_patterns("result.json", "best"))
    journal = out / "results.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:rows]))
    return out
