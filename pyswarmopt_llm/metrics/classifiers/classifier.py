"""Sequence classifiers from a directory or the hub, for metrics."""

from __future__ import annotations

from typing import Any

import torch

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.paths import user_path
from pyswarmopt_llm.models.pretrained import load_weights, read_tokenizer


def load_classifier(spec: str, metric: str, kind: str, device: str = "cpu") -> tuple[Any, Any]:
    """Model in eval mode and tokenizer; float32 on a CPU, else the stored dtype.

    Args:
        spec: directory or hub id.
        metric: the metric's name, for error messages: ``reward`` of ``--metric reward:DIR``.
        kind: what it should be, for error messages: ``reward model``.
        device: device of the model.

    Raises:
        UserError: it cannot be loaded, lacks weights, or has no pad token.
    """
    from transformers import AutoModelForSequenceClassification

    path = str(user_path(spec)) if user_path(spec).is_dir() else spec
    where = f"--metric {metric}:{spec}"
    dtype = torch.float32 if device == "cpu" else "auto"
    model = load_weights(AutoModelForSequenceClassification, path, where, kind, dtype=dtype)
    tokenizer = read_tokenizer(path, where)
    if tokenizer.pad_token_id is None:
        raise UserError(f"{where}: its tokenizer has no pad token; set one and save it")
    return model.to(device), tokenizer
