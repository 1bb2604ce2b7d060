"""Sequence classifiers from a directory or the hub, for metrics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.paths import user_path
from pyswarmopt_llm.models.pretrained import load_weights, read_tokenizer

_BATCH_TOKENS = 4096


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
    where = f"`metric` {metric}:{spec}"
    dtype = torch.float32 if device == "cpu" else "auto"
    model = load_weights(AutoModelForSequenceClassification, path, where, kind, dtype=dtype)
    tokenizer = read_tokenizer(path, where)
    if tokenizer.pad_token_id is None:
        raise UserError(f"{where}: its tokenizer has no pad token; set one and save it")
    return model.to(device), tokenizer


def padded_batches(
    rows: Sequence[Sequence[int]], pad: int, device: torch.device
) -> Iterator[tuple[list[int], torch.Tensor, torch.Tensor]]:
    """The rows in batches of similar length, padded on the right: their indices, token ids and attention mask."""
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]), reverse=True)
    while order:
        size = max(1, _BATCH_TOKENS // len(rows[order[0]]))
        now, order = order[:size], order[size:]
        tokens = [torch.tensor(rows[i]) for i in now]
        mask = pad_sequence([torch.ones_like(row) for row in tokens], batch_first=True)
        yield now, pad_sequence(tokens, batch_first=True, padding_value=pad).to(device), mask.to(device)
